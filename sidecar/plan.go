package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

var planCommand = command{
	name: "plan", args: "[SERVICE]",
	summary: "one beat without acting: what would be decided, and what Terraform would change",
	note:    "Exit code: 0 if there is nothing to do, 2 if there is something, 1 on an error.",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.definePolicy(fs)
		s.defineLog(fs, "warn")
		return func(ctx context.Context, std stdio, args []string) error {
			name, err := atMostOne(args)
			if err != nil {
				return err
			}
			return s.plan(ctx, std, name)
		}
	},
}

func (s *settings) plan(ctx context.Context, std stdio, name string) error {
	return s.withLeading(std, name, func(n *leading, service *policy.Service) error {
		l, done, err := n.leader(service, nil, nil)
		if err != nil {
			return err
		}
		defer done()
		o, err := l.Plan(ctx)
		if err != nil {
			return err
		}
		if err := n.printOutcome(ctx, std.Out, service.Name, o, would); err != nil {
			return err
		}
		switch {
		case len(o.Refused) > 0:
			return fmt.Errorf("the guard would refuse Terraform's plan: %s in it may not be made", plural(len(o.Refused), "change"))
		case o.Nothing():
			return nil
		}
		if err := n.printNext(ctx, std.Out, service.Name, o); err != nil {
			return err
		}
		return &exitCodeError{code: exitChanges}
	})
}

// printNext says who does what was planned, and how.
func (n *leading) printNext(ctx context.Context, w io.Writer, service string, o loop.Outcome) error {
	leader, err := n.fleet.Leader(ctx, service)
	var text string
	switch {
	case o.Held != "":
		text = "Nothing is done while it is held."
	case errors.Is(err, fleet.ErrNoLeader):
		text = fmt.Sprintf("Nobody leads %s now: homeostat apply %[1]s does one beat, homeostat run -service %[1]s all that follow.", service)
	case err != nil:
		return err
	default:
		text = fmt.Sprintf("%s is led by %s, which decides and acts by itself.", service, leader)
	}
	_, err = fmt.Fprintf(w, "\n%s\n", text)
	return err
}

// withLeading runs f for one service with what a leader needs.
func (s *settings) withLeading(std stdio, name string, f func(*leading, *policy.Service) error) error {
	p, err := s.load(std)
	if err != nil {
		return err
	}
	service, err := oneService(p, name)
	if err != nil {
		return err
	}
	log, err := s.logger(std.Err)
	if err != nil {
		return err
	}
	dir, err := s.dir()
	if err != nil {
		return err
	}
	keys, err := peerKeys(p, dir, log)
	if err != nil {
		return err
	}
	c, err := connect(p, keys, log)
	if err != nil {
		return err
	}
	defer c.Close()
	n, err := newLeading(p, dir, c, prometheus.NewRegistry(), log)
	if err != nil {
		return err
	}
	n.peers = keys
	return f(n, service)
}
