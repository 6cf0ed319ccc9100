package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// rollFresh is for how long one list of a service's cells serves all that ask.
const rollFresh = 40 * time.Millisecond

// roll lists the cells of each service for all births that wait at the same
// time: dozens of them would otherwise ask Consul for the same list, each for
// itself.
type roll struct {
	members func(ctx context.Context, service string) ([]fleet.Member, error)

	mu       sync.Mutex
	services map[string]*call
}

// call is the newest list of one service. The channel is its lock: whoever has
// put something in may ask.
type call struct {
	turn    chan struct{}
	members []fleet.Member
	err     error
	at      time.Time
}

func newRoll(members func(context.Context, string) ([]fleet.Member, error)) *roll {
	return &roll{members: members, services: map[string]*call{}}
}

// member returns one cell as it was at most rollFresh ago, or fleet.ErrNotFound.
func (r *roll) member(ctx context.Context, service, name string) (*fleet.Member, error) {
	c := r.of(service)
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if time.Since(c.at) > rollFresh {
		members, err := r.members(ctx, service)
		if ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), err) // Another's list isn't spoiled by it.
		}
		c.members, c.err, c.at = members, err, time.Now()
	}
	if c.err != nil {
		return nil, c.err
	}
	for _, m := range c.members {
		if m.Name == name {
			return &m, nil
		}
	}
	return nil, fleet.ErrNotFound
}

func (r *roll) of(service string) *call {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.services[service]
	if !ok {
		c = &call{turn: make(chan struct{}, 1)}
		r.services[service] = c
	}
	return c
}
