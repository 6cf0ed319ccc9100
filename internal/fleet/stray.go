package fleet

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"
)

// strayEvery is how often an agent that was left is tried again, to take away
// the registration that it still holds.
const strayEvery = 30 * time.Second

// strayLimit bounds each request for it: a push must not be late for the sake of
// an agent that hangs.
const strayLimit = 500 * time.Millisecond

// stray is what a cell left behind when it moved to another agent.
type stray struct {
	at    int   // the endpoint that holds the cell's registration now
	left  []int // other endpoints that may still hold an earlier one
	tried time.Time
}

// moved notes which agent holds a cell's registration, and which may hold an
// earlier one: the one before, and those that were asked and gave no answer.
func (c *Client) moved(cell Cell, first int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := int(c.home.at.Load())
	s, known := c.strays[cell.ID()]
	if known {
		s.left = append(s.left, s.at)
	}
	for i := first; i != at; i = (i + 1) % len(c.endpoints) {
		s.left = append(s.left, i)
	}
	slices.Sort(s.left)
	s.left = slices.DeleteFunc(slices.Compact(s.left), func(one int) bool { return one == at })
	c.strays[cell.ID()] = stray{at: at, left: s.left, tried: s.tried}
}

// sweepStrays takes a cell's registration away from agents it has left, once
// they answer again, or they would show it as critical beside the new one.
func (c *Client) sweepStrays(ctx context.Context, cell Cell) {
	c.mu.Lock()
	s, ok := c.strays[cell.ID()]
	due := ok && len(s.left) > 0 && time.Since(s.tried) > strayEvery
	if due {
		s.tried = time.Now()
		c.strays[cell.ID()] = s
	}
	c.mu.Unlock()
	if !due {
		return
	}
	var still []int
	for _, at := range s.left {
		if err := c.sweepStray(ctx, cell, at, s.at); err != nil {
			c.log.DebugContext(ctx, "old registration not taken away yet", "agent", c.endpoints[at].address, "err", err)
			still = append(still, at)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.strays[cell.ID()]; now.at == s.at {
		now.left = still
		c.strays[cell.ID()] = now
	}
}

// sweepStray deregisters the cell at one endpoint, unless that is the same agent
// as the present one by another address.
func (c *Client) sweepStray(ctx context.Context, cell Cell, at, present int) error {
	old, err := c.node(ctx, at)
	if err != nil {
		return err
	}
	now, err := c.node(ctx, present)
	if err != nil || old == now {
		return err
	}
	_, err = c.deregisterAt(ctx, at, cell.ID(), strayLimit)
	return err
}

// node is the id of the node whose agent answers at an endpoint.
func (c *Client) node(ctx context.Context, at int) (string, error) {
	var id string
	err := c.attempt(ctx, at, strayLimit, func(ctx context.Context, consul *api.Client) error {
		var self struct{ Config struct{ NodeID string } }
		_, err := consul.Raw().Query("/v1/agent/self", &self, (&api.QueryOptions{}).WithContext(ctx))
		id = self.Config.NodeID
		return err
	})
	if err == nil && id == "" {
		err = errors.New("the agent does not tell its node id")
	}
	return id, err
}
