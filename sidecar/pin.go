package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

var pinCommand = command{
	name: "pin", args: "SERVICE N",
	summary: "take a service's count over: it stays at N until unpin",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.definePolicy(fs)
		reason := fs.String("reason", "", "why, in a few `words`, for those who read status")
		return func(ctx context.Context, std stdio, args []string) error {
			if len(args) != 2 {
				return misused("give a service and a count, as in: homeostat pin crawler 5")
			}
			count, err := strconv.Atoi(args[1])
			if err != nil || count < 0 {
				return misused("the count %q is no whole number of cells", args[1])
			}
			return s.pin(ctx, std, args[0], fleet.Pin{Count: count, By: whoAmI(), Reason: *reason})
		}
	},
}

func (s *settings) pin(ctx context.Context, std stdio, name string, pin fleet.Pin) error {
	return s.withClient(std, func(p *policy.Policy, c *fleet.Client) error {
		service, err := oneService(p, name)
		if err != nil {
			return err
		}
		if most := mostCells(service); pin.Count > most {
			return fmt.Errorf("%s may have at most max = %s: raise max in the policy first", name, plural(most, "cell"))
		}
		if err := c.Pin(ctx, name, pin); err != nil {
			return err
		}
		below := ""
		if pin.Count < service.Min {
			below = fmt.Sprintf(", below its min of %d, which doesn't bind a person", service.Min)
		}
		_, err = fmt.Fprintf(std.Out, "%s is pinned to %s%s; homeostat unpin %[1]s gives it back\n", name, plural(pin.Count, "cell"), below)
		return err
	})
}

var unpinCommand = command{
	name: "unpin", args: "SERVICE",
	summary: "give a pinned count back to the service's leader",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.definePolicy(fs)
		return func(ctx context.Context, std stdio, args []string) error {
			if len(args) != 1 {
				return misused("give a service, as in: homeostat unpin crawler")
			}
			return s.unpin(ctx, std, args[0])
		}
	},
}

func (s *settings) unpin(ctx context.Context, std stdio, name string) error {
	return s.withClient(std, func(p *policy.Policy, c *fleet.Client) error {
		if _, err := oneService(p, name); err != nil {
			return err
		}
		pin, err := c.Pinned(ctx, name)
		if err != nil {
			return err
		}
		if pin == nil {
			_, err = fmt.Fprintf(std.Out, "%s was not pinned\n", name)
			return err
		}
		if err := c.Unpin(ctx, name); err != nil {
			return err
		}
		_, err = fmt.Fprintf(std.Out, "%s is not pinned any more; it was, to %s\n", name, plural(pin.Count, "cell"))
		return err
	})
}

// whoAmI is how a person's pins and pauses are signed: user@host.
func whoAmI() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
