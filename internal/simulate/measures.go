package simulate

import (
	"math"
	"time"
)

// Result is how a law fared. Shares are in percent.
type Result struct {
	// Slow is the share of requests that waited longer than the world's SLO.
	Slow float64
	// P99Wait is the wait that one request in a hundred exceeds, in seconds, to
	// a sixteenth; 0 where it is below a 64th, infinite where no cell served.
	P99Wait float64
	// Cost is ready cell-seconds over demanded ones.
	Cost float64
	// ChangesAHour counts the orders that landed, an hour.
	ChangesAHour float64
	// Under and Over are theta_U and theta_O: by how much of the demand supply
	// was short, and beyond it, mean over time. UnderTime and OverTime are tau_U
	// and tau_O: for which share of the time. Unstable is upsilon, the share of
	// the time in which supply and demand moved apart. Jitter is how many cells
	// more supply moved than demand, a minute; negative where it moved less.
	Under, Over         float64
	UnderTime, OverTime float64
	Unstable            float64
	Jitter              float64
	// Most is the largest number of cells ready at once.
	Most int
	// Requests came, Served were done and Backlog were left at the end.
	Requests, Served, Backlog float64
	// CellHours were ready.
	CellHours float64
	// Curves are there if the world asks for them.
	Curves *Curves
}

// Curves are a run's course, one value every Step. Load is arrivals per second;
// Demand, Ready and Ordered count cells; Wait is in seconds.
type Curves struct {
	Step                               time.Duration
	Load, Demand, Ready, Ordered, Wait []float64
}

// measures adds up a run.
type measures struct {
	requests, served, slow float64
	cellSeconds            float64
	landings, most         int
	waits                  waits
	wait                   float64 // of the last second

	// smooth is the load that demand is made from, in cells wholly busy.
	smooth, gain                               float64
	samples                                    float64
	demanded                                   float64
	under, over, underTime, overTime, unstable float64
	supplyMoves, demandMoves                   float64
	lastSupply, lastDemand                     float64
	curves                                     *Curves
}

func newMeasures(w *World, first float64, seconds int) measures {
	m := measures{smooth: first / w.rateAt(0), gain: min(1, 1/w.DemandTime.Seconds())}
	if w.Curves {
		n := seconds / int(w.Sample/time.Second)
		m.curves = &Curves{Step: w.Sample}
		for _, c := range []*[]float64{&m.curves.Load, &m.curves.Demand, &m.curves.Ready, &m.curves.Ordered, &m.curves.Wait} {
			*c = make([]float64, 0, n)
		}
	}
	return m
}

// add takes a second.
func (m *measures) add(w *World, arrived, served float64, serving int, perCell, wait float64) {
	m.requests += arrived
	m.served += served
	if wait > w.SLO.Seconds() {
		m.slow += arrived
	}
	m.wait = wait
	m.waits.add(wait, arrived)
	m.smooth += (arrived/perCell - m.smooth) * m.gain
	m.cellSeconds += float64(serving)
	m.most = max(m.most, serving)
}

// queued takes those of a second's requests that wait though there is no
// backlog: by chance more came than there are cells. So far none of them has waited.
func (m *measures) queued(w *World, arrived, rate float64, serving int, perCell float64) {
	slo := w.SLO.Seconds()
	m.slow += arrived * waitsLonger(rate, serving, perCell, slo)
	m.waits.none -= arrived
	if room := float64(serving)*perCell - rate; room > 0 {
		m.waits.exponential(arrived, waitsLonger(rate, serving, perCell, 0), room)
	} else {
		m.waits.add(slo, arrived) // by the formula they wait for ever; the SLO is what they are judged by
	}
}

// sample takes an instant of supply and demand.
func (m *measures) sample(w *World, serving, ordered int, rate float64) {
	supply, demand := float64(serving), max(1, math.Ceil(m.smooth/w.DemandBusy))
	m.demanded += demand
	m.under += max(demand-supply, 0) / demand
	m.over += max(supply-demand, 0) / demand
	if supply < demand {
		m.underTime++
	}
	if supply > demand {
		m.overTime++
	}
	if m.samples > 0 {
		ds, dd := supply-m.lastSupply, demand-m.lastDemand
		m.unstable += min(math.Abs(sign(ds)-sign(dd)), 1)
		m.supplyMoves += math.Abs(ds)
		m.demandMoves += math.Abs(dd)
	}
	m.samples++
	m.lastSupply, m.lastDemand = supply, demand
	if c := m.curves; c != nil {
		c.Load, c.Demand = append(c.Load, rate), append(c.Demand, demand)
		c.Ready, c.Ordered = append(c.Ready, supply), append(c.Ordered, float64(ordered))
		c.Wait = append(c.Wait, m.wait)
	}
}

func (m *measures) result(seconds int, backlog float64) Result {
	lasted := float64(seconds)
	per := func(sum, over float64) float64 {
		if over <= 0 {
			return 0
		}
		return sum / over
	}
	return Result{
		Slow:    100 * per(m.slow, m.requests),
		P99Wait: m.waits.quantile(0.99),
		// A run may end between two samples.
		Cost:         per(m.cellSeconds, m.demanded*per(lasted, m.samples)),
		ChangesAHour: per(float64(m.landings), lasted/3600),
		Under:        100 * per(m.under, m.samples), Over: 100 * per(m.over, m.samples),
		UnderTime: 100 * per(m.underTime, m.samples), OverTime: 100 * per(m.overTime, m.samples),
		Unstable: 100 * per(m.unstable, m.samples-1),
		Jitter:   per(m.supplyMoves-m.demandMoves, lasted/60),
		Most:     m.most,
		Requests: m.requests, Served: m.served, Backlog: backlog,
		CellHours: m.cellSeconds / 3600,
		Curves:    m.curves,
	}
}

func sign(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	default:
		return 0
	}
}
