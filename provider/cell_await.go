package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// How often a birth is looked at: often while it is likely to end, seldom later,
// for a service may have many at a time.
const (
	awaitLeast = 50 * time.Millisecond
	awaitMost  = time.Second
)

// await returns when the cell's own sidecar has pushed passing.
func (c *creation) await(ctx context.Context, newborn *birth.Newborn) (*fleet.Member, error) {
	var last progress
	for pause := awaitLeast; ; pause = min(pause+pause/16, awaitMost) {
		running, err := newborn.Running()
		if err != nil {
			return nil, err
		}
		if !running {
			return nil, c.ended(ctx, newborn)
		}
		member, err := c.roll.member(ctx, c.spec.Service, c.spec.Name)
		if err == nil && member.Incarnation == c.spec.Incarnation && member.Health == fleet.Passing {
			return member, nil
		}
		if ctx.Err() == nil {
			last = progressOf(member, err, c.spec)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, last.stopped(ctx)
		}
	}
}

func (c *creation) ended(ctx context.Context, newborn *birth.Newborn) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return fmt.Errorf("its process %d ended before the cell was passing: %s", newborn.PID, newborn.Exit(ctx))
}

// progress is how far a birth had come when it was last looked at.
type progress string

func progressOf(member *fleet.Member, err error, spec birth.Spec) progress {
	switch {
	case errors.Is(err, fleet.ErrNotFound), err == nil && member.Incarnation != spec.Incarnation:
		return "its sidecar has not registered in Consul"
	case err != nil:
		return progress("Consul could not be asked: " + err.Error())
	case member.Output == "":
		return progress("it is registered in Consul, and " + string(member.Health))
	default:
		return progress(fmt.Sprintf("it is registered in Consul, and %s: %s", member.Health, member.Output))
	}
}

// stopped says why the wait is over, and where it stood.
func (p progress) stopped(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("it was interrupted (%w), and then %s", ctx.Err(), p)
	}
	return fmt.Errorf("%w, and then %s", context.Cause(ctx), p)
}
