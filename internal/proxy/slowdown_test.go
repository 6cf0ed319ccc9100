package proxy

import (
	"testing"
	"testing/synctest"
	"time"
)

// An application that was slow for a while is known to be as quick as before: crawlers
// get again what clients leave.
func TestCrawlersAfterASlowdown(t *testing.T) {
	for _, upper := range []time.Duration{0, 500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			cfg := defaults(t)
			if upper > 0 {
				cfg.latencyUpper, cfg.rule.Harmless = upper, parsed(t, "").Concurrency.Harmless*upper.Seconds()
			}
			const normal = 100 * time.Millisecond
			w := newWorld(cfg, normal, time.Second)
			w.spread = true
			can := w.capacity()
			rates := [classes]float64{can / 3, can}
			w.offer(rates, 30*time.Second)
			w.service = 10 * normal
			w.offer(rates, time.Minute)
			w.service = normal
			w.offer(rates, time.Minute)
			w.reset()
			w.offer(rates, time.Minute)
			w.settle()
			crawlers := float64(w.inTime[Crawler].Load() + w.late[Crawler].Load())
			if least := 0.9 * 60 * (can - rates[Client]); crawlers < least {
				t.Errorf("bound %s: %.0f crawlers were served in the second minute after it, want %.0f; capacity %.0f, and it is %.0f",
					upper, crawlers, least, w.gate.capacity, can)
			}
			if in, all := w.inTime[Client].Load(), w.offered[Client].Load(); float64(in) < 0.99*float64(all) {
				t.Errorf("bound %s: %d of %d clients in time", upper, in, all)
			}
		})
	}
}

// Where crawlers ask for more work than clients do, or less, they get all that is idle
// nevertheless.
func TestClassesOfDifferentWork(t *testing.T) {
	for _, c := range []struct{ client, crawler time.Duration }{
		{10 * time.Millisecond, 10 * time.Millisecond},
		{10 * time.Millisecond, 200 * time.Millisecond},
		{200 * time.Millisecond, 10 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg := defaults(t)
			cfg.latencyUpper, cfg.rule.Harmless = 500*time.Millisecond, 0.25
			w := newWorld(cfg, c.client, 500*time.Millisecond)
			// Clients need an eighth of the workers, crawlers would need them all.
			clients, crawlers := workers/8/c.client.Seconds(), workers/c.crawler.Seconds()
			w.mixed(clients, crawlers, c.client, c.crawler, 30*time.Second)
			w.reset()
			w.mixed(clients, crawlers, c.client, c.crawler, 30*time.Second)
			w.settle()
			served := float64(w.inTime[Crawler].Load() + w.late[Crawler].Load())
			if busy := served * c.crawler.Seconds() / 30; busy < 0.8*workers*7/8 {
				t.Errorf("%v: crawlers had %.1f of the %d workers, and clients left them %d", c, busy, workers, workers*7/8)
			}
			if in, all := w.inTime[Client].Load(), w.offered[Client].Load(); float64(in) < 0.97*float64(all) {
				t.Errorf("%v: %d of %d clients in time", c, in, all)
			}
		})
	}
}

// mixed has callers of either class come with work of their own.
func (w *world) mixed(clients, crawlers float64, client, crawler, during time.Duration) {
	for end := time.Now().Add(during); time.Now().Before(end); {
		time.Sleep(time.Duration(w.rand.ExpFloat64() / (clients + crawlers) * float64(time.Second)))
		class, mean := Crawler, crawler
		if w.rand.Float64() < clients/(clients+crawlers) {
			class, mean = Client, client
		}
		work := time.Duration((0.5 + w.rand.Float64()) * float64(mean))
		w.wg.Go(func() { w.call(class, work) })
	}
}
