package proxy

import (
	"context"
	"math"
	"sync"
	"time"
)

// verdict is what becomes of a request at the gate.
type verdict int

const (
	admitted verdict = iota
	refused          // there is no room, and none to wait in
	expired          // it waited as long as it may
	gone             // the caller gave up meanwhile
)

// gateConfig is what a gate goes by; all of it is of the policy.
type gateConfig struct {
	rule          Rule
	window        time.Duration
	samples       int
	reserve       float64
	demand        time.Duration
	waitMax       time.Duration
	waitStanding  time.Duration
	waitInterval  time.Duration
	waitLength    int
	hot           float64
	slowStart     time.Duration
	latencyUpper  time.Duration // 0 for no bound
	latencyMemory time.Duration
}

// gate lets requests in. Clients may use the whole limit and wait for a place; crawlers
// get what clients leave, and never wait: they are let in only while the clients in
// flight, the mean of their number lately and its square root are free of them, and no
// client waits.
//
// Clients wait first come, first served, up to waitMax. Once the queue hasn't been
// empty for waitInterval, and is longer than what can be served in time, it is a
// standing one, which shortens no wait by being long: then those who come wait up to
// waitStanding and the newest is served first, since the oldest has the least patience
// left (Maurer, see the package).
type gate struct {
	cfg gateConfig

	mu       sync.Mutex
	limit    Limit
	inFlight [classes]int
	queue    line
	emptyAt  time.Time // when the queue was last known to be empty
	overlong bool      // the queue has had more than would have a turn in time
	began    time.Time // of the application's first answer; zero before it
	waiters  sync.Pool // of this gate alone: timers don't go from one test's time to another

	arrivals rate // of clients
	clients  mean // of clients in flight and waiting
	carry    float64
	win      window
	latency  float64 // of clients at the application in the last window, seconds: its median
	slow     float64 // and its 95th percentile
	capacity float64 // requests per second at the limit; 0 while unknown
	works    float64 // requests that the application works on side by side; 0 while unknown
	answers  byLoad  // to clients, waiting included
	present  rolling
}

func newGate(cfg gateConfig, now time.Time) *gate {
	g := &gate{cfg: cfg, limit: NewLimit(cfg.rule), emptyAt: now}
	g.win.begin(now)
	g.waiters.New = func() any { return newWaiter() }
	return g
}

// arrive counts a request as offered, and says whether this one is of the share of
// clients that had better go to a sibling.
func (g *gate) arrive(c Class, at time.Time) (away bool) {
	if c != Client {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.arrivals.add(at, g.cfg.demand)
	// Adding up the share spreads them evenly, without a die.
	if g.carry += g.excess(at); g.carry < 1 {
		return false
	}
	g.carry--
	return true
}

// excess is the share of clients that this cell's limit has no place for: those that
// come need, by Little's law, rate * latency places, and have the hot share of it.
func (g *gate) excess(at time.Time) float64 {
	need := g.arrivals.now(at, g.cfg.demand) * g.latency
	have := g.cfg.hot * float64(g.room(at))
	if need <= have {
		return 0
	}
	return 1 - have/need
}

// room is how many requests may be in flight. A newcomer's rises with the time since
// its application began to answer.
func (g *gate) room(at time.Time) int {
	n, since := g.limit.InFlight(), time.Duration(0)
	if !g.began.IsZero() {
		since = at.Sub(g.began)
	}
	if since < g.cfg.slowStart {
		ramp := float64(since) / float64(g.cfg.slowStart)
		n = max(min(n, g.cfg.rule.Min), int(ramp*float64(n)))
	}
	return n
}

func (g *gate) total() int { return g.inFlight[Client] + g.inFlight[Crawler] }

// busyBeyond is how much more than the application works on side by side may be in flight
// for crawlers to come in: a little, or its workers would idle between two requests,
// and what it can do could not be seen.
const busyBeyond = 1.2

// slowShare is the quantile of the application's latency that a client who waits has to
// leave time for: of those let in later, half would be answered too late by the median.
const slowShare = 0.95

// besideSamples is how many answers to the class that a window isn't of tell its latency.
const besideSamples = 5

// left is how many crawlers may be in flight.
func (g *gate) left(at time.Time) int {
	if g.queue.n > 0 {
		return 0
	}
	limit := float64(g.room(at))
	now := float64(g.inFlight[Client])
	g.clients.hold(at, now, g.cfg.demand)
	need := max(now, g.clients.value+2*math.Sqrt(g.clients.value))
	// Where clients need nearly all that the application works on side by side, crawlers
	// get what of that is idle: among the rest of the limit they would stand in the
	// application's own queue, before clients.
	works := busyBeyond * g.works
	if works > 0 && g.clients.value+math.Sqrt(g.clients.value) > nearlyFull*works {
		return int(works - now)
	}
	return int(limit - max(need, g.cfg.reserve*limit))
}

// enter waits until the request may go to the application, or can't. Who was admitted
// has to leave.
func (g *gate) enter(ctx context.Context, c Class, at time.Time) (verdict, time.Duration) {
	g.mu.Lock()
	free := g.total() < g.room(at)
	if c == Crawler {
		defer g.mu.Unlock()
		if !free || g.inFlight[Crawler] >= g.left(at) {
			return refused, 0
		}
		g.let(c, at)
		return admitted, 0
	}
	if free && g.queue.n == 0 {
		g.let(c, at)
		g.mu.Unlock()
		return admitted, 0
	}
	w := g.enqueue(at)
	g.mu.Unlock()
	if w == nil {
		return refused, 0
	}
	v := g.await(ctx, w)
	waited := time.Since(at)
	g.waiters.Put(w)
	return v, waited
}

// let counts a request as in flight.
func (g *gate) let(c Class, at time.Time) {
	g.win.pass(at, g.total())
	if c == Client {
		g.clients.hold(at, float64(g.inFlight[Client]+g.queue.n), g.cfg.demand)
	}
	g.inFlight[c]++
	g.win.peak = max(g.win.peak, g.total())
}

// leave gives a place back. Took is how long the application needed to begin its
// answer, or zero if that says nothing of its load.
func (g *gate) leave(c Class, at time.Time, took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.win.pass(at, g.total())
	if c == Client {
		g.clients.hold(at, float64(g.inFlight[Client]+g.queue.n), g.cfg.demand)
	}
	g.inFlight[c]--
	if took > 0 {
		if g.began.IsZero() {
			g.began = at
		}
		g.win.add(c, took)
		g.close(at)
	}
	g.dispatch(at)
}

// close ends the window if it is long enough, and has the limit learn from it.
func (g *gate) close(at time.Time) {
	c, ready := g.win.ready(at, g.cfg)
	if !ready {
		return
	}
	g.learn(at)
	latency := g.win.took[c].quantile(0.5)
	if c == Client {
		g.latency, g.slow = latency, g.win.took[c].quantile(slowShare)
	}
	w := Window{Class: c, Latency: latency, InFlight: g.win.peak, Works: g.works}
	if g.win.n[1-c] >= besideSamples {
		w.Beside = g.win.took[1-c].quantile(0.5)
	}
	g.limit.Observe(at, w)
	g.win.begin(at)
	g.win.peak = g.total()
}

// learn sees what the application can do: what it does while nearly the whole limit is
// in flight, and at least what it does at any time. Without the latter a cell that was
// slow for a while would never know that it isn't any more, since by what it was seen to
// do too few crawlers are let in to fill the limit.
func (g *gate) learn(at time.Time) {
	if g.limit.Probing() {
		return
	}
	rate, works := g.win.rate(at), 0.0
	for c, n := range g.win.n {
		// Little's law, each class by its own work.
		base := g.limit.Base(Class(c))
		if base == 0 {
			base = g.limit.Base(Class(1 - c))
		}
		works += rate * float64(n) / float64(g.win.done) * base
	}
	full := g.win.mean(at) >= nearlyAll*(1-min(g.cfg.reserve, 0.5))*float64(g.limit.Found())
	// Among so few answers the rate is above its mean by chance half of the time.
	certain := 1 - 1/math.Sqrt(float64(g.win.done))
	g.capacity = g.seen(g.capacity, rate, full, certain)
	g.works = g.seen(g.works, works, full, certain)
}

// seen is what was known, less or more what a window has shown.
func (g *gate) seen(known, shown float64, full bool, certain float64) float64 {
	switch {
	case full && known == 0:
		return shown
	case full, known > 0 && shown*certain > known:
		return known + g.cfg.rule.Smoothing*(shown-known)
	default:
		return known
	}
}

// answered notes what a client saw, waiting included, of an application that had so
// many requests in flight when it came.
func (g *gate) answered(at time.Time, inFlight int, took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers.add(at, inFlight, took)
	g.present.add(at, took, g.cfg.latencyMemory)
}

// down notes that the application is not there: its next answer begins a slow start.
func (g *gate) down() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.began = time.Time{}
}
