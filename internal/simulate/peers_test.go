package simulate

import (
	"math"
	"testing"
	"time"
)

// Cases of pkg/controller/podautoscaler/replica_calculator_test.go of Kubernetes:
// pods that ask for a whole processor each.
func TestHPAReplicas(t *testing.T) {
	for _, c := range []struct {
		name                     string
		current, ready, notReady int
		busy, percent            float64
		want                     int
	}{
		{"scale up: 30, 50, 70 % at a target of 30", 3, 3, 0, 0.5, 30, 5},
		{"one of three not ready, less scale: 50 and 70 %", 3, 2, 1, 0.6, 30, 4},
		{"two of three not ready, no scale: 40 %", 3, 1, 2, 0.4, 30, 3},
		{"scale down: 28 % on average at a target of 50", 5, 5, 0, 0.28, 50, 3},
		{"scale down, two of five not ready: 30 % at a target of 50", 5, 3, 2, 0.3, 50, 2},
		{"within the tolerance: 102 at a target of 100", 3, 3, 0, 1.02, 100, 3},
		{"no metrics", 3, 0, 3, 0, 50, 3},
		{"percents are whole: 77.9 is 77, 11 pods' worth", 10, 10, 0, 0.779, 70, 11},
		{"78 is 12 pods' worth", 10, 10, 0, 0.78, 70, 12},
	} {
		if got := (&hpa{percent: c.percent}).replicas(c.current, c.ready, c.notReady, c.busy); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// The fitted copy of KEDA looks each 10 s and keeps 300 s of recommendations, the count
// found at first not among them; the last one doesn't stand.
func TestFittedKEDA(t *testing.T) {
	law := FittedKEDA(10).New(DefaultWorld())
	if _, stands := law.(declaring); stands || law.Every() != 10*time.Second {
		t.Errorf("it looks each %s, and its answer stands: %v", law.Every(), stands)
	}
	ask := func(second int, lag float64) int {
		return law.Decide(Seen{Second: second, Ordered: 6, Ready: 6, Backlog: lag})
	}
	if got := ask(0, 20); got != 2 {
		t.Errorf("%d at the first look, want 2", got)
	}
	ask(10, 50)
	for second := 20; second <= 310; second += 10 {
		want := 5 // as was recommended within 300 s
		if second == 310 {
			want = 1
		}
		if got := ask(second, 0); got != want {
			t.Errorf("%d at %d s, want %d", got, second, want)
		}
	}
}

// Without its rules 77.9 % are more than 11 pods' worth at a target of 70, and pods
// that aren't ready count on the way down.
func TestPlainHPA(t *testing.T) {
	h := &hpa{percent: 70, plain: true, limits: newPlainLimits(hpaPeriod)}
	if got := h.replicas(10, 10, 0, 0.779); got != 12 {
		t.Errorf("%d at 77.9 %%, want 12", got)
	}
	if got := h.replicas(5, 3, 2, 0.42); got != 3 {
		t.Errorf("%d with two of five not ready, want 3", got)
	}
	if got := h.limits.apply(20, 3); got != 3 {
		t.Errorf("%d at the first look, want 3", got)
	}
}

// The count that is found at first is a recommendation, too: nothing goes down for
// nineteen looks.
func TestHPABegins(t *testing.T) {
	l := newHPALimits(hpaPeriod)
	for i := range 25 {
		got := l.apply(20, 3)
		if want := i >= 19; want != (got == 3) {
			t.Errorf("%d s after the first look: %d", 15*i, got)
		}
	}
}

// Up by at most 4 or as many as there are in a period; down only to the largest
// recommendation of 300 s, and never up by an old one.
func TestHPALimits(t *testing.T) {
	l := newHPALimits(hpaPeriod)
	for _, c := range []struct{ current, wanted, want int }{
		{1, 50, 5}, {5, 50, 10}, {10, 50, 20}, {20, 3, 20},
	} {
		if got := l.apply(c.current, c.wanted); got != c.want {
			t.Errorf("%d wanted of %d: %d, want %d", c.wanted, c.current, got, c.want)
		}
	}
	for i := range 25 {
		got := l.apply(20, 3)
		if want := i >= 18; want != (got == 3) { // the last 50 was 300 s ago
			t.Errorf("%d s after the last high one: %d", 15*(i+2), got)
		}
	}
}

// A case of the same file, for external metrics per pod: 8600 in all at a target
// of 2150 for each of three; and what KEDA's default makes of a thousand messages.
func TestKEDAReplicas(t *testing.T) {
	for _, c := range []struct {
		current     int
		lag, target float64
		want        int
		what        string
	}{
		{3, 8600, 2150, 4, "scale up"},
		{3, 8600, 2867, 3, "within the tolerance"},
		{5, 1000, 10, 100, "a replica for each ten"},
		{5, 0, 10, 1, "the last one stays"},
	} {
		if got := kedaReplicas(c.current, c.lag, c.target); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

func TestNomadTarget(t *testing.T) {
	for _, c := range []struct {
		count        int
		busy, target float64
		want         int
	}{
		{2, 0.91, 0.7, 3},    // 2*1.3 = 2.6
		{10, 0.35, 0.7, 5},   // half
		{10, 0.706, 0.7, 10}, // factor 1.0086: within the threshold
		{10, 0.708, 0.7, 11}, // factor 1.011: not, and rounded up
		{0, 0.7, 0.7, 1},
	} {
		if got := nomadTargetCount(c.count, c.busy, c.target); got != c.want {
			t.Errorf("%d at %g of %g: %d, want %d", c.count, c.busy, c.target, got, c.want)
		}
	}
}

// Five points of the last minute must lie in bounds.
func TestNomadThreshold(t *testing.T) {
	for _, c := range []struct {
		points   []float64
		up, down float64
		want     int
	}{
		{[]float64{0.9, 0.9, 0.9, 0.9, 0.5, 0.9}, 1, 1, 11},
		{[]float64{0.9, 0.9, 0.9, 0.9, 0.5, 0.5}, 1, 1, 10},
		{[]float64{0.9, 0.9, 0.9, 0.9}, 1, 1, 10}, // not yet
		{[]float64{0.1, 0.1, 0.1, 0.1, 0.1, 0.9}, 1, 1, 9},
		{[]float64{0.7, 0.7, 0.7, 0.7, 0.7, 0.7}, 0.15, 1, 12}, // 11.5, rounded up
	} {
		if got := nomadStep(10, c.points, 0.3, 0.7, c.up, c.down); got != c.want {
			t.Errorf("%v: %d, want %d", c.points, got, c.want)
		}
	}
}

// Nothing happens for five minutes after an action, but one that wasn't carried out
// is none.
func TestNomadCooldown(t *testing.T) {
	law := NomadTarget(0.5).New(DefaultWorld())
	ask := func(second, ordered int) int {
		return law.Decide(Seen{Second: second, Ordered: ordered, Ready: ordered, Busy: 1})
	}
	for _, c := range []struct{ second, ordered, want int }{
		{10, 4, 8}, {20, 4, 8}, {30, 8, 8}, {310, 8, 8}, {320, 8, 16},
	} {
		if got := ask(c.second, c.ordered); got != c.want {
			t.Errorf("at %d s with %d cells: %d, want %d", c.second, c.ordered, got, c.want)
		}
	}
}

// Of ten machines, four of which are on their way out, the fitted copy counts six below
// the target, and ten above it, as the whole one does.
func TestNomadCountsWhatEnds(t *testing.T) {
	for _, c := range []struct {
		entry Entry
		busy  float64
		want  int
	}{
		{NomadTarget(0.5), 0.25, 5}, {FittedNomadTarget(0.5), 0.25, 3},
		{NomadTarget(0.5), 0.75, 15}, {FittedNomadTarget(0.5), 0.75, 15},
	} {
		if got := c.entry.New(DefaultWorld()).Decide(Seen{Second: 10, Ordered: 6, Ready: 10, Busy: c.busy}); got != c.want {
			t.Errorf("%s at %g: %d, want %d", c.entry.Name, c.busy, got, c.want)
		}
	}
}

// Capacities by the formula of AutoScalerUtils.java: 900 of lag in half an hour, a
// restart of 300 s at 600 a second, and 600 at 0.75.
func TestFlinkCapacity(t *testing.T) {
	if got := flinkCapacity(600, 900, 0.75, 300); got != math.Round(0.5+100+800) {
		t.Errorf("%g, want 901", got)
	}
	if got := flinkCapacity(600, 0, 0, 300); !math.IsInf(got, 1) {
		t.Errorf("at no utilisation %g", got)
	}
}

// Cases of JobVertexScalerTest.java, parallelism 10, true rate 100, without
// restart: what rate and target make of it, where the rate is outside of the band
// that input/(target+0.3) and input/(target-0.3) bound, the first no less than input.
func TestFlinkParallelism(t *testing.T) {
	for _, c := range []struct {
		input, target float64
		want          int
	}{
		{110, 0.8, 14}, // below 110
		{60, 0.8, 10},  // within 60 and 120, else 8
		{30, 0.8, 4},   // above 60
		{50, 1, 5},     // above 71
		{20, 1, 4},     // above 29, and at most 60 % less at once
	} {
		f := newFlink(c.target, 0, flinkPeriod, flinkDownAfter)
		f.served.add(c.input)
		f.offered.add(c.input)
		f.busy.add(c.input / 100)
		got := 0
		for minute := range 62 { // a scale-down waits for an hour
			got = f.rescale(60*minute, 10, 0)
		}
		if got != c.want {
			t.Errorf("%g at %g: %d, want %d", c.input, c.target, got, c.want)
		}
	}
}

// The band: 0.3 around 0.7. Nothing from 0.4 to 1.
func TestFlinkBand(t *testing.T) {
	for _, c := range []struct {
		read, input, lag float64
		want             bool
	}{
		{101, 101, 0, true}, {99, 99, 0, false}, {41, 41, 0, false}, {39, 39, 0, true},
		{39, 39, 39 * 301, false}, // more than five minutes of lag: not down
		{30, 35, 35 * 299, false}, // so it is by what is read, if not by what comes
	} {
		if got := flinkOutside(100, c.read, c.input, c.lag, 0.7, 0); got != c.want {
			t.Errorf("%g read of %g, lag %g: outside is %v", c.read, c.input, c.lag, got)
		}
	}
}

// Where nothing comes for the whole window it goes down by 60 % after an hour, as
// where little comes.
func TestFlinkIdle(t *testing.T) {
	f := newFlink(0.7, 0, flinkPeriod, flinkDownAfter)
	got := 0
	for minute := range 62 {
		f.served.add(0)
		f.offered.add(0)
		f.busy.add(0)
		got = f.rescale(60*minute, 10, 0)
	}
	if got != 4 {
		t.Errorf("%d of 10 are left, want 4", got)
	}
}

// The fitted copy looks each 15 s, over as long, and goes down five minutes later.
func TestFittedFlink(t *testing.T) {
	w := DefaultWorld()
	for _, c := range []struct {
		entry Entry
		every time.Duration
		after int // seconds until it is down
	}{
		// A window is filled first; the minutes without metrics are over at the start.
		{Flink(0.7, 0), time.Minute, 3600 + 15*60},
		{FittedFlink(0.7, 0), 15 * time.Second, 3900 + 15*60},
	} {
		law, down := c.entry.New(w), 0
		if law.Every() != c.every {
			t.Errorf("%s looks every %s", c.entry.Name, law.Every())
		}
		step := int(c.every / time.Second)
		for second := step; second < 2*3600 && down == 0; second += step {
			if law.Decide(Seen{Second: second, Ordered: 10, Ready: 10, Busy: 0.1, Served: 100, Offered: 100}) < 10 {
				down = second
			}
		}
		if down != c.after {
			t.Errorf("%s goes down after %d s, want %d", c.entry.Name, down, c.after)
		}
	}
}

// Down goes the largest recommendation of an hour, and only after one.
func TestFlinkScalesDownLate(t *testing.T) {
	f := newFlink(0.7, 0, flinkPeriod, flinkDownAfter)
	for minute := range 60 {
		wanted := 4
		if minute == 30 {
			wanted = 6
		}
		if n, _ := f.lowest(60*minute, wanted, true); n != 0 {
			t.Fatalf("after %d min: %d", minute, n)
		}
	}
	if n, out := f.lowest(3600, 4, true); n != 6 || !out {
		t.Errorf("after an hour: %d, want 6", n)
	}
	if n, _ := f.lowest(3600+31*60, 4, true); n != 4 {
		t.Errorf("when the six are an hour old: %d, want 4", n)
	}
}

// A rescale that is over before the law looks again is one nevertheless: nothing is
// decided from what was measured before it.
func TestFlinkSeesShortRescales(t *testing.T) {
	w := quiet()
	w.Start, w.Curves, w.Birth, w.Max = 1, true, 20*time.Second, 100
	r := Run(w, constant(250, 3600), Flink(0.7, 5*time.Minute).New(w), 1)
	var orders []int
	for i := 1; i < len(r.Curves.Ordered); i++ {
		if r.Curves.Ordered[i] != r.Curves.Ordered[i-1] {
			orders = append(orders, 5*i)
		}
	}
	if len(orders) == 0 || orders[0] != 15*60 || len(orders) > 1 && orders[1] < orders[0]+20*60 {
		t.Errorf("orders at %v s, want the first at 900 and the next after 20 min or later", orders)
	}
}

// A job that was rescaled is left alone for 5 min, and measured for 15.
func TestFlinkWaits(t *testing.T) {
	w := quiet()
	w.Start, w.Curves, w.Birth = 2, true, time.Minute
	r := Run(w, constant(300, 2*3600), Flink(0.7, 5*time.Minute).New(w), 1)
	var orders []int
	for i := 1; i < len(r.Curves.Ordered); i++ {
		if r.Curves.Ordered[i] != r.Curves.Ordered[i-1] {
			orders = append(orders, 5*i)
		}
	}
	if len(orders) == 0 || orders[0] != 15*60 {
		t.Fatalf("orders at %v s, want the first at 900", orders)
	}
	if len(orders) > 1 && orders[1] < orders[0]+60+20*60 {
		t.Errorf("orders at %v s: the second before 20 min were over", orders)
	}
}

func TestNames(t *testing.T) {
	for want, entry := range map[string]Entry{
		"HPA 0.7": HPA(0.7), "KEDA 10": KEDA(10), "nomad target-value 0.7": NomadTarget(0.7),
		"nomad threshold 30/70 by 1": NomadThreshold(0.3, 0.7, 1, 1), "nomad threshold 50/80 +10 %/-1": NomadThreshold(0.5, 0.8, 0.1, 1),
		"Flink 0.7, restart 300 s": Flink(0.7, 5*time.Minute), "Flink 0.5, restart D": Flink(0.5, 0),
	} {
		if entry.Name != want {
			t.Errorf("%q, want %q", entry.Name, want)
		}
	}
}
