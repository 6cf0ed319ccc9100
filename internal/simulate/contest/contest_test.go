package contest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
)

var update = flag.Bool("update", false, "write golden files anew")

func TestRows(t *testing.T) {
	rows := Rows(Sources)
	week := 0
	streams := map[uint64]bool{}
	for _, r := range rows {
		if !r.Hours {
			week++
		}
		streams[r.Stream] = true
	}
	if len(rows) != 120 || week != 72 || len(streams) != 120 {
		t.Errorf("%d rows, %d of them week-long, %d streams: want 120, 72, 120", len(rows), week, len(streams))
	}
	w := Row{Trace: "wc", Cells: 9, Birth: time.Minute}.World()
	if w.Max != 14 || w.Birth != time.Minute || w.Serial {
		t.Errorf("a row of 9 cells has the world %+v", w)
	}
}

func TestDefaults(t *testing.T) {
	defaults := 0
	for _, c := range Peers() {
		if c.Default {
			defaults++
		}
	}
	if n := len(Peers()); n != 23 || defaults != 8 {
		t.Errorf("%d peers, %d of them defaults: want 23 and 8", n, defaults)
	}
}

// hand is an outcome of one row and two seeds: ours 1 % and 2, a default that is
// better in slow alone, one that is better in cost at the same slow.
func hand() *Outcome {
	g := Game{Rows: []Row{{Trace: "t", Hours: true}}, Candidates: []Candidate{{Name: "ours"}, {Name: "a", Peer: true, Default: true}, {Name: "b", Peer: true}}, Seeds: 2}
	o := newOutcome(g)
	set := func(c int, slow, cost float64) {
		o.Results[c][0][0] = simulate.Result{Slow: slow - 0.5, Cost: cost, ChangesAHour: 1}
		o.Results[c][0][1] = simulate.Result{Slow: slow + 0.5, Cost: cost, ChangesAHour: 3}
	}
	set(0, 1, 2)
	set(1, 0.5, 2.1)
	set(2, 1, 1.9)
	return o
}

func TestMeansAndLosses(t *testing.T) {
	o := hand()
	m := o.Mean(0, All)
	if m.Slow != 1 || m.Cost != 2 || m.Changes != 2 || math.Abs(m.SlowSpread-math.Sqrt2/2) > 1e-9 || m.CostSpread != 0 {
		t.Errorf("mean %+v", m)
	}
	if m := o.Mean(0, Week); m.Rows != 0 {
		t.Errorf("no row is week-long, but %+v", m)
	}
	lost := o.Lost(0, All, false)
	if len(lost) != 1 || len(lost[0].By) != 1 || lost[0].By[0] != 2 || lost[0].Default {
		t.Errorf("lost: %+v, want the row to b alone", lost)
	}
	if want := "Of the 1 rows (hours) 0 are lost to a peer's default, 1 to a peer at any setting."; !slices.Contains(o.Counts(0), want) {
		t.Errorf("counts: %q, want %q among them", o.Counts(0), want)
	}
}

// A leader's orders are serial: how ours fares then stands for itself, also beside
// peers whose orders overlap.
func TestOrderings(t *testing.T) {
	o := newOutcome(Game{
		Rows:       []Row{{Trace: "t", Serial: true, Stream: 1}, {Trace: "t", Stream: 2}},
		Candidates: []Candidate{{Name: "ours"}, {Name: "a", Peer: true, Default: true}}, Seeds: 1,
	})
	for r, slow := range [][2]float64{{2, 3}, {1, 1.5}} { // ours, the peer
		for c := range slow {
			o.Results[c][r][0] = simulate.Result{Slow: slow[c], Cost: 2, ChangesAHour: float64(r + 1)}
		}
	}
	want := [][]string{{"ours", "2.00 / 2.00", "1.00", "1.00 / 2.00", "2.00"}, {"a *", "3.00 / 2.00", "1.00", "1.50 / 2.00", "2.00"}}
	for i, row := range o.Orderings().Rows {
		if !slices.Equal(row[:5], want[i]) {
			t.Errorf("%q, want %q", row, want[i])
		}
	}
	for _, line := range []string{
		"Of the 1 rows (week-long, serial) 0 are lost to a peer's default, 0 to a peer at any setting.",
		"Of the 1 rows (week-long, serial) 1 are lost to a peer's default, 1 to a peer at any setting, where the peers' orders overlap.",
		"Of the 1 rows (week-long, overlapping) 0 are lost to a peer's default, 0 to a peer at any setting.",
	} {
		if !slices.Contains(o.Counts(0), line) {
			t.Errorf("%q is not among %q", line, o.Counts(0))
		}
	}
}

// What each truth costs is told of those that met all of them, though others met the last.
func TestCosts(t *testing.T) {
	play := func(slow map[string]float64, names ...string) *Outcome {
		g := Game{Rows: []Row{{}}, Seeds: 1}
		for _, name := range names {
			g.Candidates = append(g.Candidates, Candidate{Name: name})
		}
		o := newOutcome(g)
		for c, name := range names {
			o.Results[c][0][0] = simulate.Result{Slow: slow[name], Cost: 2, ChangesAHour: 3}
		}
		return o
	}
	slow := map[string]float64{"ours": 1, "a": 5, "b": 7}
	got := Costs([]Truth{{Name: "plain"}, {Name: "all"}}, []*Outcome{play(slow, "ours", "b"), play(slow, "ours", "a", "b")})
	want := [][]string{{"plain", "1.00 / 2.00 / 3.00", "7.00 / 2.00 / 3.00"}, {"all", "1.00 / 2.00 / 3.00", "7.00 / 2.00 / 3.00"}}
	if !slices.EqualFunc(got.Rows, want, slices.Equal) || !slices.Equal(got.Head, []string{"what", "ours", "b"}) {
		t.Errorf("%q: %q", got.Head, got.Rows)
	}
}

func TestMeasures(t *testing.T) {
	o := newOutcome(Game{Rows: []Row{{}, {}, {Hours: true}}, Candidates: []Candidate{{Name: "ours"}}, Seeds: 2})
	for r := range o.Rows {
		for seed := range o.Seeds {
			v := float64(r + seed) // means of 0.5, 1.5 and 2.5
			o.Results[0][r][seed] = simulate.Result{P99Wait: v, Under: 2 * v, Over: 3 * v, UnderTime: 4 * v, OverTime: 5 * v, Unstable: 6 * v, Jitter: 7 * v}
		}
	}
	if got, want := o.Measures(Week).Rows[0], []string{"ours", "1.00", "2.00", "3.00", "4.00", "5.00", "6.00", "7.00"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := o.Measures(Hours).Rows[0]; got[1] != "2.50" {
		t.Errorf("%q, want a p99 of 2.50", got)
	}
}

// A plain copy stands in for the whole one, with its own results, and for no other.
func TestPlain(t *testing.T) {
	names := []string{"ours", "HPA 0.5", "Flink 0.5, restart D", "plain HPA 0.5"}
	o := &Outcome{Game: Game{Rows: []Row{{}}, Seeds: 1}}
	for i, name := range names {
		o.Candidates = append(o.Candidates, Candidate{Name: name})
		o.Results = append(o.Results, [][]simulate.Result{{{Slow: float64(i)}}})
	}
	for _, c := range []struct {
		of   *Outcome
		want []int
	}{{o.Whole(), []int{0, 1, 2}}, {o.Plain(), []int{0, 2, 3}}} {
		for i, n := range c.want {
			if len(c.of.Candidates) != len(c.want) || c.of.Candidates[i].Name != names[n] || c.of.Row(i, 0).Slow != float64(n) {
				t.Errorf("%v with %v, want those of %v", c.of.Candidates, c.of.Results, c.want)
			}
		}
	}
}

func TestMark(t *testing.T) {
	plain, ruled := differing{}, differing{figures: figures{8, 1.6}, rules: []string{"a rule"}}
	for _, c := range []struct {
		m     Mean
		want  figures
		d     differing
		known bool
		mark  string
	}{
		{Mean{Slow: 7, Cost: 1.6}, figures{7.48, 1.60}, plain, false, ""},
		{Mean{Slow: 6.7, Cost: 1.6}, figures{7.48, 1.60}, plain, false, " ?"},
		{Mean{Slow: 0.11, Cost: 1.6}, figures{0.02, 1.60}, plain, false, ""}, // by a tenth of a point
		{Mean{Slow: 0.02, Cost: 1.8}, figures{0.02, 1.60}, plain, false, " ?"},
		{Mean{Slow: 8.3, Cost: 1.6}, figures{6, 1.6}, ruled, true, " +"},
		{Mean{Slow: 8.3, Cost: 1.6}, figures{6, 1.6}, differing{figures: ruled.figures}, true, " !"},
		{Mean{Slow: 8.3, Cost: 1.6}, figures{6, 1.6}, differing{figures: ruled.figures, fitted: true}, true, " ~"},
		{Mean{Slow: 90, Cost: 1.6}, figures{6, 1.6}, ruled, true, " ?"},
		{Mean{Slow: 8, Cost: 1.7}, figures{6, 1.6}, ruled, true, " ?"},
		{Mean{Slow: 6, Cost: 1.6}, figures{6, 1.6}, ruled, true, " ?"}, // it came back
	} {
		if got := c.m.mark(c.want, c.d, c.known); got != c.mark {
			t.Errorf("%+v beside %+v and %+v: the mark is %q, want %q", c.m, c.want, c.d, got, c.mark)
		}
	}
}

// Each mean that is known to differ is one of the table's, does differ, and agrees in the
// copy that is said to explain it.
func TestDiffers(t *testing.T) {
	found, laws := 0, slices.Clone(published)
	for _, p := range published {
		for kind, copies := range map[string]map[string]simulate.Entry{plainly: plain, fittedly: fitted} {
			if _, there := copies[p.law]; there {
				other := p
				other.law = kind + p.law
				laws = append(laws, other)
			}
		}
	}
	for _, p := range laws {
		for column, want := range map[string]figures{"week-long": p.week, "wc": p.wc, "nasa": p.nasa, "elb": p.elb, "code": p.code, "conv": p.conv, "all": p.all} {
			d, known := differs[p.law+", "+column]
			if known {
				found++
			}
			if m := (Mean{Slow: d.slow, Cost: d.cost}); known && m.near(want, 0.1) {
				t.Errorf("%s, %s doesn't differ", p.law, column)
			}
			law := strings.TrimPrefix(p.law, plainly)
			if len(d.rules) > 0 && !agrees(plain, plainly, law, column) || d.fitted && !agrees(fitted, fittedly, law, column) {
				t.Errorf("%s, %s: the copy that is to explain it differs, or there is none", p.law, column)
			}
		}
	}
	if found != len(differs) {
		t.Errorf("%d of %d are in the table", found, len(differs))
	}
}

// agrees says that there is such a copy of a law, and that it isn't known to differ.
func agrees(copies map[string]simulate.Entry, kind, law, column string) bool {
	_, there := copies[law]
	_, off := differs[kind+law+", "+column]
	return there && !off
}

// traces is the folder of those that the repository holds.
const traces = "../../../bench/traces"

func TestReadAll(t *testing.T) {
	all := ReadAll(traces, append(Sources[:0:0], Source{Name: "gone", File: "gone.csv", Step: time.Minute}, Sources[2], Sources[4]))
	if len(all.Sources) != 2 || all.Sources[0].Name != "elb" || all.Sources[1].Name != "conv" {
		t.Errorf("read %+v", all.Sources)
	}
	if len(all.Missing) != 1 || !strings.HasPrefix(all.Missing[0].String(), "not run: the rows of gone, because ") {
		t.Errorf("missing: %v", all.Missing)
	}
	// 4,032 rows, and eight that are missing among them.
	if n := len(all.traces["elb"].Rates); n != 4040 {
		t.Errorf("elb has %d steps, want 4040", n)
	}
	loads := all.loads(Rows(all.Sources))
	load := loads[loadKey{"elb", 40}]
	most := 0.0
	for _, rate := range load {
		most = max(most, rate)
	}
	if len(loads) != 6 || len(load) != 4039*300 || math.Abs(most-3600) > 1e-6 {
		t.Errorf("%d loads; elb/40 has %d seconds and a peak of %g", len(loads), len(load), most)
	}
	long := Source{Name: "long", File: Sources[2].File, Step: 5 * time.Minute, Count: 5000}
	if _, err := long.Read(traces); err == nil {
		t.Error("more rows than there are can be read")
	}
}

// short are rows that are quickly played: a day with a match, and two hours.
func short() (Traces, []Row) {
	day := Sources[0]
	day.First, day.Count = 60*1440, 1440
	all := ReadAll(traces, []Source{day, Sources[3], Sources[4]})
	return all, SensitivityRows(Rows(all.Sources))
}

// shortGame is ours, the first, and every peer on the short rows, with one seed.
var shortGame = sync.OnceValues(func() (*Outcome, error) {
	all, rows := short()
	if len(all.Missing) > 0 {
		return nil, errors.New(all.Missing[0].String())
	}
	candidates := append([]Candidate{Ours("ours", simulate.OurPolicy())}, Peers()...)
	return all.Play(context.Background(), Game{Rows: rows, Candidates: candidates, Seeds: 1})
})

// The peers' copies are what they were: means of some rows, one seed.
func TestPeersGolden(t *testing.T) {
	o, err := shortGame()
	if err != nil {
		t.Fatal(err)
	}
	peers := &Outcome{Game: o.Game, Results: o.Results[1:]}
	peers.Candidates = peers.Candidates[1:]
	var b strings.Builder
	means := peers.Means([]Source{Sources[0], Sources[3], Sources[4]})
	if err := means.Write(&b, "text"); err != nil {
		t.Fatal(err)
	}
	golden(t, "peers.txt", b.String())
}

// Ours loses no more of the short rows to peers' defaults than it did when it was
// chosen, and is as seldom slow. An hour is all caution.
func TestOursShort(t *testing.T) {
	o, err := shortGame()
	if err != nil {
		t.Fatal(err)
	}
	lost := o.Lost(0, All, false)
	for _, l := range lost {
		t.Logf("%s: lost to %s", o.Rows[l.Row], o.Candidates[l.By[0]].Name)
	}
	m := o.Mean(0, OfTrace("wc"))
	t.Logf("ours on the day: slow %.2f %%, cost %.2f, %.1f changes an hour", m.Slow, m.Cost, m.Changes)
	if n := toDefaults(lost); n > 3 {
		t.Errorf("%d of %d rows are lost to a peer's default, want at most 3", n, len(o.Rows))
	}
	if m.Slow > 2.3 || m.Cost > 1.2 {
		t.Errorf("on the day slow %.2f %% and cost %.2f, want at most 2.3 and 1.2", m.Slow, m.Cost)
	}
}

// The peers are beside published figures what they were, on the hours: the others take
// minutes, and are a part of make simulate.
func TestReproduced(t *testing.T) {
	all := ReadAll(traces, Sources[3:])
	if len(all.Missing) > 0 {
		t.Fatal(all.Missing)
	}
	o, err := all.Play(t.Context(), all.Checked())
	if err != nil {
		t.Fatal(err)
	}
	table, moved := o.Reproduced()
	var b strings.Builder
	if err := table.Write(&b, "text"); err != nil {
		t.Fatal(err)
	}
	means := len(regexp.MustCompile(`\([\d.]+ / [\d.]+\)`).FindAllString(b.String(), -1))
	if want := 2 * (len(published) + len(plain) + len(fitted)); moved > 0 || means != want {
		t.Errorf("%d means moved, in a table of %d, want %d:\n%s", moved, means, want, b.String())
	}
}

// Every constant of the law is turned, and those near 1 by what they leave.
func TestKnobs(t *testing.T) {
	cfg := simulate.OurPolicy()
	for _, k := range Knobs() {
		half, twice := k.Scale(cfg, 0.5), k.Scale(cfg, 2)
		if reflect.DeepEqual(half, twice) {
			t.Errorf("%s: halved is doubled", k.Name)
		}
		left := 1 - balance.DefaultLaw().Price
		if k.Name == "Price" && (math.Abs(1-half.Law.Price-left/2) > 1e-9 || math.Abs(1-twice.Law.Price-2*left) > 1e-9) {
			t.Errorf("Price is %g and %g", half.Law.Price, twice.Law.Price)
		}
	}
	law := balance.DefaultLaw()
	if accepted["CorrectionMax"][0] != law.PriorRatio || accepted["PriorRatio"][1] != law.CorrectionMax {
		t.Errorf("%v: a policy accepts CorrectionMax from %g on and PriorRatio up to %g", accepted, law.PriorRatio, law.CorrectionMax)
	}
	for _, k := range Knobs()[len(policyKnobs):] {
		for _, by := range []float64{0.5, 2} {
			turned := k.Scale(cfg, by).Law
			v := reflect.ValueOf(turned).FieldByName(k.Name)
			if v.CanFloat() && !within(t, k.Name, v.Float()) {
				t.Errorf("%s times %g is %g, which no policy accepts", k.Name, by, v.Float())
			}
		}
	}
	if fields := reflect.TypeFor[balance.Law]().NumField(); len(Knobs()) != fields+len(policyKnobs) {
		t.Errorf("%d knobs, want the law's %d constants and %d of the policy", len(Knobs()), fields, len(policyKnobs))
	}
}

// within says that a policy accepts a number for a constant of the law.
func within(t *testing.T, name string, v float64) bool {
	t.Helper()
	field, there := reflect.TypeFor[policy.Law]().FieldByName(name)
	if !there {
		t.Fatalf("a policy has no %s", name)
	}
	text := field.Tag.Get("within")
	if text == "" {
		return true // another block's
	}
	var low, high float64
	if _, err := fmt.Sscanf(strings.ReplaceAll(text[1:len(text)-1], ",", " "), "%g %g", &low, &high); err != nil {
		t.Fatalf("%s is within %s: %v", name, text, err)
	}
	return (v > low || text[0] == '[' && v == low) && (v < high || text[len(text)-1] == ']' && v == high)
}

func TestPlayEnds(t *testing.T) {
	all, rows := short()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all.Play(ctx, Game{Rows: rows, Candidates: Peers(), Seeds: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("played on though the context had ended: %v", err)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("not what %s says; -update accepts it:\n%s", path, got)
	}
}
