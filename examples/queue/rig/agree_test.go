package main

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
)

// stretch is how many seconds of the simulation are one of the run. Its steps are
// seconds, and the policy's times are a fifth of the defaults, so that at five the
// simulation runs in ordinary time: a beat of five seconds, a tick of one.
const stretch = 5

// livePolicy is the example's own.
func livePolicy(t *testing.T) *policy.Service {
	t.Helper()
	text, err := os.ReadFile("../homeostat.hcl")
	if err != nil {
		t.Fatal(err)
	}
	p, diags := policy.Parse("homeostat.hcl", text)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return p.Services[0]
}

// stretched is a service's law with every time made longer.
func stretched(s *policy.Service) balance.Config {
	cfg := loop.LawConfig(s, policy.Bounds{Min: s.Min, Max: s.Max})
	stretchTimes(reflect.ValueOf(&cfg).Elem())
	return cfg
}

func stretchTimes(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case f.Kind() == reflect.Struct:
			stretchTimes(f)
		case f.Type() == reflect.TypeFor[time.Duration]():
			f.SetInt(f.Int() * stretch)
		case f.Type() == reflect.TypeFor[[]time.Duration]():
			longer := slices.Clone(f.Interface().([]time.Duration)) //nolint:errcheck // it is one, as was just asked
			for i := range longer {
				longer[i] *= stretch
			}
			f.Set(reflect.ValueOf(longer))
		}
	}
}

// simulated plays what was recorded through the simulation: the jobs that really
// came, births and removals that took as long as those next to them in time.
func simulated(s *policy.Service, r recorded) simulate.Result {
	cfg := stretched(s)
	w := simulate.DefaultWorld()
	w.CellRate, w.CellNoise, w.LoadNoise = workerRate/stretch, 0, 0
	w.Believed = w.CellRate
	w.Birth, w.BirthSigma, w.Serial = cfg.BirthTime, 0, cfg.Serial
	w.Min, w.Max, w.Start = s.Min, s.Max, r.Workers
	w.SLO, w.Takes, w.Curves, w.Sample = cfg.WaitBound, r.takes(cfg.BirthTime), true, stretch*time.Second
	w.DemandTime = stretch * 12 * time.Second
	return simulate.Run(w, r.load(), simulate.NewOurs(w, cfg), 1)
}

// load is the jobs that came in each second of the simulation.
func (r recorded) load() []float64 {
	load, early := make([]float64, len(r.Ready)*stretch), r.early()
	for i := range load {
		if at := max(0, i-early); at < len(r.Arrived) {
			load[i] = float64(r.Arrived[at])
		}
	}
	return load
}

// early is how many seconds the simulation begins before the run, so that its law
// looks when the leader did that placed the first order: of a steep rise a beat sees
// more or less, and the order it places blocks the next one.
func (r recorded) early() int {
	if len(r.Orders) == 0 {
		return 0
	}
	at := int(math.Round(r.Orders[0].Placed * stretch))
	return (stretch - at%stretch) % stretch
}

// takes says how long an order takes in the simulation: as long as that one of the
// run took that was placed nearest to it in time and went the same way.
func (r recorded) takes(usual time.Duration) func(placed, delta int) (lands, ends float64) {
	return func(placed, delta int) (lands, ends float64) {
		lands, ends = usual.Seconds(), usual.Seconds()
		nearest := math.Inf(1)
		for _, o := range r.Orders {
			if away := math.Abs(o.Placed*stretch - float64(placed)); (o.Delta > 0) == (delta > 0) && away < nearest {
				nearest, lands, ends = away, o.Lands*stretch, o.End*stretch
			}
		}
		return lands, ends
	}
}

// agreement is a run beside its simulation, from an instant on.
type agreement struct {
	seconds              int
	difference           float64 // mean of |simulated-ready| over mean ready
	lifeMean, simMean    float64 // workers
	lifeMost, simMost    float64
	lifeOrders           int
	simOrders            float64
	lifeWaits, simWaits  waitFigures
	births, removals     [2]float64 // median and largest, in seconds: until they landed
	lateP99, notProduced float64
}

func compare(r recorded, sim simulate.Result, from int) agreement {
	a := agreement{seconds: len(r.Ready) - from}
	ready, simReady := r.Ready[from:], sim.Curves.Ready[from:len(r.Ready)]
	sum := 0.0
	for i := range ready {
		sum += math.Abs(simReady[i] - ready[i])
		a.lifeMean += ready[i] / float64(len(ready))
		a.simMean += simReady[i] / float64(len(ready))
	}
	a.difference = sum / float64(len(ready)) / a.lifeMean
	a.lifeMost, a.simMost = slices.Max(ready), slices.Max(simReady)
	a.lifeOrders, a.simOrders = len(r.Orders), sim.ChangesAHour*float64(len(r.Ready)*stretch)/3600
	a.lifeWaits, a.simWaits = r.waitsFrom(from), simWaits(sim, r.load(), from)
	a.births, a.removals = r.tookFor(1), r.tookFor(-1)
	a.lateP99 = quantileOf(r.Late, 0.99)
	a.notProduced = r.notProduced()
	return a
}

// tookFor are median and longest of the orders that went up, or down.
func (r recorded) tookFor(direction int) (took [2]float64) {
	var all []float64
	for _, o := range r.Orders {
		if (o.Delta > 0) == (direction > 0) {
			all = append(all, o.End)
		}
	}
	return [2]float64{quantileOf(all, 0.5), quantileOf(all, 1)}
}

func quantileOf(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// notProduced is the largest share of the jobs due in ten seconds that the queue did
// not have at their end.
func (r recorded) notProduced() (most float64) {
	due, arrived := 0, 0
	window := int(10 * time.Second / tick)
	for i := range r.Due {
		due += r.Due[i]
		if i < len(r.Arrived) {
			arrived += r.Arrived[i]
		}
		if i >= window {
			due -= r.Due[i-window]
			if i-window < len(r.Arrived) {
				arrived -= r.Arrived[i-window]
			}
			most = max(most, 1-float64(arrived)/float64(max(1, due)))
		}
	}
	return most
}

// String is a table.
func (a agreement) String() string {
	var b strings.Builder
	row := func(what, unit string, life, sim float64) {
		_, _ = fmt.Fprintf(&b, "| %s | %.2f%s | %.2f%s |\n", what, life, unit, sim, unit)
	}
	_, _ = fmt.Fprintf(&b, "| %d s | life | simulation |\n|---|---|---|\n", a.seconds)
	row("workers, mean", "", a.lifeMean, a.simMean)
	row("workers, most", "", a.lifeMost, a.simMost)
	row("orders", "", float64(a.lifeOrders), a.simOrders)
	row("wait, mean", " s", a.lifeWaits.mean, a.simWaits.mean)
	row("wait, p99", " s", a.lifeWaits.p99, a.simWaits.p99)
	row("jobs that waited too long", " %", 100*a.lifeWaits.slow, 100*a.simWaits.slow)
	_, _ = fmt.Fprintf(&b, "\nmean difference of workers: %.1f %%; orders up took %.1f s (at most %.1f s), down %.1f s (at most %.1f s); jobs came %.2f s late at most but for one in a hundred, %.1f %% missing in the worst ten seconds\n",
		100*a.difference, a.births[0], a.births[1], a.removals[0], a.removals[1], a.lateP99, 100*a.notProduced)
	return b.String()
}

// The first order of a run was placed at 2.4 s, the twelfth second of the simulation: it
// begins three earlier, so that its law looks then.
func TestSimulationLooksWhenTheLeaderDid(t *testing.T) {
	r := recorded{Ready: []float64{1, 1}, Arrived: []int{7, 8, 9}, Orders: []taking{{1, 2.4, 4, 5}}}
	if load := r.load(); !slices.Equal(load, []float64{7, 7, 7, 7, 8, 9, 0, 0, 0, 0}) {
		t.Errorf("the load is %v, want three seconds of 7 before that of the run", load)
	}
}

// A run that went just as its simulation does is no different from it; one in which
// workers come a minute later is.
func TestAgreementIsMeasured(t *testing.T) {
	s := livePolicy(t)
	p, err := readPlan("", "", 4*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	r := recorded{Workers: p.workers(), Orders: []taking{{1, 0, 4, 5}, {-1, 0, 0, 2}}}
	for _, rate := range p.rates {
		r.Ready = append(r.Ready, 0)
		for range stretch {
			r.Arrived = append(r.Arrived, int(rate/stretch))
		}
	}
	sim := simulated(s, r)
	r.Ready = sim.Curves.Ready
	if a := compare(r, sim, 30); a.difference != 0 || a.lifeMean != a.simMean {
		t.Errorf("a run that is its simulation is different from it:\n%s", a)
	}
	if moved := sim.Curves.Ready; slices.Max(moved) < peakWorkers-2 || slices.Max(moved) == slices.Min(moved) {
		t.Errorf("the simulated workers don't follow the load: %v", moved)
	}
	r.Ready = append(slices.Repeat(r.Ready[:1], 60), r.Ready[:len(r.Ready)-60]...)
	if a := compare(r, sim, 30); a.difference < 0.05 {
		t.Errorf("a run a minute behind its simulation is only %.1f %% apart", 100*a.difference)
	}
}
