package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
)

var statusCommand = command{
	name: "status", args: "[SERVICE]",
	summary: "show services, cells, health, orders and last decisions, read from Consul",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.define(fs)
		asJSON := fs.Bool("json", false, "print JSON, for programs")
		terms := fs.Bool("terms", false, "print every term of the last decision")
		return func(ctx context.Context, std stdio, args []string) error {
			name, err := optionalService(args)
			if err != nil {
				return err
			}
			return s.status(ctx, std, name, *asJSON, *terms)
		}
	},
}

func (s *settings) status(ctx context.Context, std stdio, name string, asJSON, terms bool) error {
	p, err := s.load(std)
	if err != nil {
		return err
	}
	c, err := connect(p, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	var all []loop.Status
	for _, service := range p.Services {
		if name == "" || name == service.Name {
			all = append(all, loop.ReadStatus(ctx, c, service.Name))
		}
	}
	if len(all) == 0 {
		return fmt.Errorf("the policy has no service %q", name)
	}
	if asJSON {
		e := json.NewEncoder(std.Out)
		e.SetIndent("", "  ")
		return e.Encode(all)
	}
	return printStatus(std.Out, all, terms, time.Now())
}

// printStatus writes one block a service: a line for the service, its last
// decision, and a table of cells.
func printStatus(w io.Writer, all []loop.Status, terms bool, now time.Time) error {
	var b strings.Builder
	for i, s := range all {
		if i > 0 {
			b.WriteString("\n")
		}
		printHead(&b, s)
		printLast(&b, s, terms, now)
		printCells(&b, s, now)
		for _, u := range s.Unknown {
			fmt.Fprintf(&b, "  unknown   %s\n", u)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printHead(b *strings.Builder, s loop.Status) {
	count := "no record"
	if s.Count != nil {
		count = fmt.Sprintf("%d ordered", *s.Count)
	}
	leader := "nobody leads"
	if s.Leader != nil {
		leader = "led by " + s.Leader.String()
	}
	fmt.Fprintf(b, "%s: %s, %d ready, %s\n", s.Service, count, s.Ready, leader)
	if s.Pin != nil {
		fmt.Fprintf(b, "  pinned    to %d by %s %s\n", s.Pin.Count, s.Pin.By, s.Pin.Reason)
	}
	if s.Paused != "" {
		fmt.Fprintf(b, "  paused    %s\n", s.Paused)
	}
	for _, o := range s.Orders {
		fmt.Fprintf(b, "  order     %s, expected at %s: %s\n", describe(o), o.Expected.Local().Format(time.TimeOnly), o.Reason)
	}
}

// describe says in short what an order does.
func describe(o fleet.Order) string {
	var parts []string
	for _, n := range o.Add {
		parts = append(parts, "+"+n.Name)
	}
	for _, n := range o.Remove {
		parts = append(parts, "-"+n)
	}
	for _, n := range o.Replace {
		parts = append(parts, "±"+n)
	}
	return strings.Join(parts, " ")
}

func printLast(b *strings.Builder, s loop.Status, terms bool, now time.Time) {
	if s.Last == nil {
		return
	}
	d := s.Last.Decision
	fmt.Fprintf(b, "  decision  %s ago: %d cells, %s\n", now.Sub(d.At).Round(time.Second), d.Desired, d.Reason)
	if s.Last.Trouble != "" {
		fmt.Fprintf(b, "  trouble   %s\n", s.Last.Trouble)
	}
	for _, drift := range s.Last.Drift {
		fmt.Fprintf(b, "  drift     %s\n", drift)
	}
	for _, u := range d.Unknown {
		fmt.Fprintf(b, "  missing   %s\n", u)
	}
	if terms {
		printTerms(b, d.Terms)
	}
}

func printCells(b *strings.Builder, s loop.Status, now time.Time) {
	leaving := map[string]bool{}
	for _, l := range s.Leaving {
		leaving[l.Cell] = true
	}
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, m := range s.Members {
		state := string(m.Health)
		if leaving[m.Name] {
			state += ", leaving"
		}
		_, _ = fmt.Fprintf(t, "  %s\t%s\t%s\tage %s\t%s\n", m.Name, state, address(m), age(m.BornAt, now), m.Output)
	}
	_ = t.Flush() // a strings.Builder takes everything
}

func address(m fleet.Member) string {
	if m.Port == 0 {
		return m.Address
	}
	return fmt.Sprintf("%s:%d", m.Address, m.Port)
}

func age(born, now time.Time) string {
	if born.IsZero() {
		return "unknown"
	}
	return now.Sub(born).Round(time.Second).String()
}
