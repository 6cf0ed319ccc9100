package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// watch sees what happens to the workers as anybody does who asks Consul.
type watch struct {
	fleet *fleet.Client

	mu     sync.Mutex
	counts []count
	orders map[string]*order // by the leader's name for them, and those of leaving cells
}

// count is how many workers there were at an instant: ready ones, which take jobs
// and aren't to leave, and those that are ordered.
type count struct {
	at             time.Time
	ready, ordered int
}

// order is one change of the count.
type order struct {
	delta int
	// placed is when the leader placed it, or marked the cells that leave; taken when
	// it made its difference, on average of its cells; closed when it was carried out,
	// so that the next could begin. Zero for what wasn't seen.
	placed, taken, closed time.Time

	births map[string]time.Time // when each newborn was first seen ready
}

func newWatch(r *rig) *watch { return &watch{fleet: r.fleet, orders: map[string]*order{}} }

// run looks every tick until ctx ends.
func (w *watch) run(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		w.look(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// look notes what is new. What Consul doesn't tell now it tells at the next look.
func (w *watch) look(ctx context.Context) {
	record, _, recordErr := w.fleet.Record(ctx, service)
	marks, marksErr := w.fleet.Leaving(ctx, service)
	members, membersErr := w.fleet.Members(ctx, service)
	if recordErr != nil || marksErr != nil || membersErr != nil {
		return
	}
	w.note(time.Now(), record, marks, members)
}

func (w *watch) note(now time.Time, record *fleet.Record, marks []fleet.Leaving, members []fleet.Member) {
	leaving := map[string]fleet.Leaving{}
	for _, m := range marks {
		if slices.Contains(record.Names, m.Cell) {
			leaving[m.Cell] = m
		}
	}
	ready := map[string]bool{}
	for _, m := range members {
		if _, leaves := leaving[m.Name]; !leaves && m.Health != fleet.Critical && slices.Contains(record.Names, m.Name) {
			ready[m.Name] = true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts = append(w.counts, count{at: now, ready: len(ready), ordered: len(record.Names) - len(leaving)})
	w.births(now, record, ready)
	w.departures(now, record, leaving)
}

// births follows the orders that have cells born.
func (w *watch) births(now time.Time, record *fleet.Record, ready map[string]bool) {
	open := map[string]bool{}
	for _, o := range record.Orders {
		if len(o.Add) == 0 {
			continue
		}
		open[o.ID] = true
		if w.orders[o.ID] == nil {
			w.orders[o.ID] = &order{delta: len(o.Add), placed: o.Placed, births: map[string]time.Time{}}
		}
		for _, n := range o.Add {
			if born := w.orders[o.ID].births; born[n.Name].IsZero() {
				born[n.Name] = time.Time{}
			}
		}
	}
	for id, o := range w.orders {
		for name, at := range o.births {
			if at.IsZero() && ready[name] {
				o.births[name] = now
			}
		}
		if o.delta > 0 && !open[id] && o.closed.IsZero() {
			o.closed, o.taken = now, meanOf(o.births)
		}
	}
}

// meanOf is the mean instant of those known; zero if none is.
func meanOf(instants map[string]time.Time) time.Time {
	var first time.Time
	var sum time.Duration
	n := 0
	for _, at := range instants {
		switch {
		case at.IsZero():
			continue
		case first.IsZero():
			first = at
		}
		sum += at.Sub(first)
		n++
	}
	if n == 0 {
		return first
	}
	return first.Add(sum / time.Duration(n))
}

// departures follows cells that are marked to leave until the record has them no
// more. Those marked in one beat are one order.
func (w *watch) departures(now time.Time, record *fleet.Record, leaving map[string]fleet.Leaving) {
	open := map[string]int{}
	for _, m := range leaving {
		open[m.Since.String()]++
	}
	for id, n := range open {
		if w.orders[id] == nil {
			w.orders[id] = &order{placed: sinceOf(leaving, id), taken: now}
		}
		w.orders[id].delta = min(w.orders[id].delta, -n)
	}
	for id, o := range w.orders {
		removing := slices.ContainsFunc(record.Orders, func(o fleet.Order) bool { return len(o.Remove) > 0 })
		if o.delta < 0 && open[id] == 0 && !removing && o.closed.IsZero() {
			o.closed = now
		}
	}
}

func sinceOf(leaving map[string]fleet.Leaving, id string) time.Time {
	for _, m := range leaving {
		if m.Since.String() == id {
			return m.Since
		}
	}
	return time.Time{}
}

// seen gives what was noted: counts in order of time, and orders by when they were
// placed.
func (w *watch) seen() ([]count, []order) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var orders []order
	for _, o := range w.orders {
		orders = append(orders, *o)
	}
	slices.SortFunc(orders, func(a, b order) int { return a.placed.Compare(b.placed) })
	return slices.Clone(w.counts), orders
}

// last is the newest count.
func (w *watch) last() count {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.counts) == 0 {
		return count{}
	}
	return w.counts[len(w.counts)-1]
}
