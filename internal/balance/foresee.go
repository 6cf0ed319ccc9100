package balance

import (
	"fmt"
	"math"
	"time"
)

// Foresight watches the decisions of one service and says which upward order is
// likely to be the next one, so that what takes long about an order can be done
// before it is placed: in a leader that is Terraform's plan. It orders nothing, and
// the law knows nothing of it. The live leader and the simulation use the same.
//
// The rule is a straight line. The sum that the law adds up, less what it rounds
// off (Law.RoundingShare, Law.RoundingMax), is an order once it is above the count
// that is ordered by all but one of the cells that make a rise worth an order
// (Law.GrowShare). The line of least squares through the sums of the last
// foreseeWindow beats is drawn on for foreseeAhead; where that, or the last sum with
// foreseeNear of a cell on top, is above, the order is likely. What it asks for is
// the least that is worth an order, or the next whole number above the sum as far as
// the line goes in the time that a plan takes.
//
// Load that is there already is worth an order of fewer cells; that one comes is
// not foreseen.
//
// The zero Foresight has seen nothing. It is not safe for concurrent use.
type Foresight struct {
	sums []float64 // of the last beats, the newest last
	at   time.Time // of the newest
}

// The constants of the rule, found on recorded loads: `make bench-foresight`.
const (
	foreseeWindow = 24               // beats
	foreseeAhead  = time.Minute      // how far the line is drawn on
	foreseePlan   = 10 * time.Second // about as long as a plan takes
	foreseeNear   = 0.5              // cells
)

// Foreseen is what is likely to be ordered next.
type Foreseen struct {
	// Count is the count that is likely to be ordered; 0 if no order is likely.
	Count int
	// Exact is the law's sum, in cells, and PerMinute how fast it changes.
	Exact, PerMinute float64
}

// String says why in half a sentence.
func (f Foreseen) String() string {
	return fmt.Sprintf("the sum is %.2f cells and changes by %+.2f a minute", f.Exact, f.PerMinute)
}

// Outlook is what a decision says of the orders to come.
type Outlook struct {
	At time.Time
	// Exact is the sum before it is rounded, in cells.
	Exact float64
	// Ordered and Desired are the decision's, Most is its largest count that makes
	// sense.
	Ordered, Desired, Most int
	// Foretells says that the decision stands on the sum. One that a person, a bound
	// or another service made, or that lacks a reading, foretells nothing.
	Foretells bool
}

// Outlook reads what the decision says of the orders to come.
func (d *Decision) Outlook() Outlook {
	exact, known := d.term("exact count")
	most, _ := d.term("most")
	return Outlook{
		At: d.At, Exact: exact, Ordered: d.Ordered, Desired: d.Desired, Most: int(most),
		Foretells: known && foretells(d.Code),
	}
}

// Outlook is what the last beat's decision says of the orders to come.
func (r *Runner) Outlook() Outlook {
	most, _ := r.mem.most(&r.now)
	return Outlook{
		At: r.obs.At, Exact: r.sum.exact, Ordered: r.obs.Ordered, Desired: r.v.desired, Most: most,
		Foretells: r.sum.known && r.sum.rateKnown && foretells(r.v.code),
	}
}

// See takes the outlook of a beat and says which count is likely to be ordered next.
func (f *Foresight) See(cfg Config, o Outlook) Foreseen {
	c := cfg.filled()
	if !o.Foretells {
		return Foreseen{}
	}
	f.keep(&c, o.At, o.Exact-c.Law.slack(o.Exact))
	slope := f.slope()
	last := f.sums[len(f.sums)-1]
	later := max(last+foreseeNear, last+slope*float64(foreseeAhead/c.Beat))
	least := o.Ordered + c.Law.leastRise(o.Ordered)
	next := min(max(least, roundUp(&c, o.Exact+slope*float64(foreseePlan/c.Beat))), o.Most)
	if o.Desired != o.Ordered || later <= float64(least-1) || next <= o.Ordered {
		return Foreseen{}
	}
	return Foreseen{Count: next, Exact: o.Exact, PerMinute: slope * float64(time.Minute/c.Beat)}
}

// leastRise is how many cells make a rise over an ordered count worth an order where
// only the forecast asks for it.
func (l *Law) leastRise(ordered int) int {
	return max(1, int(math.Ceil(l.GrowShare*float64(ordered))))
}

// keep notes a sum; after a gap, and after a clock that was set back, the line
// begins anew.
func (f *Foresight) keep(c *Config, at time.Time, sum float64) {
	if gap := at.Sub(f.at); gap > foreseeWindow*c.Beat || gap < 0 {
		f.sums = f.sums[:0]
	}
	f.at = at
	if len(f.sums) == foreseeWindow {
		f.sums = f.sums[:copy(f.sums, f.sums[1:])]
	}
	f.sums = append(f.sums, sum)
}

// slope is that of the line of least squares, in cells a beat; 0 before a quarter of
// the window is there.
func (f *Foresight) slope() float64 {
	n := float64(len(f.sums))
	if n < foreseeWindow/4 {
		return 0
	}
	var sum, weighted float64
	for i, y := range f.sums {
		sum += y
		weighted += float64(i) * y
	}
	mid := (n - 1) / 2
	return (weighted - mid*sum) / (n * (n*n - 1) / 12)
}

// foretells reports whether a decision stands on the sum.
func foretells(code string) bool {
	switch code {
	case CodePinned, CodeBoundsOnly, CodeRequested, CodeFallback, CodeBehindFull, CodeNoEffect, CodeUnpaired,
		CodeUnknownRate, CodeUnknownOffered, CodeUnknownLag, CodeUnknownLatency:
		return false
	default:
		return true
	}
}

// term is the value of a step of the sum, by its name.
func (d *Decision) term(name string) (float64, bool) {
	for i := range d.Terms {
		if d.Terms[i].Name == name {
			return d.Terms[i].Value, true
		}
	}
	return 0, false
}

// Pace bounds how often something is prepared that may turn out to be of no use: at
// most once in Least, and half as often with each time that it was of none in a row,
// down to once in Most. One that was of use makes it Least again.
//
// The zero Pace of two durations is ready. It is not safe for concurrent use.
type Pace struct {
	Least, Most time.Duration

	next   time.Time
	wasted int
}

// May reports whether it may be prepared now.
func (p *Pace) May(now time.Time) bool { return !now.Before(p.next) }

// Began notes that it is being prepared.
func (p *Pace) Began(now time.Time) {
	wait := p.Least
	for range min(p.wasted, 30) {
		if wait = 2 * wait; wait >= p.Most {
			break
		}
	}
	p.next = now.Add(max(p.Least, min(wait, p.Most)))
}

// Wasted notes that what was prepared last was of no use, Used that it was.
func (p *Pace) Wasted() { p.wasted++ }

// Used notes that what was prepared last was of use.
func (p *Pace) Used() { p.wasted, p.next = 0, time.Time{} }
