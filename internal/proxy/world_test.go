package proxy

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// workers is how many requests the application works on side by side.
const workers = 32

// world is a gate before an application of so many workers, in a time of its own. Callers
// come at random, and don't wait for each other: an open loop.
type world struct {
	gate    *gate
	workers chan struct{}
	service time.Duration // mean
	rand    *rand.Rand
	slo     time.Duration
	random  bool // exponential, and not each the mean
	spread  bool // evenly, from half the mean to one and a half of it

	offered, inTime, late, turned [classes]atomic.Int64
	wg                            sync.WaitGroup
}

func defaults(t testing.TB) gateConfig {
	t.Helper()
	p := parsed(t, "")
	c := p.Concurrency
	return gateConfig{
		rule: Rule{Initial: c.Initial, Min: c.Min, Max: c.Max, Tolerance: c.Tolerance, Smoothing: c.Smoothing,
			Probe: c.Probe, ProbeShare: c.ProbeShare},
		window: c.Window, samples: c.Samples, reserve: c.ClientReserve, demand: c.DemandWindow,
		waitMax: p.Wait.Max, waitStanding: p.Wait.Standing, waitInterval: p.Wait.Interval, waitLength: p.Wait.Length,
		hot: p.Hot, latencyMemory: pressureSpan,
	}
}

func newWorld(cfg gateConfig, service, slo time.Duration) *world {
	return &world{
		gate: newGate(cfg, time.Now()), workers: make(chan struct{}, workers), service: service, slo: slo,
		rand: rand.New(rand.NewPCG(1, 2)),
	}
}

// capacity is the most that the application can do, per second.
func (w *world) capacity() float64 { return float64(cap(w.workers)) / w.service.Seconds() }

// offer has callers come at a rate per second for a time.
func (w *world) offer(rates [classes]float64, during time.Duration) {
	all := rates[Client] + rates[Crawler]
	for end := time.Now().Add(during); time.Now().Before(end); {
		time.Sleep(time.Duration(w.rand.ExpFloat64() / all * float64(time.Second)))
		c := Crawler
		if w.rand.Float64() < rates[Client]/all {
			c = Client
		}
		work := time.Duration(w.rand.ExpFloat64() * float64(w.service))
		if w.spread {
			work = time.Duration((0.5 + w.rand.Float64()) * float64(w.service))
		} else if !w.random {
			work = w.service
		}
		w.wg.Go(func() { w.call(c, work) })
	}
}

func (w *world) call(c Class, work time.Duration) {
	begun := time.Now()
	w.offered[c].Add(1)
	w.gate.arrive(c, begun)
	v, waited := w.gate.enter(background, c, begun)
	if v != admitted {
		w.turned[c].Add(1)
		return
	}
	entered := begun.Add(waited)
	w.workers <- struct{}{}
	time.Sleep(work)
	<-w.workers
	w.gate.leave(c, time.Now(), time.Since(entered))
	if time.Since(begun) <= w.slo {
		w.inTime[c].Add(1)
	} else {
		w.late[c].Add(1)
	}
}

// reset begins to count anew.
func (w *world) reset() {
	for c := range w.offered {
		for _, n := range []*atomic.Int64{&w.offered[c], &w.inTime[c], &w.late[c], &w.turned[c]} {
			n.Store(0)
		}
	}
}

// settle lets everything end.
func (w *world) settle() { w.wg.Wait(); synctest.Wait() }
