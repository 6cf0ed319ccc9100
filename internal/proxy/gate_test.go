package proxy

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var background = context.Background()

// Clients are answered in time whatever is offered beside them: half of what comes is
// theirs, at half to three times what the application can do. At twice, clients alone
// are all that it can do, and no bounded queue serves all of those.
func TestClientsFirst(t *testing.T) {
	for times, least := range map[float64]float64{0.5: 0.995, 1: 0.995, 1.5: 0.99, 2: 0.99, 3: 0.97} {
		synctest.Test(t, func(t *testing.T) {
			const slo = 100 * time.Millisecond
			cfg := defaults(t)
			cfg.latencyUpper, cfg.rule.Harmless = slo, parsed(t, "").Concurrency.Harmless*slo.Seconds()
			w := newWorld(cfg, 20*time.Millisecond, slo)
			w.spread = true
			half := times * w.capacity() / 2
			w.offer([classes]float64{half, half}, 10*time.Second)
			w.reset()
			w.offer([classes]float64{half, half}, 20*time.Second)
			w.settle()
			clients, offered := float64(w.inTime[Client].Load()), float64(w.offered[Client].Load())
			share := clients / min(offered, 20*w.capacity())
			t.Logf("%g times: %.2f %% of the clients possible in time, %d late, %d turned away; crawlers %d of %d; limit %d, base %.1f ms, capacity %.0f of %.0f/s",
				times, 100*share, w.late[Client].Load(), w.turned[Client].Load(), w.inTime[Crawler].Load(), w.offered[Crawler].Load(),
				w.gate.limit.Found(), 1000*w.gate.limit.Base(Client), w.gate.capacity, w.capacity())
			if share < least {
				t.Errorf("%g times: %.2f %% of the possible in time", times, 100*share)
			}
			if got := w.gate.total() + w.gate.queue.n; got != 0 {
				t.Errorf("%d are left", got)
			}
		})
	}
}

// Crawlers alone get nearly all that the application can do, and its capacity is found.
func TestCrawlersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(defaults(t), 20*time.Millisecond, time.Second)
		w.offer([classes]float64{0, 2 * w.capacity()}, 10*time.Second)
		w.reset()
		w.offer([classes]float64{0, 2 * w.capacity()}, 10*time.Second)
		w.settle()
		if got, want := float64(w.inTime[Crawler].Load()), 10*w.capacity(); got < 0.95*want {
			t.Errorf("%g of %g possible crawlers served", got, want)
		}
		if got := w.gate.capacity; got < 0.9*w.capacity() || got > 1.15*w.capacity() {
			t.Errorf("capacity %.0f/s, and it is %.0f", got, w.capacity())
		}
	})
}

// full is a gate whose one place is taken.
func full(t testing.TB, change ...func(*gateConfig)) *gate {
	t.Helper()
	cfg := defaults(t)
	cfg.rule.Initial, cfg.rule.Min, cfg.rule.Max = 1, 1, 1
	cfg.waitMax, cfg.waitStanding, cfg.waitInterval = time.Second, 300*time.Millisecond, 100*time.Millisecond
	for _, c := range change {
		c(&cfg)
	}
	g := newGate(cfg, time.Now())
	if v, _ := g.enter(background, Client, time.Now()); v != admitted {
		t.Fatal("the first is not let in")
	}
	return g
}

type outcome struct {
	n      int
	v      verdict
	waited time.Duration
}

// wait has one more client wait.
func wait(ctx context.Context, g *gate, n int, done chan<- outcome) {
	go func() {
		v, waited := g.enter(ctx, Client, time.Now())
		done <- outcome{n, v, waited}
	}()
	synctest.Wait()
}

func TestOrderOfWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, done := full(t), make(chan outcome, 3)
		for n := range 3 {
			wait(background, g, n, done)
		}
		g.leave(Client, time.Now(), 0)
		if got := <-done; got.n != 0 || got.v != admitted {
			t.Errorf("of a burst %+v is first, want the oldest", got)
		}
		time.Sleep(150 * time.Millisecond) // now it stands
		g.leave(Client, time.Now(), 0)
		if got := <-done; got.n != 2 || got.v != admitted {
			t.Errorf("of a standing queue %+v is first, want the newest", got)
		}
		if got := <-done; got.n != 1 || got.v != expired || got.waited != time.Second {
			t.Errorf("who is left: %+v, want expired after 1s", got)
		}
		wait(background, g, 3, done)
		time.Sleep(200 * time.Millisecond)
		wait(background, g, 4, done)
		if got := <-done; got.n != 4 || got.v != expired || got.waited != 300*time.Millisecond {
			t.Errorf("in a standing queue %+v, want expired after 300ms", got)
		}
		<-done
	})
}

func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, done := full(t, func(c *gateConfig) { c.waitLength = 1 }), make(chan outcome, 2)
		wait(background, g, 0, done)
		wait(background, g, 1, done)
		if got := <-done; got.n != 0 || got.v != refused {
			t.Errorf("%+v makes room, want the oldest", got)
		}
		ctx, cancel := context.WithCancel(background)
		cancel()
		if v, _ := g.enter(ctx, Client, time.Now()); v != gone {
			t.Errorf("a client that has gone: %v", v)
		}
		g.leave(Client, time.Now(), 0)
		if n := g.total() + g.queue.n; n > 1 {
			t.Errorf("%d in hand", n)
		}
		g = full(t, func(c *gateConfig) { c.latencyUpper = 500 * time.Millisecond })
		g.slow = 0.4
		if v, waited := g.enter(background, Client, time.Now()); v != expired || waited != 100*time.Millisecond {
			t.Errorf("%v after %v: what is left of the bound is 100ms", v, waited)
		}
		g.slow = 0.6
		if v, _ := g.enter(background, Client, time.Now()); v != refused {
			t.Errorf("%v where any wait is in vain", v)
		}
		if v, _ := g.enter(background, Crawler, time.Now()); v != refused {
			t.Errorf("a crawler: %v", v)
		}
	})
}

func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := defaults(t)
		cfg.slowStart = 10 * time.Second
		g := newGate(cfg, time.Now())
		answers := func() {
			g.enter(background, Client, time.Now())
			g.leave(Client, time.Now(), time.Millisecond)
		}
		time.Sleep(time.Minute)
		if got := g.room(time.Now()); got != 4 {
			t.Errorf("before it answers: %d, want 4", got)
		}
		answers()
		for _, want := range []int{4, 10, 20} {
			if got := g.room(time.Now()); got != want {
				t.Errorf("room for %d, want %d", got, want)
			}
			time.Sleep(5 * time.Second)
		}
		g.down()
		answers()
		if got := g.room(time.Now()); got != 4 {
			t.Errorf("after a restart: %d, want 4", got)
		}
	})
}

// The share that goes elsewhere is what is above the hot share of the limit.
func TestExcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(defaults(t), time.Now())
		g.latency = 0.1 // 20 places: 200/s, of which 180 are not hot
		away, all := 0, 0
		for range 5000 {
			time.Sleep(time.Second / 360)
			if g.arrive(Client, time.Now()) {
				away++
			}
			all++
		}
		if share := float64(away) / float64(all); share < 0.4 || share > 0.52 {
			t.Errorf("%.2f of 360/s go elsewhere, want half", share)
		}
		time.Sleep(time.Minute)
		if g.arrive(Client, time.Now()) {
			t.Error("one alone goes elsewhere")
		}
	})
}

// Whatever comes and goes: never more in flight than the limit, no crawler while a
// client waits, and nothing is left in the end.
func TestGateProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			cfg := defaults(t)
			cfg.rule.Min, cfg.rule.Initial, cfg.rule.Max = 1, rapid.IntRange(1, 5).Draw(rt, "limit"), 5
			cfg.samples, cfg.window = 2, time.Millisecond
			cfg.waitLength = rapid.IntRange(0, 4).Draw(rt, "length")
			g := newGate(cfg, time.Now())
			for range rapid.IntRange(1, 60).Draw(rt, "steps") {
				c := Class(rapid.IntRange(0, 1).Draw(rt, "class"))
				work := time.Duration(rapid.IntRange(1, 400).Draw(rt, "work")) * time.Millisecond
				patience := time.Duration(rapid.IntRange(1, 400).Draw(rt, "patience")) * time.Millisecond
				go func() {
					ctx, cancel := context.WithTimeout(background, patience)
					defer cancel()
					if v, _ := g.enter(ctx, c, time.Now()); v == admitted {
						time.Sleep(work)
						g.leave(c, time.Now(), work)
					}
				}()
				synctest.Wait()
				g.mu.Lock()
				if g.total() > 5 || g.inFlight[Client] < 0 || g.inFlight[Crawler] < 0 || g.queue.n > cfg.waitLength {
					rt.Fatalf("in flight %v, waiting %d", g.inFlight, g.queue.n)
				}
				if g.queue.n > 0 && g.total() < g.room(time.Now()) {
					rt.Fatalf("%d wait though %d of %d are in flight", g.queue.n, g.total(), g.room(time.Now()))
				}
				g.mu.Unlock()
				time.Sleep(time.Duration(rapid.IntRange(0, 50).Draw(rt, "pause")) * time.Millisecond)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if g.total() != 0 || g.queue.n != 0 {
				rt.Fatalf("in the end %v are in flight and %d wait", g.inFlight, g.queue.n)
			}
		})
	})
}

// Pressure follows the clients' latency, and is gone soon after them.
func TestPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Config{Policy: parsed(t, ""), Upper: time.Second, Quantile: 0.9, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		see := func(took time.Duration) {
			for range 100 {
				p.gate.answered(time.Now(), 1, took)
			}
		}
		if p.Pressure() != 0 || !p.WithinBound() {
			t.Errorf("before anything was seen: %g", p.Pressure())
		}
		see(500 * time.Millisecond)
		if got := p.Pressure(); got < 0.4 || got > 0.6 || !p.WithinBound() {
			t.Errorf("half of the bound: %g", got)
		}
		see(2 * time.Second)
		if got := p.Pressure(); got < 1.8 || got > 2.2 || p.WithinBound() {
			t.Errorf("twice the bound: %g", got)
		}
		time.Sleep(2 * pressureSpan)
		if got := p.Pressure(); got != 0 || !p.WithinBound() {
			t.Errorf("long after: %g", got)
		}
		p.gate.latency = 0.1
		for range 1000 {
			time.Sleep(time.Millisecond)
			p.gate.arrive(Client, time.Now())
		}
		see(100 * time.Millisecond) // those who are let in
		if p.WithinBound() {
			t.Error("63 places needed of 20: within the bound")
		}
		p.cfg.Upper = 0
		if p.WithinBound() {
			t.Error("without a bound, 63 places needed of 20: within it")
		}
		p.end(nil)
	})
}
