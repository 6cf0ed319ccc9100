package proxy

import (
	"context"
	"time"
)

// waiter is a client that waits for its turn.
type waiter struct {
	turn         chan bool // true: it is its turn; false: it made room for a newer one
	timer        *time.Timer
	older, newer *waiter
	waits        bool
}

func newWaiter() *waiter {
	w := &waiter{turn: make(chan bool, 1), timer: time.NewTimer(time.Hour)}
	w.timer.Stop()
	return w
}

// line is those who wait, by when they came.
type line struct {
	oldest, newest *waiter
	n              int
}

func (l *line) push(w *waiter) {
	w.older, w.newer, w.waits = l.newest, nil, true
	if l.newest != nil {
		l.newest.newer = w
	} else {
		l.oldest = w
	}
	l.newest = w
	l.n++
}

func (l *line) remove(w *waiter) {
	if w.older != nil {
		w.older.newer = w.newer
	} else {
		l.oldest = w.newer
	}
	if w.newer != nil {
		w.newer.older = w.older
	} else {
		l.newest = w.older
	}
	w.older, w.newer, w.waits = nil, nil, false
	l.n--
}

// standing says whether the queue has not been empty for so long that it is no mere
// burst, and is so long that who comes last would have no turn in time if the oldest
// were served first; then until it is half as long. While it is shorter everybody has
// one, which is why a service that is just fully used keeps the order: the newest first
// would let the oldest go though there will be a place for them.
func (g *gate) standing(at time.Time) bool {
	if g.queue.n == 0 || at.Sub(g.emptyAt) < g.cfg.waitInterval {
		return false
	}
	if g.capacity == 0 {
		return true
	}
	bound := g.patience(g.cfg.waitStanding).Seconds()
	if g.overlong {
		bound /= 2
	}
	g.overlong = float64(g.queue.n)/g.capacity > bound
	return g.overlong
}

// patience is how long a client may wait at most: who waits longer than what the
// application leaves of the bound on latency is answered too late in any case.
func (g *gate) patience(most time.Duration) time.Duration {
	if g.cfg.latencyUpper > 0 {
		most = min(most, g.cfg.latencyUpper-time.Duration(g.slow*float64(time.Second)))
	}
	return most
}

// enqueue has a client wait, or returns nil if it may not. In a queue that is full the
// oldest makes room.
func (g *gate) enqueue(at time.Time) *waiter {
	if g.queue.n == 0 {
		g.emptyAt = at
	}
	most := g.cfg.waitMax
	if g.standing(at) {
		most = g.cfg.waitStanding
	}
	patience := g.patience(most)
	if patience <= 0 || g.cfg.waitLength == 0 {
		return nil
	}
	g.clients.hold(at, float64(g.inFlight[Client]+g.queue.n), g.cfg.demand)
	if g.queue.n >= g.cfg.waitLength {
		oldest := g.queue.oldest
		g.queue.remove(oldest)
		oldest.turn <- false
	}
	w, _ := g.waiters.Get().(*waiter) // the pool holds nothing else
	w.timer.Reset(patience)
	g.queue.push(w)
	return w
}

// await returns once it is the client's turn, or its time is over, or it has gone.
func (g *gate) await(ctx context.Context, w *waiter) verdict {
	defer w.timer.Stop()
	v := gone
	select {
	case turn := <-w.turn:
		return turned(turn)
	case <-w.timer.C:
		v = expired
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.waits {
		g.queue.remove(w)
		return v
	}
	turn := <-w.turn // it came at the same time
	if turn && v == gone {
		g.inFlight[Client]--
		g.dispatch(time.Now())
		return gone
	}
	return turned(turn)
}

func turned(turn bool) verdict {
	if turn {
		return admitted
	}
	return refused
}

// dispatch lets in who waits while there is room.
func (g *gate) dispatch(at time.Time) {
	for g.queue.n > 0 && g.total() < g.room(at) {
		w := g.queue.oldest
		if g.standing(at) {
			w = g.queue.newest
		}
		g.queue.remove(w)
		g.let(Client, at)
		w.turn <- true
	}
	if g.queue.n == 0 {
		g.emptyAt = at
	}
}
