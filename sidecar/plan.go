package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

var planCommand = command{
	name: "plan", args: "[SERVICE]",
	summary: "one beat without acting: what would be decided, and what Terraform would change",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.define(fs)
		return func(ctx context.Context, std stdio, args []string) error {
			name, err := optionalService(args)
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
		if err := printOutcome(std.Out, service.Name, o, "would"); err != nil {
			return err
		}
		switch {
		case len(o.Refused) > 0:
			return fmt.Errorf("the plan would be refused: %d changes may not be made", len(o.Refused))
		case o.Nothing():
			return nil
		default:
			return &exitCodeError{code: exitChanges}
		}
	})
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
	c, err := connect(p, log)
	if err != nil {
		return err
	}
	defer c.Close()
	dir, err := s.dir()
	if err != nil {
		return err
	}
	n, err := newLeading(p, dir, c, prometheus.NewRegistry(), log)
	if err != nil {
		return err
	}
	return f(n, service)
}

// printOutcome writes a decision so that a person can follow the sum, and then
// what is done about it. verb is "would" for a plan and "did" for an apply.
func printOutcome(w io.Writer, service string, o loop.Outcome, verb string) error {
	var b strings.Builder
	d := o.Decision
	fmt.Fprintf(&b, "%s: %d cells wanted, %d ordered, %d ready [%s]\n", service, d.Desired, d.Ordered, d.Ready, d.Code)
	fmt.Fprintf(&b, "  %s\n", d.Reason)
	for _, u := range d.Unknown {
		fmt.Fprintf(&b, "  missing: %s\n", u)
	}
	b.WriteString("\n  How the number comes about:\n")
	printTerms(&b, d.Terms)
	b.WriteString("\n")
	if o.Held != "" {
		fmt.Fprintf(&b, "  Held: %s\n", o.Held)
	}
	if o.Nothing() {
		b.WriteString("  Nothing to do.\n")
	}
	printSteps(&b, o, verb)
	printChanges(&b, o)
	_, err := io.WriteString(w, b.String())
	return err
}

func printSteps(b *strings.Builder, o loop.Outcome, verb string) {
	for _, step := range []struct {
		what  string
		cells []string
	}{
		{"add", o.Add}, {"remove", o.Remove}, {"replace", o.Replace}, {"begin to drain", o.Drain}, {"take back", o.Keep},
	} {
		if len(step.cells) > 0 {
			fmt.Fprintf(b, "  It %s %s: %s\n", verb, step.what, strings.Join(step.cells, ", "))
		}
	}
	if !o.Nothing() && o.Reason != o.Decision.Reason {
		fmt.Fprintf(b, "  because %s\n", o.Reason)
	}
}

func printChanges(b *strings.Builder, o loop.Outcome) {
	for _, c := range o.Changes {
		if !c.Drift && !isNoOp(c) {
			fmt.Fprintf(b, "    terraform: %s %s\n", strings.Join(c.Actions, ", "), c.Address)
		}
	}
	for _, d := range o.Drift {
		fmt.Fprintf(b, "    left alone: %s\n", d)
	}
	for _, r := range o.Refused {
		fmt.Fprintf(b, "    refused: %s\n", r)
	}
}

func isNoOp(c guard.Change) bool { return len(c.Actions) == 1 && c.Actions[0] == "no-op" }
