// Package simulate replays a load through the control law of package balance,
// the same code that decides in a live leader, and through the laws of other
// autoscalers as their makers published them, and measures how each fares.
//
// The picture is a fluid queue in steps of a second. Load arrives with some
// noise, ready cells work it off, what is left is the backlog; a law looks every
// few seconds and says how many cells there should be; an order lands after a
// birth, whose length is drawn from a lognormal distribution. What makes the
// picture truer than that is off unless a World asks for it: single requests
// that queue, pauses of the consumers while partitions move, births that fail
// or come late, a rate of the cells that drifts, a budget of changes.
//
// The package does no I/O and starts no goroutine; the same world, load, law
// and seed give the same result. Reading traces is package trace's, comparing
// laws on many rows package contest's.
//
// The measures are those of the SPEC Research Group: Herbst et al., "Ready for
// Rain? A View from SPEC Research on the Future of Cloud Metrics", 2016; beside
// them stand the share of requests that waited too long and the cost, by which
// laws are ranked.
package simulate

import "time"

// Trace is a recorded load.
type Trace struct {
	Name string
	// Step is how long each of Rates lasts.
	Step time.Duration
	// Rates are mean arrivals per second.
	Rates []float64
}

// Seconds returns one rate a second: linear from each of Rates to the next, up
// to where the last begins.
func (t Trace) Seconds() []float64 {
	step := t.Step.Seconds()
	if len(t.Rates) < 2 || step <= 0 {
		return append([]float64(nil), t.Rates...)
	}
	load := make([]float64, int(float64(len(t.Rates)-1)*step))
	for s := range load {
		at := float64(s) / step
		i := min(int(at), len(t.Rates)-2)
		share := at - float64(i)
		load[s] = t.Rates[i]*(1-share) + t.Rates[i+1]*share
	}
	return load
}

// Scaled returns the trace with its largest rate made peak.
func (t Trace) Scaled(peak float64) Trace {
	most := 0.0
	for _, rate := range t.Rates {
		most = max(most, rate)
	}
	scaled := Trace{Name: t.Name, Step: t.Step, Rates: make([]float64, len(t.Rates))}
	for i, rate := range t.Rates {
		if most > 0 {
			scaled.Rates[i] = rate * peak / most
		}
	}
	return scaled
}

// Law decides how many cells there should be. It keeps what it remembers from
// one decision to the next, so each run needs a law of its own.
type Law interface {
	// Every is the time between two decisions, whole seconds.
	Every() time.Duration
	// Decide returns the count to order. It is cut to the world's bounds; where
	// orders are serial it is not carried out while one is in flight.
	Decide(seen Seen) int
}

// declaring is a law that writes its answer into a desired state, as the autoscaler of
// pods does: where orders are serial the newest answer is carried out as soon as the
// order before has ended. Any other law looks again first.
type declaring interface{ declares() }

// Entry is a law that can be run: a name, and how to make one for a world.
type Entry struct {
	Name string
	New  func(w World) Law
}

// Seen is what a law may know. Means are of the time since the last decision.
type Seen struct {
	// Second is the time since the run began, in seconds.
	Second int
	// Ordered counts the cells there will be when all orders have landed, Ready
	// those that serve.
	Ordered, Ready int
	// Min and Max are the bounds in force.
	Min, Max int
	// InFlight are the orders not yet landed. Not to be kept or changed.
	InFlight []Flight
	// Offered and Served are rates per second; Busy is the mean busy share of
	// the ready cells, 0..1.
	Offered, Served, Busy float64
	// Backlog counts the requests that wait.
	Backlog float64
	// BirthMedian is that of the last 32 births, in seconds; the true median
	// before the first.
	BirthMedian float64
	// Changes and Downs count the orders landed in the last hour: all, and
	// downward ones.
	Changes, Downs int
	// Rebalancing says that consumers pause while partitions move, Pause for how long
	// they do, in seconds: 0 until it was seen.
	Rebalancing bool
	Pause       float64
}

// Flight is an order that has not landed.
type Flight struct {
	Delta int
	// Placed and Expected are in seconds since the run began.
	Placed, Expected float64
}
