package balance

import (
	"slices"
	"time"
)

// effect tests whether more cells help. An upward order that has landed is given
// Law.EffectTime. If latency or lag are out of bound even then, the order's gain
// is how much of what it could have brought it did bring:
//
//	rise of the served rate / min(k*mu, rate that was left unserved)
//
// for k cells at the rate mu. Where next to nothing was left unserved, requests
// are served and only slow, and the gain is the part of the excess of latency
// that is gone or, where that is more, the part of k*mu by which the served rate
// rose: while load climbs as fast as cells are born, latency stays out of bound
// though each of them carries its share. After Law.EffectOrders orders in a row below Law.EffectGain no
// more are placed, until latency and lag are back in bound, or a service behind
// has changed its count, or Law.EffectRetry is over; the last two allow one order
// as a trial. More of what doesn't help costs money, and where a database is
// behind it costs that database its connections, too (Chamulteon: a bottleneck
// is moved, not removed, by scaling the tier before it).
type effect struct {
	// Base is what was seen last before the order.
	Base effectBase `json:"base"`
	// Cells is k of the order that has landed and isn't judged yet, 0 for none;
	// Waited is for how many beats.
	Cells  int `json:"cells"`
	Waited int `json:"waited"`
	// Gain is that of the last order judged, Futile how many in a row brought
	// next to nothing.
	Gain   float64 `json:"gain"`
	Futile int     `json:"futile"`
	// Stopped says that no upward orders are placed, for Since beats now, and
	// Counts how many cells the services behind had then. Trial says that one
	// order may be placed, or is being tested.
	Stopped bool          `json:"stopped"`
	Since   int           `json:"since"`
	Counts  []behindCount `json:"counts,omitempty"`
	Trial   bool          `json:"trial"`
	// Full is for how many beats nothing was ordered because a service behind has no
	// room, with Counts as they were then.
	Full int `json:"full,omitempty"`
}

type effectBase struct {
	Known    bool    `json:"known"`
	Ready    int     `json:"ready"`
	Ordered  int     `json:"ordered"`
	Served   float64 `json:"served"`
	Unserved float64 `json:"unserved"`
	Offered  float64 `json:"offered"`
	// Excess is how far latency was above its bound, in seconds; 0 if it wasn't.
	Excess float64 `json:"excess"`
}

type behindCount struct {
	Service string  `json:"service"`
	Count   float64 `json:"count"`
}

// strain says whether latency or lag is out of bound, and whether that is known.
func (m *memory) strain(c *Config, o *Observation) (out, known bool) {
	gone := c.missing(o)
	slow := c.LatencyUpper > 0 && o.Latency.Known && o.Latency.Value > c.LatencyUpper.Seconds()
	late := false
	perCell, rated := m.rate()
	if !c.Requests && o.Lag.Known && rated {
		late = o.Lag.Value > allowance(c, o, perCell, o.Ready)+c.WaitBound.Seconds()*perCell*float64(o.Ready)
	}
	return slow || late, slow || late || !gone.latency && !gone.lag
}

// testEffect takes one beat of the test.
func (m *memory) testEffect(c *Config, o *Observation) {
	e := &m.Effect
	out, known := m.strain(c, o)
	switch {
	case e.Cells > 0:
		m.judgeEffect(c, o, out, known)
	case !o.growing() && e.Base.Known && o.Ordered > e.Base.Ordered && o.Ready > e.Base.Ready:
		e.Cells, e.Waited = o.Ready-e.Base.Ready, 0
	case !o.growing():
		e.Base = c.effectBase(o)
	}
	if known && !out {
		*e = effect{Base: e.Base, Cells: e.Cells, Waited: e.Waited, Gain: e.Gain}
		return
	}
	if !e.Stopped {
		return
	}
	e.Since++
	if e.Since >= c.beats(c.Law.EffectRetry) || changedSince(e.Counts, o.Behind) {
		e.tryOne(c)
	}
}

// tryOne allows one order, and stops again if that didn't help either.
func (e *effect) tryOne(c *Config) {
	e.Stopped, e.Trial, e.Counts, e.Since, e.Full = false, true, nil, 0, 0
	e.Futile = max(0, c.effectOrders()-1)
}

// waitForRoom takes one beat in which nothing was ordered, or something, because of a
// service behind without room. One that is at its max, or that nobody leads, would
// have that wait for ever, and its bound may be set too low: after Law.EffectRetry
// with the same counts one order is tried there, too.
func (e *effect) waitForRoom(c *Config, o *Observation, held bool) {
	switch {
	case !held || e.Stopped || e.Trial:
		e.Full = 0
	case e.Full == 0 || changedSince(e.Counts, o.Behind):
		e.Full, e.Counts = 1, countsOf(o.Behind)
	default:
		e.Full++
	}
	if e.Full >= c.beats(c.Law.EffectRetry) {
		e.tryOne(c)
	}
}

// untilTrial is for how long no order will be tried yet; 0 where one may be.
func (e *effect) untilTrial(c *Config) time.Duration {
	if e.Trial {
		return 0
	}
	left := c.beats(c.Law.EffectRetry) - max(e.Full, e.Since)
	return time.Duration(max(0, left)) * c.Beat
}

// effectBase is what an order placed now is measured against.
func (c *Config) effectBase(o *Observation) effectBase {
	return effectBase{
		Known: o.Served.Known && o.Offered.Known,
		Ready: o.Ready, Ordered: o.Ordered,
		Served: o.Served.Value, Offered: o.Offered.Value,
		Unserved: max(0, o.Offered.Value-o.Served.Value) + valueOr(o.Lag, 0)/c.Law.EffectTime.Seconds(),
		Excess:   c.excess(o),
	}
}

func (c *Config) excess(o *Observation) float64 {
	if c.LatencyUpper <= 0 {
		return 0
	}
	return max(0, valueOr(o.Latency, 0)-c.LatencyUpper.Seconds())
}

// judgeEffect judges the order that has landed once its time is over. One that
// can't be measured for as long again is not judged at all.
func (m *memory) judgeEffect(c *Config, o *Observation, out, known bool) {
	e := &m.Effect
	e.Waited++
	wait := c.beats(c.Law.EffectTime)
	switch gain, measured := m.gain(c, o); {
	case e.Waited < wait:
		return
	case known && !out:
		e.Futile = 0
	case out && measured:
		if e.Gain = gain; gain >= c.Law.EffectGain {
			e.Futile = 0
		} else {
			e.Futile++
		}
	case e.Waited < 2*wait:
		return
	}
	e.Cells, e.Waited, e.Trial = 0, 0, false
	e.Base = c.effectBase(o)
	if e.Futile >= c.effectOrders() {
		e.Stopped, e.Since, e.Counts = true, 0, countsOf(o.Behind)
	}
}

// gain is what the order brought, 0 to 1, of what it could have.
func (m *memory) gain(c *Config, o *Observation) (gain float64, measured bool) {
	e := &m.Effect
	perCell, rated := m.rate()
	if !rated || !o.Served.Known {
		return 0, false
	}
	rise := o.Served.Value + m.unheard(c, o) - e.Base.Served
	most := min(float64(e.Cells)*perCell, e.Base.Unserved)
	if most > leastUnserved*e.Base.Offered {
		return clamp(rise/most, 0, 1), true
	}
	if e.Base.Excess <= 0 || !o.Latency.Known {
		return 1, true // it wasn't slow before: something else is
	}
	faster := (e.Base.Excess - c.excess(o)) / e.Base.Excess
	carried := rise / (float64(e.Cells) * perCell)
	return clamp(max(faster, carried), 0, 1), true
}

// leastUnserved is the share of the offered rate below which what is left
// unserved is noise: the one rate is of the last beat, the other of Law.RateWindow.
const leastUnserved = 0.02

// effectOrders is after how many futile orders no more are placed.
func (c *Config) effectOrders() int { return max(1, int(c.Law.EffectOrders)) }

// holds says that no upward order may be placed now: more cells did not help.
func (e *effect) holds(o *Observation) bool {
	return e.Stopped || e.Trial && (o.growing() || e.Cells > 0)
}

// check refuses what no run of the law can have written.
func (e *effect) check() error {
	counts := []int{e.Base.Ready, e.Base.Ordered, e.Cells, e.Waited, e.Futile, e.Since, e.Full}
	if slices.Min(counts) < 0 || len(e.Counts) > mostLooks {
		return errImpossible
	}
	for _, v := range []float64{e.Base.Served, e.Base.Unserved, e.Base.Offered, e.Base.Excess, e.Gain} {
		if !(v >= 0 && v <= 3*mostRate) {
			return errImpossible
		}
	}
	return nil
}

// countsOf are the counts of the services behind, as far as they are known.
func countsOf(behind []Behind) []behindCount {
	var all []behindCount
	for _, b := range behind {
		if b.Count.Known && len(all) < mostLooks {
			all = append(all, behindCount{b.Service, b.Count.Value})
		}
	}
	return all
}

// changedSince says that a service behind has another count than then.
func changedSince(then []behindCount, behind []Behind) bool {
	return slices.ContainsFunc(then, func(t behindCount) bool {
		return slices.ContainsFunc(behind, func(b Behind) bool {
			return b.Service == t.Service && b.Count.Known && b.Count.Value != t.Count
		})
	})
}
