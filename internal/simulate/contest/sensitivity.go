package contest

import (
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/table"
)

// Knob is a constant of the law or the policy.
type Knob struct {
	Name string
	// Scale returns the configuration with the knob at a multiple of its default.
	Scale func(cfg balance.Config, by float64) balance.Config
}

// policyKnobs are those of the policy. The beat is how often the law looks; the picture
// has steps of a second, so that half of it is 3 s.
var policyKnobs = []Knob{
	{"beat", func(c balance.Config, by float64) balance.Config {
		c.Beat = times(5*time.Second, by).Round(time.Second)
		return c
	}},
	{"wait bound", func(c balance.Config, by float64) balance.Config {
		c.WaitBound = times(c.WaitBound, by)
		return c
	}},
}

// shares are constants that are near 1: what they leave is scaled, not they.
var shares = map[string]bool{"Price": true, "Utilization": true, "RequestUtilization": true, "GuardFactor": true}

// accepted bounds what a policy accepts of a constant, the others being at their
// defaults, where a half or the double is beyond it.
var accepted = map[string][2]float64{
	"BurstShare":    {0, 1},
	"CorrectionMax": {1.3, 10}, // from PriorRatio on
	"PriorRatio":    {1, 2},    // up to CorrectionMax
	"StepShare":     {0, 1},
	"TrendCap":      {1, 10},
}

// Knobs are all constants there are, those of the law by their field's name.
func Knobs() []Knob {
	knobs := append([]Knob(nil), policyKnobs...)
	law := reflect.TypeFor[balance.Law]()
	for i := range law.NumField() {
		knobs = append(knobs, Knob{law.Field(i).Name, func(c balance.Config, by float64) balance.Config {
			c.Law = balance.DefaultLaw()
			scale(law.Field(i).Name, reflect.ValueOf(&c.Law).Elem().Field(i), by)
			return c
		}})
	}
	return knobs
}

func scale(name string, field reflect.Value, by float64) {
	switch field.Kind() {
	case reflect.Float64:
		v := field.Float()
		if shares[name] {
			field.SetFloat(1 - (1-v)*by)
			return
		}
		v *= by
		if bounds, there := accepted[name]; there {
			v = min(max(v, bounds[0]), bounds[1])
		}
		field.SetFloat(v)
	case reflect.Int, reflect.Int64:
		field.SetInt(int64(math.Round(float64(field.Int()) * by)))
	case reflect.Slice:
		scaled := reflect.MakeSlice(field.Type(), field.Len(), field.Len())
		for i := range field.Len() {
			scaled.Index(i).Set(field.Index(i))
			scale(name, scaled.Index(i), by)
		}
		field.Set(scaled)
	}
}

func times(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }

// Turned are ours at its defaults, and with each knob halved and doubled, in that
// order.
func Turned(cfg balance.Config) []Candidate {
	all := []Candidate{Ours("defaults", cfg)}
	for _, k := range Knobs() {
		all = append(all,
			Ours(k.Name+" halved", k.Scale(cfg, 0.5)),
			Ours(k.Name+" doubled", k.Scale(cfg, 2)))
	}
	return all
}

// What counts as a cliff: a mean that a factor of two in one constant makes so much
// worse.
const (
	cliffSlow  = 2   // times, and half a point
	cliffCost  = 1.5 // times
	cliffPoint = 0.5
)

// Sensitivity is the table of an outcome of Turned, and how many cliffs there are. The
// week-long rows are judged apart from the hours, of which ten times as many requests are
// slow. What changes nothing in this picture stands below.
func (o *Outcome) Sensitivity() (t table.Table, cliffs int) {
	t = table.Table{
		Title: fmt.Sprintf("Each constant halved and doubled: slow %% / cost / changes an hour, %d rows, %s", len(o.Rows), seeds(o.Seeds)),
		Head:  []string{"constant"},
	}
	var groups []Group
	for _, g := range []Group{Week, Hours} {
		if g.count(o.Rows) > 0 {
			groups = append(groups, g)
			t.Head = append(t.Head, g.Name+", halved", g.Name+", doubled")
		}
	}
	say := func(candidate int, g Group) string {
		m, base := o.Mean(candidate, g), o.Mean(0, g)
		text := m.pair() + " / " + table.Figure(m.Changes)
		if m.Slow > max(cliffSlow*base.Slow, base.Slow+cliffPoint) || m.Cost > cliffCost*base.Cost {
			cliffs++
			text += " !"
		}
		return text
	}
	none := []any{"none"}
	for _, g := range groups {
		none = append(none, say(0, g), "")
	}
	t.Add(none...)
	still := ""
	for i, k := range Knobs() {
		half, twice := 1+2*i, 2+2*i
		if base := o.Mean(0, All); o.Mean(half, All) == base && o.Mean(twice, All) == base {
			still += ", " + k.Name
			continue
		}
		row := []any{k.Name}
		for _, g := range groups {
			row = append(row, say(half, g), say(twice, g))
		}
		t.Add(row...)
	}
	t.Note("Price and Utilization: what they leave to 1 is halved and doubled. The beat of 5 s is halved to 3 s, since the picture has steps of a second. Turned as far as a policy accepts them: BurstShare (0.3 and 1), CorrectionMax (1.3 and 4), PriorRatio (1 and 2), StepShare (0.35 and 1), TrendCap (1 and 3).")
	if still != "" {
		t.Note("Without effect here: %s.", still[2:])
	}
	t.Note("! marks a cliff: slow twice as high and half a point more, or cost half as much again. There are %d.", cliffs)
	return t, cliffs
}

// SensitivityRows are the rows on which constants are turned: of 40 cells, with
// births of one and of ten minutes.
func SensitivityRows(rows []Row) []Row {
	var some []Row
	for _, r := range rows {
		if r.Cells == 40 && (r.Birth == time.Minute || r.Birth == 10*time.Minute) {
			some = append(some, r)
		}
	}
	return some
}
