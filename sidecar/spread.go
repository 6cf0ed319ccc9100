package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act/spread"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

var spreadCommand = command{
	name: "spread", args: "SERVICE",
	summary: "have the leader move a service's cells into as few workspaces as they fit in",
	note: `No cell is touched: only what Terraform's states say of them moves, between the
leader's orders and under the states' locks. What the states were before is kept
beside the root module, in .terraform/homeostat/moved. It may be interrupted: the
leader goes on, and so does the next one.`,
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.definePolicy(fs)
		look := fs.Bool("n", false, "only print what would be moved")
		return func(ctx context.Context, std stdio, args []string) error {
			if len(args) != 1 {
				return misused("give a service, as in: homeostat spread crawler")
			}
			return s.spread(ctx, std, args[0], *look)
		}
	},
}

func (s *settings) spread(ctx context.Context, std stdio, name string, look bool) error {
	return s.withClient(std, func(p *policy.Policy, c *fleet.Client) error {
		service, err := oneService(p, name)
		if err != nil {
			return err
		}
		moves, err := movesLeft(ctx, c, service)
		if err != nil {
			return err
		}
		for _, m := range moves {
			if look {
				say(std.Out, "%s from %s to %s", plural(len(m.Names), "cell"), shardLabel(m.From), shardLabel(m.To))
			}
		}
		if look || len(moves) == 0 {
			say(std.Out, "%s: %s to move", name, plural(cellsIn(moves), "cell"))
			return nil
		}
		if err := c.WishSpread(ctx, name, fleet.SpreadWish{By: whoAmI()}); err != nil {
			return err
		}
		return awaitSpread(ctx, std.Out, c, service)
	})
}

// movesLeft is what is still to be moved, by the record.
func movesLeft(ctx context.Context, c *fleet.Client, s *policy.Service) ([]spread.Move, error) {
	record, _, err := c.Record(ctx, s.Name)
	if err != nil {
		return nil, err
	}
	if record.Names == nil && record.Count > 0 {
		return nil, fmt.Errorf("%s has a bare count, and can't be spread: its root module must declare cell_names", s.Name)
	}
	at := record.Shards
	if !record.Spread() {
		at = make([]int, len(record.Names))
	}
	return spread.Moves(record.Names, at, s.Terraform.ShardSize, 0), nil
}

func cellsIn(moves []spread.Move) (n int) {
	for _, m := range moves {
		n += len(m.Names)
	}
	return n
}

func shardLabel(n int) string {
	if n == 0 {
		return "the service's own workspace"
	}
	return fmt.Sprintf("shard %d", n)
}

// awaitSpread tells how far the leader is until it is done.
func awaitSpread(ctx context.Context, w io.Writer, c *fleet.Client, s *policy.Service) error {
	told := ""
	for {
		wish, err := c.SpreadWished(ctx, s.Name)
		if err != nil {
			return err
		}
		moves, err := movesLeft(ctx, c, s)
		if err != nil {
			return err
		}
		if wish == nil {
			left := ""
			if n := cellsIn(moves); n > 0 {
				left = fmt.Sprintf("; by this policy %s should have moved, too: if the leader goes by an older one, send SIGHUP to the sidecars and spread again, else its log says why", plural(n, "cell"))
			}
			say(w, "%s: done%s", s.Name, left)
			return nil
		}
		var word loop.Word
		_ = c.Decision(ctx, s.Name, &word) // only for the trouble it may tell
		leader, err := c.Leader(ctx, s.Name)
		line := fmt.Sprintf("%s: %s to move", s.Name, plural(cellsIn(moves), "cell"))
		switch {
		case errors.Is(err, fleet.ErrNoLeader):
			line += "; nobody leads it now: whoever does next moves them, as homeostat run -service " + s.Name
		case err != nil:
			return err
		case word.Trouble != "":
			line += fmt.Sprintf(", led by %s; %s", leader, word.Trouble)
		default:
			line += fmt.Sprintf(", led by %s", leader)
		}
		if line != told {
			say(w, "%s", line)
			told = line
		}
		select {
		case <-ctx.Done():
			say(w, "%s: whoever leads goes on; homeostat spread %[1]s shows how far it is", s.Name)
			return cmp.Or(context.Cause(ctx), ctx.Err())
		case <-time.After(500 * time.Millisecond):
		}
	}
}
