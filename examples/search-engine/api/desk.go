package main

import (
	"context"
	"fmt"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/cell"
)

// A desk is where searches are worked on, so many at once; more wait in front of it.
// It makes a search take longer than it needs, so that a small machine can feel the
// load of many clients; see the README.
type desk struct {
	seats chan struct{}
	cost  time.Duration
	gate  *cell.Gate // counts; it has as many places as there are seats
}

func newDesk(workers int, cost time.Duration) *desk {
	return &desk{seats: make(chan struct{}, workers), cost: cost, gate: cell.NewGate(workers, time.Now)}
}

// enter waits for a seat and for the cost of a search. Each success needs a leave.
func (d *desk) enter(ctx context.Context) (leave func(), err error) {
	select {
	case d.seats <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for other searches: %w", context.Cause(ctx))
	}
	if err := d.gate.Enter(); err != nil {
		<-d.seats
		return nil, err
	}
	leave = func() { d.gate.Leave(); <-d.seats }
	if d.cost == 0 {
		return leave, nil
	}
	select {
	case <-time.After(d.cost):
		return leave, nil
	case <-ctx.Done():
		leave()
		return nil, fmt.Errorf("work on a search: %w", context.Cause(ctx))
	}
}
