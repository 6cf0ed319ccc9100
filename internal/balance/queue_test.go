package balance

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// A fluid queue in steps of a second: load arrives, ready cells work it off,
// what is left is the backlog; orders land after a birth. It is what the law
// was found with, so its figures are the test that this is the law.
type queue struct {
	load   []float64     // per second, one value a second
	birth  time.Duration // median; lognormal
	serial bool
	max    int
	seed   uint64
	config Config // of the law under test
}

// What a simulated cell does, and what the law believes it does, a second.
const (
	cellRate     = 100
	believedRate = 98
	slowAfter    = 5 // seconds
)

// outcome is how a law fared.
type outcome struct {
	Slow         float64 // share of requests that waited over slowAfter, in %
	Cost         float64 // ready cell-seconds over those demanded
	ChangesAHour float64
	Most         int // cells ready at once
}

// run is a simulation in progress.
type run struct {
	queue
	law     *Runner
	rng     *rand.Rand
	ready   int
	ordered int
	backlog float64
	book    []Order // Expected is what the law is told
	lands   []int   // the second at which each really lands
	births  []float64

	requests, slow, cellSeconds, demanded float64
	landings, most                        int
	smooth                                float64
}

var epoch = time.Unix(1_000_000_000, 0)

func at(second int) time.Time { return epoch.Add(time.Duration(second) * time.Second) }

// simulate runs the law over the load.
func (q queue) simulate() outcome {
	first := mean(q.load[:min(60, len(q.load))])
	r := &run{queue: q, rng: rand.New(rand.NewPCG(q.seed, 1)), smooth: first}
	r.ready = max(1, int(math.Ceil(first/(0.7*cellRate))))
	r.ordered = r.ready
	// The rate of a cell is given, not learned: the figures are of that case.
	cfg := q.config
	cfg.Max, cfg.Serial = q.max, q.serial
	r.law = NewRunner(cfg, State{mem: memory{Rates: []versionRate{{PerCell: believedRate}}}})
	beat := int(q.config.filled().Beat / time.Second)
	arrived := 0.0
	for second := range q.load {
		arrived += r.second(second)
		if (second+1)%beat == 0 {
			r.decide(second+1, arrived/float64(beat))
			arrived = 0
		}
	}
	r.land(len(q.load))
	hours := float64(len(q.load)) / 3600
	return outcome{
		Slow: 100 * r.slow / r.requests, Cost: r.cellSeconds / r.demanded,
		ChangesAHour: float64(r.landings) / hours, Most: r.most,
	}
}

// second works one second's load and returns it.
func (r *run) second(now int) float64 {
	r.land(now)
	arrived := max(0, r.load[now]*(1+0.05*r.rng.NormFloat64()))
	capacity := float64(r.ready) * cellRate * (1 + 0.03*r.rng.NormFloat64())
	r.backlog = max(0, r.backlog+arrived-capacity)
	r.requests += arrived
	if capacity <= 0 || r.backlog/capacity > slowAfter {
		r.slow += arrived
	}
	r.smooth += (arrived - r.smooth) / 60
	r.cellSeconds += float64(r.ready)
	r.most = max(r.most, r.ready)
	return arrived
}

// land lets those orders take effect whose time has come.
func (r *run) land(now int) {
	for i := 0; i < len(r.book); {
		if r.lands[i] > now {
			i++
			continue
		}
		order := r.book[i]
		r.ready += order.Delta
		r.landings++
		if order.Delta > 0 || r.serial {
			took := at(r.lands[i]).Sub(order.Placed).Seconds()
			r.births = append(r.births, took)
			r.births = r.births[max(0, len(r.births)-32):]
		}
		r.book = slices.Delete(r.book, i, i+1)
		r.lands = slices.Delete(r.lands, i, i+1)
	}
}

// decide is one beat of the law.
func (r *run) decide(now int, offered float64) {
	r.demanded += max(1, math.Ceil(r.smooth/(0.9*cellRate))) * r.config.filled().Beat.Seconds()
	median := r.median()
	obs := Observation{
		At: at(now), Ordered: r.ordered, Ready: r.ready, InFlight: r.book,
		Offered: reading.Of(offered, at(now)), Lag: reading.Of(r.backlog, at(now)),
		BirthMedian: reading.Of(median, at(now)),
	}
	desired := r.law.Desired(obs)
	if desired != r.ordered && (!r.serial || len(r.book) == 0) {
		r.order(desired, now, median)
	}
}

func (r *run) order(desired, now int, median float64) {
	takes := r.birth.Seconds() * math.Exp(0.25*r.rng.NormFloat64())
	r.book = append(r.book, Order{
		Delta: desired - r.ordered, Placed: at(now),
		Expected: at(now).Add(time.Duration(median * float64(time.Second))),
	})
	r.lands = append(r.lands, now+max(1, int(math.Round(takes))))
	r.ordered = desired
}

// median is that of the last births; the true one before the first.
func (r *run) median() float64 {
	if len(r.births) == 0 {
		return r.birth.Seconds()
	}
	sorted := slices.Sorted(slices.Values(r.births))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// spread makes one value a second from values every step seconds, linearly,
// scaled so that the peak needs peak cells at a busy share of 0.9.
func spread(values []float64, step, peak int) []float64 {
	scale := float64(peak) * 0.9 * cellRate / slices.Max(values)
	load := make([]float64, 0, len(values)*step)
	for i := range len(values) - 1 {
		for s := range step {
			share := float64(s) / float64(step)
			load = append(load, scale*(values[i]*(1-share)+values[i+1]*share))
		}
	}
	return load
}
