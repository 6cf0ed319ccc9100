package simulate

import "time"

// World is what a law is tried in. DefaultWorld is the picture in which the
// published figures were made.
type World struct {
	// CellRate is what a busy cell does a second, and CellNoise the standard
	// deviation of it from second to second, as a share. 100, 0.03.
	CellRate, CellNoise float64
	// Believed is what ours takes CellRate for until it has measured it; 98.
	// Peers need no such belief.
	Believed float64
	// LoadNoise is the standard deviation of the arrivals about the load, as a
	// share; 0.05.
	LoadNoise float64
	// Birth is the median time from order to landing, of births and removals
	// alike, and BirthSigma the standard deviation of its logarithm; 60 s, 0.25.
	Birth      time.Duration
	BirthSigma float64
	// Serial says that an order can only start when the last has landed.
	Serial bool
	// Takes says how long an order takes, as measured elsewhere, from the second at
	// which it is placed: until its cells come or go, and until it has ended, so
	// that a serial one can follow; both in seconds. Nil: both are drawn from Birth.
	Takes func(placed, delta int) (lands, ends float64)
	// Min and Max bound the count. A Max of 0 is no bound.
	Min, Max int
	// Bounds take the place of Min and Max, each from its second on; in order of time.
	Bounds []Bounds
	// SLO is how long a request may wait before it counts as slow; 5 s.
	SLO time.Duration
	// Start is the number of cells at the beginning; 0: what the first minute's
	// load keeps busy to StartBusy, 0.7.
	Start     int
	StartBusy float64
	// DemandBusy is the busy share at which demand is counted, DemandTime the
	// time constant with which the load is smoothed for it; 0.9, 60 s.
	DemandBusy float64
	DemandTime time.Duration
	// Stream tells rows of one seed apart: another stream, another noise.
	Stream uint64
	// Curves asks for the curves of the run, one point every Sample; 5 s.
	Curves bool
	Sample time.Duration

	// Outages take cells away for a while.
	Outages []Outage
	// Truer is what the plain picture leaves out.
	Truer Truer
}

// Outage takes a share of the ready cells away from From to Until.
type Outage struct {
	From, Until time.Duration
	Share       float64
}

// Truer is what the plain picture leaves out. The zero value leaves it out.
type Truer struct {
	// Queueing makes arrivals single requests: Poisson about the load, of
	// exponential length, and what waits while the fluid picture has no backlog
	// by Erlang's formula.
	Queueing bool
	// Pause is for how long all consumers pause when an order lands.
	Pause time.Duration
	// FailShare is the share of cells whose birth fails and is tried again after
	// FailWait; LateShare the share of orders that take LateFactor times as long.
	FailShare  float64
	FailWait   time.Duration
	LateShare  float64
	LateFactor float64
	// Drift is by which share the rate of a cell swings about CellRate, once in
	// DriftPeriod. Laws see served rate and busy share, so that ours can measure.
	Drift       float64
	DriftPeriod time.Duration
	// FlapBudget is the number of changes an hour from which on ours releases
	// nothing; 0: no budget. Peers have no such thing.
	FlapBudget int
}

// measures says that ours is told what cells serve and how busy they are,
// rather than what to believe.
func (t *Truer) measures() bool { return t.Drift > 0 }

// DefaultWorld is the picture of the published figures.
func DefaultWorld() World {
	return World{
		CellRate: 100, CellNoise: 0.03, Believed: 98, LoadNoise: 0.05,
		Birth: time.Minute, BirthSigma: 0.25, Min: 1,
		SLO: 5 * time.Second, StartBusy: 0.7, DemandBusy: 0.9, DemandTime: time.Minute,
		Sample: 5 * time.Second,
	}
}

// filled puts defaults in the place of what must not be zero.
func (w World) filled() World {
	def := DefaultWorld()
	w.CellRate = orDefault(w.CellRate, def.CellRate)
	w.Believed = orDefault(w.Believed, w.CellRate)
	w.Birth = orDefault(w.Birth, def.Birth)
	w.SLO = orDefault(w.SLO, def.SLO)
	w.StartBusy = orDefault(w.StartBusy, def.StartBusy)
	w.DemandBusy = orDefault(w.DemandBusy, def.DemandBusy)
	w.DemandTime = orDefault(w.DemandTime, def.DemandTime)
	w.Sample = max(orDefault(w.Sample, def.Sample), time.Second)
	w.Min = max(w.Min, 0)
	return w
}

func orDefault[T ~int64 | ~float64](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}
