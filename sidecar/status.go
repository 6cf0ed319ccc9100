package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

var statusCommand = command{
	name: "status", args: "[SERVICE]",
	summary: "show services, cells, health, orders and last decisions, read from Consul",
	note:    "Exit code: 0, or 1 if something could not be read.",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.definePolicy(fs)
		asJSON := fs.Bool("json", false, "print JSON, for programs")
		terms := fs.Bool("terms", false, "print every term of the last decision")
		tree := fs.Bool("lineage", false, "print which cell's leader ordered which cell, and why, as a tree")
		return func(ctx context.Context, std stdio, args []string) error {
			name, err := atMostOne(args)
			if err != nil {
				return err
			}
			if *tree && (*asJSON || *terms) {
				return misused("-lineage goes with neither -json nor -terms")
			}
			if *tree {
				return s.lineage(ctx, std, name)
			}
			return s.status(ctx, std, name, *asJSON, *terms)
		}
	},
}

func (s *settings) lineage(ctx context.Context, std stdio, name string) error {
	return s.withClient(std, func(p *policy.Policy, c *fleet.Client) error {
		services, err := chosen(p, name)
		if err != nil {
			return err
		}
		return lineage(ctx, std.Out, c, services, time.Now())
	})
}

func (s *settings) status(ctx context.Context, std stdio, name string, asJSON, terms bool) error {
	return s.withClient(std, func(p *policy.Policy, c *fleet.Client) error {
		services, err := chosen(p, name)
		if err != nil {
			return err
		}
		all, unread := readAll(ctx, c, services, p.Consul.Timeout)
		if asJSON {
			e := json.NewEncoder(std.Out)
			e.SetIndent("", "  ")
			err = e.Encode(all)
		} else if err = printStatus(std.Out, services, all, terms, time.Now()); err == nil {
			err = s.localPause(std)
		}
		return errors.Join(err, unread)
	})
}

// readAll reads the status of all services at the same time. The error says
// that something could not be read.
func readAll(ctx context.Context, c *fleet.Client, services []*policy.Service, limit time.Duration) ([]loop.Status, error) {
	all := make([]loop.Status, len(services))
	// Where Consul is away, that is said once and not for each of its keys.
	if _, err := c.Paused(ctx, ""); errors.Is(err, fleet.ErrUnreachable) {
		for i, s := range services {
			all[i] = loop.Status{Service: s.Name, Unknown: []string{everything}}
		}
		return all, fmt.Errorf("%w; nothing is known from here, but the sidecars go on, and each cell's log tells what they see", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*limit)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(8)
	for i, s := range services {
		g.Go(func() error {
			all[i] = loop.ReadStatus(ctx, c, s.Name)
			if s.Members == policy.MembersState && all[i].Last != nil {
				// Cells that can't register: the leader counted them in the state.
				all[i].Ready = all[i].Last.Decision.Ready
			}
			return nil
		})
	}
	_ = g.Wait() // what could not be read is in each status
	unread := 0
	for _, s := range all {
		unread += len(s.Unknown)
	}
	if unread > 0 {
		return all, fmt.Errorf("%s could not be read: see what is unknown", plural(unread, "value"))
	}
	return all, nil
}
