package front

import (
	"math"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
)

// known reports whether a cell's last result may still be gone by.
func (c *Chooser) known(one *cell, now time.Time) bool {
	return !one.last.at.IsZero() && now.Sub(one.last.at) <= c.rule.ReportAge && one.last.uses <= c.rule.ReportUses
}

// inFlight is how many requests a cell has now, as far as that can be told: what
// was sent from here, which is known without delay, and what others sent. Of that
// only a mean is known, since a report may be seconds old, and what comes and goes
// in less is not to be told from it. The fewer reports the mean is of, the more it
// is drawn to what is usual among cells (credibility, Buhlmann 1967): else what
// looks the best is what the reports err about the most.
func (c *Chooser) inFlight(one *cell, now time.Time) float64 {
	others := c.elsewhere.quantile(0.5)
	if c.known(one, now) {
		others += (max(one.others, 0) - others) * one.reports / (one.reports + c.rule.ReportTrust)
	}
	return float64(one.own+one.handed) + others
}

// told is a cell's last report, with those that were sent there since by what was
// handed out. It is what a cell's own limit is held against.
func (one *cell) told() load.Report {
	r := one.last.Report
	r.InFlight = max(r.InFlight, one.own) + one.handed
	return r
}

// full reports whether a cell has no room, by its own word.
func (one *cell) full() bool { return one.last.Hot || one.told().Room() == 0 }

// latencyOf is how long a cell's answers take, in seconds: what was measured
// here, the more of it the newer it is, and for the rest what the cell reports,
// or, where it reports nothing, what cells take in general.
func (c *Chooser) latencyOf(one *cell, now time.Time) float64 {
	rest := c.latencies.quantile(0.5)
	if c.known(one, now) && one.last.Latency > 0 {
		rest = one.last.Latency.Seconds()
	}
	if one.measured.IsZero() {
		return rest
	}
	weight := math.Exp(-now.Sub(one.measured).Seconds() / c.rule.LatencyMemory.Seconds())
	return weight*one.latency + (1-weight)*rest
}

// heat orders cells before anything else does.
type heat int

const (
	cold     heat = iota // judged by its latency
	hot                  // by its requests in flight
	overfull             // as hot; it says itself that it has no room
	silent               // as hot; it owes an answer for long
)

// view is a cell as it is weighed.
type view struct {
	*cell
	inFlight float64
	latency  float64
	erring   float64
	heat     heat
}

// look estimates the load of a cell that was drawn at random, and remembers it
// for the quantiles.
func (c *Chooser) look(one *cell, now time.Time) view {
	v := c.view(one, now)
	c.flight.add(v.inFlight)
	if v.latency > 0 {
		c.latencies.add(v.latency)
	}
	c.errors.add(v.erring)
	return v
}

func (c *Chooser) view(one *cell, now time.Time) view {
	v := view{cell: one, inFlight: c.inFlight(one, now), latency: c.latencyOf(one, now), erring: c.erring(one, now)}
	v.heat = c.heatOf(v, now)
	return v
}

func (c *Chooser) heatOf(v view, now time.Time) heat {
	switch {
	case c.silent(v.cell, now):
		return silent
	case c.known(v.cell, now) && v.full():
		return overfull
	case v.crowd() > c.flight.quantile(c.rule.HotQuantile)+1:
		return hot
	}
	return cold
}

// better says which of two to take: by heat, then for cold ones by latency, and
// by requests in flight where that doesn't tell them apart, or both are hot.
func (c *Chooser) better(a, b view) bool {
	if a.heat != b.heat {
		return a.heat < b.heat
	}
	near := 1 + c.rule.LatencyTolerance
	if a.heat == cold && (a.wait() > near*b.wait() || b.wait() > near*a.wait()) {
		return a.wait() < b.wait()
	}
	// Those alike in both go by who was drawn first, so all are tried at rest.
	return a.crowd() < b.crowd()
}

// window holds the last values of something and their quantiles, which it takes
// anew now and then.
type window struct {
	values []float64 // in the order in which they came, round and round
	at     int
	sorted []float64
	since  int
}

const (
	windowSize   = 256
	windowSorted = 16
)

func newWindow() window { return window{values: make([]float64, 0, windowSize)} }

func (w *window) add(v float64) {
	if len(w.values) < windowSize {
		w.values = append(w.values, v)
	} else {
		w.values[w.at] = v
		w.at = (w.at + 1) % windowSize
	}
	w.since++
	if w.since >= windowSorted || len(w.sorted) < windowSorted {
		w.sorted = append(w.sorted[:0], w.values...)
		slices.Sort(w.sorted)
		w.since = 0
	}
}

// quantile is the value below or at which that share of the values lies; 0 while
// there are none.
func (w *window) quantile(q float64) float64 {
	if len(w.sorted) == 0 {
		return 0
	}
	return w.sorted[min(int(q*float64(len(w.sorted))), len(w.sorted)-1)]
}
