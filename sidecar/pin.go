package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

var pinCommand = command{
	name: "pin", args: "SERVICE N",
	summary: "take a service's count over: it stays at N until unpin",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.define(fs)
		reason := fs.String("reason", "", "why, for those who read status")
		return func(ctx context.Context, std stdio, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("give a service and a count, as in: homeostat pin crawler 5")
			}
			count, err := strconv.Atoi(args[1])
			if err != nil || count < 0 {
				return fmt.Errorf("the count %q is no whole number of cells", args[1])
			}
			return s.pin(ctx, std, args[0], fleet.Pin{Count: count, By: whoAmI(), Reason: *reason})
		}
	},
}

func (s *settings) pin(ctx context.Context, std stdio, name string, pin fleet.Pin) error {
	p, err := s.load(std)
	if err != nil {
		return err
	}
	service, err := oneService(p, name)
	if err != nil {
		return err
	}
	if pin.Count > service.Max {
		return fmt.Errorf("%s may have at most max = %d cells: raise max in the policy first", name, service.Max)
	}
	c, err := connect(p, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Pin(ctx, name, pin); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.Out, "%s is pinned to %d cells; homeostat unpin %s gives it back\n", name, pin.Count, name)
	return err
}

var unpinCommand = command{
	name: "unpin", args: "SERVICE",
	summary: "give a pinned count back to the service's leader",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.define(fs)
		return func(ctx context.Context, std stdio, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give a service, as in: homeostat unpin crawler")
			}
			return s.withClient(std, func(c *fleet.Client) error {
				if err := c.Unpin(ctx, args[0]); err != nil {
					return err
				}
				_, err := fmt.Fprintf(std.Out, "%s is not pinned\n", args[0])
				return err
			})
		}
	},
}

// withClient runs f with a Consul client as the policy describes it.
func (s *settings) withClient(std stdio, f func(*fleet.Client) error) error {
	p, err := s.load(std)
	if err != nil {
		return err
	}
	c, err := connect(p, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(c)
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
