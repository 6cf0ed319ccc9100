package contest

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/table"
)

// Shape is a load of a simple form, from nine cells on after a calm hour.
type Shape struct {
	Name   string
	Birth  time.Duration
	Serial bool
	// Factor multiplies the calm load, seconds after the calm hour.
	Factor func(second int) float64
	// Busy is the busy share of nine cells in the calm hour.
	Busy float64
	// Change is how long the change lasts; what comes then must settle. Negative:
	// the change never ends.
	Change time.Duration
	// Outage takes cells away at the end of the calm hour.
	Outage *simulate.Outage
}

const (
	calm       = time.Hour
	after      = 4 * time.Hour
	shapeCells = 9
)

// calmBusy is the busy share of the nine cells, and awayBusy before half of them go:
// such that what is needed before and after a change is clear of whole cells.
const (
	calmBusy = 0.865
	awayBusy = 0.78
)

// Shapes are steps, ramps, square waves, impulses, and half the cells taken away.
func Shapes() []Shape {
	var all []Shape
	add := func(name string, factor func(time.Duration) func(int) float64, change time.Duration, births ...time.Duration) {
		for _, birth := range births {
			for _, serial := range []bool{false, true} {
				all = append(all, Shape{Name: name, Birth: birth, Serial: serial, Factor: factor(birth), Busy: calmBusy, Change: change})
			}
		}
	}
	minute, five, ten := time.Minute, 5*time.Minute, 10*time.Minute
	add("step x2", step(2), 0, minute, five, ten)
	add("step x10", step(10), 0, minute, five, ten)
	add("step to a half", step(0.5), 0, minute, ten)
	add("ramp x4 in 30 min", ramp(4, 30*time.Minute), 30*time.Minute, minute, ten)
	add("square wave x2, period 2 D", square(2), -1, minute, five, ten)
	add("impulse x5 of 30 s", impulse(5, 30*time.Second), 30*time.Second, minute, ten)
	for _, birth := range []time.Duration{minute, ten} {
		for _, serial := range []bool{false, true} {
			all = append(all, Shape{
				Name: "half the cells away for 60 s", Birth: birth, Serial: serial, Factor: step(1)(birth), Busy: awayBusy, Change: time.Minute,
				Outage: &simulate.Outage{From: calm, Until: calm + time.Minute, Share: 0.5},
			})
		}
	}
	return all
}

func step(by float64) func(time.Duration) func(int) float64 {
	return func(time.Duration) func(int) float64 { return func(int) float64 { return by } }
}

func ramp(by float64, lasts time.Duration) func(time.Duration) func(int) float64 {
	return func(time.Duration) func(int) float64 {
		return func(s int) float64 { return 1 + (by-1)*min(1, float64(s)/lasts.Seconds()) }
	}
}

func impulse(by float64, lasts time.Duration) func(time.Duration) func(int) float64 {
	return func(time.Duration) func(int) float64 {
		return func(s int) float64 {
			if float64(s) < lasts.Seconds() {
				return by
			}
			return 1
		}
	}
}

// square is high for one birth and low for one.
func square(by float64) func(time.Duration) func(int) float64 {
	return func(birth time.Duration) func(int) float64 {
		return func(s int) float64 {
			if s/int(birth/time.Second)%2 == 0 {
				return by
			}
			return 1
		}
	}
}

// String names a shape as the tables do.
func (s Shape) String() string {
	return fmt.Sprintf("%s, D %.0f %s", s.Name, s.Birth.Seconds(), ordering(s.Serial))
}

// Load is arrivals per second for each second.
func (s Shape) Load() []float64 {
	load := make([]float64, int((calm+after)/time.Second))
	for i := range load {
		load[i] = shapeCells * s.Busy * simulate.DefaultWorld().CellRate
		if t := i - int(calm/time.Second); t >= 0 {
			load[i] *= s.Factor(t)
		}
	}
	return load
}

// World is a shape's picture, with curves. There is no bound to the cells.
func (s Shape) World() simulate.World {
	w := simulate.DefaultWorld()
	w.Birth, w.Serial, w.Curves, w.Max = s.Birth, s.Serial, true, 1000
	if s.Outage != nil {
		w.Outages = []simulate.Outage{*s.Outage}
	}
	return w
}

// Settling is how a law took a shape.
type Settling struct {
	// Most are the cells ready at once, Needed the most that were needed.
	Most, Needed int
	// Settled is after how many seconds the ready cells stay between a cell less than
	// what is needed and a quarter and a cell more; Waits after how many nobody waits too long any
	// more. Negative: not before the end, or it never can.
	Settled, Waits float64
	// Changes is an hour, after the calm one.
	Slow, Changes float64
	Curves        *simulate.Curves
}

// Settle runs a law over a shape.
func (s Shape) Settle(entry simulate.Entry, seed uint64) Settling {
	w := s.World()
	r := simulate.Run(w, s.Load(), entry.New(w), seed)
	c := r.Curves
	st := Settling{Slow: r.Slow, Curves: c, Settled: -1}
	from := int(calm / c.Step)
	last := median(c.Demand[len(c.Demand)-int(30*time.Minute/c.Step):])
	settled, waited := from, from
	for i := from; i < len(c.Ready); i++ {
		st.Most, st.Needed = max(st.Most, int(c.Ready[i])), max(st.Needed, int(c.Demand[i]))
		if c.Ready[i] < last-1 || c.Ready[i] > math.Ceil(1.25*last)+1 {
			settled = i + 1
		}
		if c.Wait[i] > w.SLO.Seconds() {
			waited = i + 1
		}
		if i > 0 && c.Ordered[i] != c.Ordered[i-1] {
			st.Changes += 1 / after.Hours()
		}
	}
	st.Waits = float64(waited-from) * c.Step.Seconds()
	if s.Change >= 0 && settled < len(c.Ready) {
		st.Settled = max(0, float64(settled-from)*c.Step.Seconds()-s.Change.Seconds())
	}
	return st
}

// median is that of an odd number of values, and else the upper one.
func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// Settlings is the table of shapes: laws beside each other, means over seeds.
func Settlings(shapes []Shape, laws []simulate.Entry, seeds int) table.Table {
	t := table.Table{
		Title: "Shapes, from 9 cells: most ready / needed; seconds to settle; seconds until nobody waits too long; slow %; changes an hour",
		Head:  []string{"shape"},
	}
	for _, law := range laws {
		t.Head = append(t.Head, law.Name)
	}
	for _, s := range shapes {
		row := []any{s.String()}
		for _, law := range laws {
			row = append(row, s.means(law, seeds))
		}
		t.Add(row...)
	}
	t.Note("Settled: from the end of the change on, as long as the ready cells stay between a cell less and a quarter and a cell more than is needed, the median of the last half hour.")
	return t
}

// means is how a law took a shape, mean over the seeds.
func (s Shape) means(law simulate.Entry, seeds int) string {
	var most, needed, settled, waits, slow, changes float64
	never := false
	for seed := range seeds {
		st := s.Settle(law, uint64(seed+1))
		most += float64(st.Most) / float64(seeds)
		needed = max(needed, float64(st.Needed))
		settled += st.Settled / float64(seeds)
		never = never || st.Settled < 0
		waits += st.Waits / float64(seeds)
		slow += st.Slow / float64(seeds)
		changes += st.Changes / float64(seeds)
	}
	when := fmt.Sprintf("%.0f", settled)
	if never {
		when = "-"
	}
	return fmt.Sprintf("%.0f/%.0f; %s; %.0f; %s; %s", most, needed, when, waits, table.Figure(slow), table.Figure(changes))
}
