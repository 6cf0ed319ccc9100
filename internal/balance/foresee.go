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
// (Law.GrowShare); what load and backlog ask for as they are now is one as soon as it
// is above that count. The lines of least squares through both, of the last
// foreseeWindow beats, are drawn on for foreseeAhead, and rise by foreseeNear of a
// cell in that time at least; where one is above, an order is likely. What it asks
// for is the sum at that time, as far as the line goes, and where the sum comes there
// first, no less than is worth an order.
//
// The zero Foresight has seen nothing. It is not safe for concurrent use.
type Foresight struct {
	sum, now ramp
	at       time.Time // of the newest beat
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
	// Exact is the sum before it is rounded, in cells, with those kept warm, and Now
	// what load and backlog ask for as they are, the same way.
	Exact, Now float64
	// Ordered and Desired are the decision's, Most is its largest count that makes
	// sense.
	Ordered, Desired, Most int
	// Foretells says that the decision stands on the sum. One that a person, a bound
	// or another service made, or that lacks a reading, foretells nothing.
	Foretells bool
}

// Outlook reads what the decision says of the orders to come.
func (d *Decision) Outlook() Outlook {
	exact, known := d.term(termExact)
	there, _ := d.term(termThere)
	spares, _ := d.term(termSpares)
	most, _ := d.term("most")
	return Outlook{
		At: d.At, Exact: exact + spares, Now: there + spares, Ordered: d.Ordered, Desired: d.Desired, Most: int(most),
		Foretells: known && foretells(d.Code),
	}
}

// Outlook is what the last beat's decision says of the orders to come.
func (r *Runner) Outlook() Outlook {
	most, _ := r.mem.most(&r.now)
	return Outlook{
		At: r.obs.At, Exact: r.sum.exact + r.sum.spares, Now: r.sum.there + r.sum.spares, Ordered: r.obs.Ordered, Desired: r.v.desired, Most: most,
		Foretells: r.sum.known && r.sum.rateKnown && foretells(r.v.code),
	}
}

// See takes the outlook of a beat and says which count is likely to be ordered next.
func (f *Foresight) See(cfg Config, o Outlook) Foreseen {
	c := cfg.filled()
	if !o.Foretells {
		return Foreseen{}
	}
	f.keep(&c, o)
	least := o.Ordered + c.Law.leastRise(o.Ordered)
	bySum, byNow := f.sum.reaches(&c, float64(least-1)), f.now.reaches(&c, float64(o.Ordered))
	slope := f.sum.slope()
	next := o.Exact + slope*max(beatsOf(&c, foreseePlan), min(bySum, byNow))
	count := roundUp(&c, next)
	if bySum <= byNow {
		count = max(count, least)
	}
	count = min(max(count, o.Ordered+1), o.Most)
	if o.Desired != o.Ordered || min(bySum, byNow) >= beatsOf(&c, foreseeAhead) || count <= o.Ordered {
		return Foreseen{}
	}
	return Foreseen{Count: count, Exact: o.Exact, PerMinute: slope * beatsOf(&c, time.Minute)}
}

func beatsOf(c *Config, d time.Duration) float64 { return float64(d / c.Beat) }

// leastRise is how many cells make a rise over an ordered count worth an order where
// only the forecast asks for it.
func (l *Law) leastRise(ordered int) int {
	return max(1, int(math.Ceil(l.GrowShare*float64(ordered))))
}

// keep notes the sums of a beat, less what is rounded off; after a gap, and after a
// clock that was set back, the lines begin anew.
func (f *Foresight) keep(c *Config, o Outlook) {
	if gap := o.At.Sub(f.at); gap > foreseeWindow*c.Beat || gap < 0 {
		f.sum, f.now = f.sum[:0], f.now[:0]
	}
	f.at = o.At
	f.sum.add(o.Exact - c.Law.slack(o.Exact))
	f.now.add(o.Now - c.Law.slack(o.Now))
}

// ramp is a value of the last beats, the newest last.
type ramp []float64

func (r *ramp) add(value float64) {
	if len(*r) == foreseeWindow {
		*r = (*r)[:copy(*r, (*r)[1:])]
	}
	*r = append(*r, value)
}

// reaches is in how many beats the line is at a level; 0 for one that is above it.
func (r ramp) reaches(c *Config, level float64) float64 {
	return max(0, level-r[len(r)-1]) / max(r.slope(), foreseeNear/beatsOf(c, foreseeAhead))
}

// slope is that of the line of least squares, in cells a beat; 0 before a quarter of
// the window is there.
func (r ramp) slope() float64 {
	n := float64(len(r))
	if n < foreseeWindow/4 {
		return 0
	}
	var sum, weighted float64
	for i, y := range r {
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
