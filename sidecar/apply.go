package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

var applyCommand = command{
	name: "apply", args: "[SERVICE]",
	summary: "one beat, acting: for cron jobs and for trying",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.define(fs)
		return func(ctx context.Context, std stdio, args []string) error {
			name, err := atMostOne(args)
			if err != nil {
				return err
			}
			return s.apply(ctx, std, name)
		}
	},
}

func (s *settings) apply(ctx context.Context, std stdio, name string) error {
	return s.withLeading(std, name, func(n *leading, service *policy.Service) error {
		lease, err := n.fleet.TryStand(ctx, service.Name, n.holder)
		var held *fleet.HeldError
		if errors.As(err, &held) && !held.Delayed {
			return fmt.Errorf("%w, which decides and acts by itself: there is nothing for apply to do", err)
		}
		if err != nil {
			return err
		}
		defer release(ctx, n, lease)
		l, done, err := n.leader(service, lease, nil)
		if err != nil {
			return err
		}
		defer done()
		o, err := l.Apply(ctx)
		switch {
		case err == nil:
			return n.printOutcome(ctx, std.Out, service.Name, o, did)
		case o.Decision.At.IsZero():
			return err // nothing was decided
		default:
			return errors.Join(n.printOutcome(ctx, std.Out, service.Name, o, failed), err)
		}
	})
}

// release gives the lock back, also when the command was interrupted.
func release(ctx context.Context, n *leading, lease *fleet.Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := lease.Release(ctx); err != nil {
		n.log.Warn("could not give the lock back; it frees itself when the session ends", "error", err)
	}
}
