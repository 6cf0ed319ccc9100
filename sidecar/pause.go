package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

var pauseCommand = command{
	name: "pause", args: "[SERVICE]",
	summary: "stop deciding and doing, for one service or for all",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.define(fs)
		reason := fs.String("reason", "", "why, for those who read status")
		return func(ctx context.Context, std stdio, args []string) error {
			name, err := optionalService(args)
			if err != nil {
				return err
			}
			return s.withClient(std, func(c *fleet.Client) error {
				if err := c.Pause(ctx, name, fleet.Pause{By: whoAmI(), Reason: *reason}); err != nil {
					return err
				}
				_, err := fmt.Fprintf(std.Out, "paused: %s\n", everyService(name))
				return err
			})
		}
	},
}

var resumeCommand = command{
	name: "resume", args: "[SERVICE]",
	summary: "take a pause back",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.define(fs)
		return func(ctx context.Context, std stdio, args []string) error {
			name, err := optionalService(args)
			if err != nil {
				return err
			}
			return s.withClient(std, func(c *fleet.Client) error {
				if err := c.Resume(ctx, name); err != nil {
					return err
				}
				return stillPaused(ctx, std, c, name)
			})
		}
	},
}

// stillPaused says whether another pause stands in the way.
func stillPaused(ctx context.Context, std stdio, c *fleet.Client, name string) error {
	rest, err := c.Paused(ctx, name)
	if err != nil {
		return err
	}
	if rest != nil && name != "" {
		_, err = fmt.Fprintf(std.Out, "%s is still paused, as all services are: homeostat resume\n", name)
		return err
	}
	_, err = fmt.Fprintf(std.Out, "resumed: %s\n", everyService(name))
	return err
}

func optionalService(args []string) (string, error) {
	switch len(args) {
	case 0:
		return "", nil
	case 1:
		return args[0], nil
	default:
		return "", fmt.Errorf("give one service, or none for all")
	}
}

func everyService(name string) string {
	if name == "" {
		return "all services"
	}
	return name
}
