package main

import (
	"context"
	"fmt"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/replay"
	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
)

// sight is what the system looks like from outside at one instant.
type sight struct {
	stats    *store.Stats // nil while a database is away
	searches *replay.Sum  // nil before there are clients
	services map[string]loop.Status
}

// look looks once. What doesn't answer stays unknown.
func (d *demo) look(ctx context.Context) sight {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	s := sight{services: map[string]loop.Status{}}
	if stats, err := d.store.Stats(ctx); err == nil {
		s.stats = &stats
	}
	if d.clients != nil {
		sum := d.clients.tally.Sum()
		s.searches = &sum
	}
	for _, service := range services {
		status := loop.ReadStatus(ctx, d.fleet, service)
		s.services[service] = status
		for _, member := range status.Members {
			d.seen[member.ID()] = true
		}
	}
	return s
}

// complete says whether every URL known has its page stored.
func (s sight) complete() bool {
	return s.stats != nil && s.stats.Known > 0 && s.stats.Stored == s.stats.Known && s.stats.Queued == s.stats.Known
}

// crawlers counts those that are ready.
func (s sight) crawlers() int { return s.services["crawler"].Ready }

// apis counts those that are ready.
func (s sight) apis() int { return s.services["api"].Ready }

// settled says whether a service has just so many cells, none of them coming or
// going.
func (s sight) settled(service string, cells int) bool {
	status := s.services[service]
	return len(status.Unknown) == 0 && status.Count != nil && *status.Count == cells && status.Ready == cells &&
		len(status.Members) == cells && len(status.Orders) == 0
}

// passing gives the cells of a service that take work.
func (s sight) passing(service string) []fleet.Member {
	var members []fleet.Member
	for _, member := range s.services[service].Members {
		if member.Health == fleet.Passing {
			members = append(members, member)
		}
	}
	return members
}

// until looks, shows, and goes on until done says so. It gives up at the limit,
// and says what was waited for.
func (d *demo) until(ctx context.Context, s *screen, limit time.Duration, what string, done func(sight) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("waited %s for this: %s", limit, what))
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		now := d.look(ctx)
		if ctx.Err() == nil {
			s.draw(what, now)
			if done(now) {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
