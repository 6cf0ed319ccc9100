package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

var hostsCommand = command{
	name: "hosts", args: "[ADDRESS...]",
	summary: "which machines of pools are in use, and why; -return gives some back that are used no more",
	note: "All that aren't free are listed, or those named. A machine is held while a cell lives or is born there, failed when a birth\n" +
		"could not be begun there (it is tried again after all others), spent when its cell has left and its door stays shut, and lost when\n" +
		"its cell didn't answer the order to leave or its door could not be shut. Look at a machine, and let births in again, before you\n" +
		"return it. An address is host:port.",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.definePolicy(fs)
		back := fs.Bool("return", false, "give the machines named back to their pools")
		return func(ctx context.Context, std stdio, args []string) error {
			return s.withClient(std, func(_ *policy.Policy, c *fleet.Client) error {
				if !*back {
					return listHosts(ctx, std.Out, c, args)
				}
				if len(args) == 0 {
					return misused("name the machines to return")
				}
				return returnHosts(ctx, std.Out, c, args)
			})
		}
	},
}

func listHosts(ctx context.Context, w io.Writer, c *fleet.Client, only []string) error {
	hosts, err := c.Hosts(ctx)
	if err != nil {
		return err
	}
	if len(only) > 0 {
		hosts = slices.DeleteFunc(hosts, func(h fleet.Host) bool { return !slices.Contains(only, h.Address) })
	}
	if len(hosts) == 0 {
		say(w, "no machine of a pool is in use"+among(only))
		return nil
	}
	slices.SortFunc(hosts, func(a, b fleet.Host) int { return strings.Compare(a.Address, b.Address) })
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MACHINE\tSTATE\tCELL\tSINCE\tWHY")
	for _, h := range hosts {
		fmt.Fprintf(t, "%s\t%s\t%s/%s\t%s\t%s\n", h.Address, h.State, h.Service, h.Cell, h.Since.Local().Format(time.DateTime), h.Reason)
	}
	return t.Flush()
}

func among(only []string) string {
	if len(only) == 0 {
		return ""
	}
	return " among those named"
}

func returnHosts(ctx context.Context, w io.Writer, c *fleet.Client, addresses []string) error {
	for _, address := range addresses {
		h, err := c.ReturnHost(ctx, address)
		if err != nil {
			return err
		}
		say(w, "%s is free again; it was %s by %s/%s", address, h.State, h.Service, h.Cell)
	}
	return nil
}
