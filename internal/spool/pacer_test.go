package spool

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// paced plays a spool whose pace is asked every step: what waits, by when it was
// accepted, and when each went.
type paced struct {
	pacer   Pacer
	cfg     PacerConfig
	now     time.Time
	waiting []time.Time
	load    Load
}

func newPaced(cfg PacerConfig, phase float64) *paced {
	now := time.Unix(1_000_000, 0)
	return &paced{cfg: cfg, now: now, pacer: NewPacer(cfg, now, 0, func() float64 { return phase })}
}

func (p *paced) step(d time.Duration, arrivals int) (went []time.Time) {
	p.now = p.now.Add(d)
	for range arrivals {
		p.waiting = append(p.waiting, p.now)
	}
	p.load.Depth = len(p.waiting)
	if len(p.waiting) > 0 {
		p.load.Oldest = p.waiting[0]
	}
	p.pacer.Observe(p.now, p.load)
	for len(p.waiting) > 0 && p.pacer.Take(p.waiting[0]) {
		went, p.waiting = append(went, p.waiting[0]), p.waiting[1:]
	}
	return went
}

// TestPaceContract plays any order of arrivals, latency and outages, and holds what
// Pacer promises: nothing is held for longer than Hold counted from its acceptance
// or the queue's return, nothing goes while the queue is away, all goes while there
// is no reason to hold it, and an overdue spool flows at depth / Hold or more.
func TestPaceContract(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := PacerConfig{
			Hold:   time.Duration(rapid.IntRange(1, 120).Draw(t, "hold")) * time.Second,
			Spread: time.Duration(rapid.IntRange(0, 60).Draw(t, "spread")) * time.Second,
		}
		p := newPaced(cfg, rapid.Float64Range(0, 0.999).Draw(t, "phase"))
		back, calm := p.now, p.now
		var overdue time.Duration // how long it has been so
		owed, paid := 0.0, 0
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			step := time.Duration(rapid.IntRange(1, 2000).Draw(t, "step")) * time.Millisecond
			wasAway, wasHeld := p.load.Away, p.load.Held
			if rapid.IntRange(0, 9).Draw(t, "change") == 0 {
				p.load.Held = rapid.Bool().Draw(t, "held")
				p.load.Away = rapid.IntRange(0, 3).Draw(t, "away") == 0
			}
			went := p.step(step, rapid.IntRange(0, 20).Draw(t, "arrivals"))
			if p.load.Away {
				if len(went) > 0 {
					t.Fatalf("%d messages go to a queue that is away", len(went))
				}
				overdue, owed, paid = 0, 0, 0
				continue
			}
			if wasAway {
				back, calm = p.now, p.now
			}
			if wasHeld || p.load.Held {
				calm = p.now
			}
			for _, at := range p.waiting {
				since := at
				if back.After(since) {
					since = back
				}
				if held := p.now.Sub(since); held >= cfg.Hold {
					t.Fatalf("held for %v, hold is %v", held, cfg.Hold)
				}
			}
			if len(p.waiting) > 0 && p.now.Sub(calm) > 2*min(cfg.Spread, cfg.Hold/2) {
				t.Fatalf("%d messages wait though all has been well for %v", len(p.waiting), p.now.Sub(calm))
			}
			// The rate, where it was overdue at the beginning of the step too.
			late := p.load.Depth > 0 && p.now.Sub(p.load.Oldest) >= cfg.Hold
			if !late || wasAway {
				overdue, owed, paid = 0, 0, 0
				continue
			}
			if overdue += step; overdue > step {
				owed += float64(len(p.waiting)) / cfg.Hold.Seconds() * step.Seconds()
				paid += len(went)
			}
			if owed > float64(paid)+2 {
				t.Fatalf("overdue for %v: %d messages went, %.1f had to", overdue, paid, owed)
			}
		}
	})
}

// TestOutageDrainsEvenly holds that what piled up during an outage is gone after Hold at an
// even rate, though clients are not well.
func TestOutageDrainsEvenly(t *testing.T) {
	p := newPaced(PacerConfig{Hold: 60 * time.Second, Spread: 10 * time.Second}, 0.5)
	p.load = Load{Held: true, Away: true}
	p.step(time.Second, 6000)
	for range 300 {
		p.step(time.Second, 0)
	}
	p.load.Away = false
	p.step(0, 0)
	for i := range 60 {
		if n := len(p.step(time.Second, 0)); n < 99 || n > 101 {
			t.Fatalf("in second %d of 60 %d messages of 6000 go", i, n)
		}
	}
	if len(p.waiting) > 1 {
		t.Errorf("%d are left", len(p.waiting))
	}
}

// TestManySpoolsSpread lets a thousand spools go by the same event.
func TestManySpoolsSpread(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]*paced, 1000)
	for i := range all {
		all[i] = newPaced(PacerConfig{Hold: 60 * time.Second, Spread: 10 * time.Second}, random.Float64())
		all[i].load.Held = true
		all[i].step(time.Second, 100)
		all[i].step(time.Second, 0)
		all[i].load.Held = false
	}
	most, sum := 0, 0
	for range 200 {
		n := 0
		for _, p := range all {
			n += len(p.step(100*time.Millisecond, 0))
		}
		most, sum = max(most, n), sum+n
	}
	// Evenly it would be 500 in each of 200 tenths of a second.
	if sum != 100_000 || most > 1500 {
		t.Errorf("%d of 100000 messages went, up to %d in a tenth of a second", sum, most)
	}
}

func TestPaceWithoutPressure(t *testing.T) {
	p := newPaced(PacerConfig{Hold: time.Minute, Spread: 10 * time.Second}, 0.9)
	for range 100 {
		if p.step(10*time.Millisecond, 50); len(p.waiting) > 0 {
			t.Fatal("a message waits though all is well")
		}
	}
}
