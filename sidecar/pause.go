package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

var pauseCommand = command{
	name: "pause", args: "[SERVICE]",
	summary: "stop deciding and doing, for one service or for all",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.definePolicy(fs)
		reason := fs.String("reason", "", "why, in a few `words`, for those who read status")
		return func(ctx context.Context, std stdio, args []string) error {
			name, err := atMostOne(args)
			if err != nil {
				return err
			}
			return s.pause(ctx, std, name, fleet.Pause{By: whoAmI(), Reason: *reason})
		}
	},
}

func (s *settings) pause(ctx context.Context, std stdio, name string, pause fleet.Pause) error {
	return s.withClient(std, func(p *policy.Policy, c *fleet.Client) error {
		if _, err := chosen(p, name); err != nil {
			return err
		}
		err := c.Pause(ctx, name, pause)
		if errors.Is(err, fleet.ErrUnreachable) {
			return fmt.Errorf("%w; without Consul, make an empty file %s beside the policy on each machine that leads", err, pauseFile)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(std.Out, "paused: %s; an apply that runs ends first, and %s takes it back\n",
			everyService(name), strings.TrimSpace("homeostat resume "+name))
		return err
	})
}

var resumeCommand = command{
	name: "resume", args: "[SERVICE]",
	summary: "take a pause back, of one service or that of all",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.definePolicy(fs)
		return func(ctx context.Context, std stdio, args []string) error {
			name, err := atMostOne(args)
			if err != nil {
				return err
			}
			return s.resume(ctx, std, name)
		}
	},
}

func (s *settings) resume(ctx context.Context, std stdio, name string) error {
	return s.withClient(std, func(p *policy.Policy, c *fleet.Client) error {
		services, err := chosen(p, name)
		if err != nil {
			return err
		}
		if err := c.Resume(ctx, name); err != nil {
			return err
		}
		if err := s.localPause(std); err != nil {
			return err
		}
		return stillPaused(ctx, std, c, name, services)
	})
}

// stillPaused says what goes on, and which other pauses stand in the way.
func stillPaused(ctx context.Context, std stdio, c *fleet.Client, name string, services []*policy.Service) error {
	var free []string
	for _, service := range services {
		pause, err := c.Paused(ctx, service.Name)
		if err != nil {
			return err
		}
		if pause == nil {
			free = append(free, service.Name)
			continue
		}
		text := "%s is still paused by %s, by itself: homeostat resume %[1]s\n"
		if pause.All {
			text = "%s is still paused by %s, as all services are: homeostat resume\n"
		}
		if _, err := fmt.Fprintf(std.Out, text, service.Name, cmp.Or(pause.By, "somebody")); err != nil {
			return err
		}
	}
	resumed := strings.Join(free, ", ")
	if len(free) == len(services) {
		resumed = everyService(name)
	}
	if resumed == "" {
		return nil
	}
	_, err := fmt.Fprintf(std.Out, "resumed: %s\n", resumed)
	return err
}

// pauseFile is the file beside the policy that pauses what leads on this
// machine, also without Consul.
const pauseFile = "homeostat.paused"

// localPause says so where this machine is paused by a file.
func (s *settings) localPause(std stdio) error {
	dir, err := s.dir()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, pauseFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	_, err = fmt.Fprintf(std.Out, "this machine is paused by the file %s: remove it to resume here\n", path)
	return err
}

func everyService(name string) string { return cmp.Or(name, "all services") }
