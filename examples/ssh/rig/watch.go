package main

import (
	"context"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// watch sees births as anybody does who asks Consul.
type watch struct {
	fleet *fleet.Client
	stop  func()

	mu   sync.Mutex
	seen map[string]*seen // by the life's name
}

// seen are the instants of one birth.
type seen struct {
	address string
	// ordered is zero for a cell that no leader ordered; done is when its order was
	// carried out.
	ordered, passing, done time.Time
}

// lookPause is the time between two looks, and so how exact instants are.
const lookPause = 50 * time.Millisecond

func watchBirths(ctx context.Context, c *fleet.Client) *watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{fleet: c, seen: map[string]*seen{}}
	var looking sync.WaitGroup
	looking.Go(func() {
		for ; ctx.Err() == nil; pause(ctx, lookPause) {
			w.look(ctx)
		}
	})
	w.stop = func() { cancel(); looking.Wait() }
	return w
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// look notes what is new. What Consul doesn't tell now it tells at the next look.
func (w *watch) look(ctx context.Context) {
	record, _, recordErr := w.fleet.Record(ctx, "web")
	members, err := w.fleet.Members(ctx, "web")
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		for _, m := range members {
			if s := w.of(m.ID()); m.Health == fleet.Passing && s.passing.IsZero() {
				s.passing, s.address = now, m.Address
			}
		}
	}
	if recordErr == nil {
		w.orders(record, now)
	}
}

func (w *watch) orders(record *fleet.Record, now time.Time) {
	open := map[string]bool{}
	for _, order := range record.Orders {
		for _, n := range order.Add {
			id := fleet.Cell{Name: n.Name, Incarnation: n.Incarnation}.ID()
			w.of(id).ordered, open[id] = order.Placed, true
		}
	}
	for id, s := range w.seen {
		if !s.ordered.IsZero() && !open[id] && s.done.IsZero() {
			s.done = now
		}
	}
}

func (w *watch) of(id string) *seen {
	if w.seen[id] == nil {
		w.seen[id] = &seen{}
	}
	return w.seen[id]
}

// born are those that were seen passing, by their names.
func (w *watch) born() map[string]seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]seen{}
	for id, s := range w.seen {
		if !s.passing.IsZero() {
			all[id] = *s
		}
	}
	return all
}
