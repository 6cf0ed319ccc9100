package spool

import "time"

// PacerConfig holds the constants of the pace.
type PacerConfig struct {
	// Hold is the longest that a message is held back for latency's sake.
	Hold time.Duration
	// Spread is how long, at most, the pace rises to full speed once clients are
	// well again; a random wait of up to as much comes before, so that many spools
	// that are let go by the same event don't flush at once. At most half of Hold.
	Spread time.Duration
}

// Pacer says how many messages may go. It is a value: it knows no clock, and its
// randomness is given. While clients' latency is within its bound all may go. Where
// it isn't, none may, but for the contract:
//
//   - a message may go once it has been held for Hold, counted from when it was
//     accepted or, where that is later, from when the queue could be reached;
//   - while the oldest is older than Hold, messages go at no less than depth / Hold
//     a second. The highest such rate stays until that is over, so what has piled up
//     while the queue was away is gone after Hold and doesn't thin out for ever.
//
// When the latency is within its bound again, or the queue can be reached again, the
// pace rises from nothing: after a random part of Spread the share of the depth that
// may go in a second is 2t / (Spread² - t²) after t, by which a standing depth is
// gone after Spread, its rate rising evenly.
//
//	        latency beyond its bound
//	free --------------------------------> held
//	 ^                                      |
//	 | Spread is over, or nothing is left   | latency within its bound
//	 +------------- rising <----------------+
//
// While the queue is away nothing may go: what does is for the sender to try.
type Pacer struct {
	cfg    PacerConfig
	random func() float64 // in [0, 1)

	at      time.Time
	back    time.Time // since when the queue can be reached
	away    bool
	held    bool
	rising  bool
	rises   time.Time // when it begins to rise
	floor   float64   // messages a second, while the oldest is overdue
	credit  float64   // messages that may go
	overdue time.Time // what was accepted until then may go
}

// Load is what the pace depends on, at one instant.
type Load struct {
	// Depth is how many messages wait that may not go yet.
	Depth int
	// Oldest is when the first of them was accepted.
	Oldest time.Time
	// Held says that clients' latency is beyond its bound, Away that the queue can't
	// be reached.
	Held, Away bool
}

// NewPacer returns a pacer for a spool that is opened now, and may hold messages
// from before.
func NewPacer(cfg PacerConfig, now time.Time, waiting int, random func() float64) Pacer {
	cfg.Spread = min(cfg.Spread, cfg.Hold/2)
	p := Pacer{cfg: cfg, random: random, at: now, back: now}
	if waiting > 0 {
		p.rise(now)
	}
	return p
}

// rise begins the way to full speed.
func (p *Pacer) rise(now time.Time) {
	p.rising = p.cfg.Spread > 0
	p.rises = now.Add(time.Duration(p.random() * float64(p.cfg.Spread)))
	p.credit = 0
}

// Observe takes in what has changed. Take then says what may go.
func (p *Pacer) Observe(now time.Time, l Load) {
	passed := max(0, now.Sub(p.at))
	p.at = now
	if l.Away {
		p.away, p.credit, p.overdue = true, 0, time.Time{}
		return
	}
	if p.away {
		p.away, p.back = false, now
		p.rise(now)
	}
	if p.held && !l.Held {
		p.rise(now)
	}
	p.held = l.Held
	if l.Depth == 0 {
		p.credit, p.floor = 0, 0
		if now.After(p.rises) {
			p.rising = false
		}
	}
	p.overdue = time.Time{}
	if !now.Before(p.back.Add(p.cfg.Hold)) {
		p.overdue = now.Add(-p.cfg.Hold)
	}
	p.credit = min(p.credit+p.rate(now, l)*passed.Seconds(), float64(l.Depth))
}

// rate is how many messages a second may go, beside those that are overdue.
func (p *Pacer) rate(now time.Time, l Load) float64 {
	if l.Depth > 0 && now.Sub(l.Oldest) >= p.cfg.Hold {
		p.floor = max(p.floor, float64(l.Depth)/p.cfg.Hold.Seconds())
	} else {
		p.floor = 0
	}
	if p.held || !p.rising {
		return p.floor
	}
	t, whole := now.Sub(p.rises).Seconds(), p.cfg.Spread.Seconds()
	switch {
	case t <= 0:
		return p.floor
	case t >= whole:
		p.rising = false
		return p.floor
	}
	return max(p.floor, float64(l.Depth)*2*t/(whole*whole-t*t))
}

// Take says whether the next message, accepted at an instant, may go, and counts it
// where it may.
func (p *Pacer) Take(accepted time.Time) bool {
	switch {
	case p.away:
		return false
	case !p.held && !p.rising:
		return true
	case !p.overdue.IsZero() && !accepted.After(p.overdue):
		p.credit = max(0, p.credit-1)
		return true
	case p.credit >= 1:
		p.credit--
		return true
	}
	return false
}
