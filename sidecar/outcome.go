package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
)

// tense is how an outcome is told: as what would be done, what was done, or
// what was begun and failed.
type tense int

const (
	would tense = iota
	did
	failed
)

// steps are the parts of an outcome in the order in which they are told, each
// with its words.
var steps = []struct {
	base, past string
	cells      func(loop.Outcome) []string
}{
	{"add", "added", func(o loop.Outcome) []string { return o.Add }},
	{"remove", "removed", func(o loop.Outcome) []string { return o.Remove }},
	{"replace", "replaced", func(o loop.Outcome) []string { return o.Replace }},
	{"begin to drain", "began to drain", func(o loop.Outcome) []string { return o.Drain }},
	{"take back", "took back", func(o loop.Outcome) []string { return o.Keep }},
}

// printOutcome writes a decision so that a person can follow the sum, and then
// what is done about it.
func (n *leading) printOutcome(ctx context.Context, w io.Writer, service string, o loop.Outcome, t tense) error {
	var b strings.Builder
	d := o.Decision
	fmt.Fprintf(&b, "%s: %s wanted, %d ordered, %d ready [%s]\n", service, plural(d.Desired, "cell"), d.Ordered, d.Ready, d.Code)
	fmt.Fprintf(&b, "  %s\n", d.Reason)
	for _, u := range d.Unknown {
		fmt.Fprintf(&b, "  unknown: %s\n", u)
	}
	b.WriteString("\n  How the number comes about:\n")
	printTerms(&b, d.Terms)
	b.WriteString("\n")
	if o.Held != "" {
		fmt.Fprintf(&b, "  Held: %s.\n", o.Held)
		t = would
	}
	printSteps(&b, o, t)
	n.printDraining(ctx, &b, service, o)
	printChanges(&b, o)
	_, err := io.WriteString(w, b.String())
	return err
}

func printSteps(b *strings.Builder, o loop.Outcome, t tense) {
	switch {
	case o.Nothing():
		b.WriteString("  Nothing to do.\n")
		return
	case o.Still():
		b.WriteString("  No cell changes, but what depends on them:\n")
		return
	}
	for _, s := range steps {
		cells := s.cells(o)
		if len(cells) == 0 {
			continue
		}
		verb := map[tense]string{would: "Would " + s.base, did: upper(s.past), failed: "Failed to " + s.base}[t]
		fmt.Fprintf(b, "  %s: %s\n", verb, strings.Join(cells, ", "))
	}
	if o.Reason != o.Decision.Reason {
		fmt.Fprintf(b, "  because %s\n", o.Reason)
	}
}

// printDraining names the cells that were told to leave before and are waited
// for: they are why nothing may be happening.
func (n *leading) printDraining(ctx context.Context, b *strings.Builder, service string, o loop.Outcome) {
	leaving, err := n.fleet.Leaving(ctx, service)
	if err != nil {
		fmt.Fprintf(b, "  Which cells drain is unknown: %v\n", err)
	}
	told := slices.Concat(o.Drain, o.Remove, o.Replace, o.Keep)
	for _, l := range leaving {
		if !slices.Contains(told, l.Cell) {
			fmt.Fprintf(b, "  Draining: %s, until it is idle or it is %s\n", l.Cell, l.Until.Local().Format(time.TimeOnly))
		}
	}
}

func printChanges(b *strings.Builder, o loop.Outcome) {
	for _, c := range o.Changes {
		if c.Effective() {
			fmt.Fprintf(b, "    terraform: %s %s\n", action(c), c.Address)
		}
	}
	for _, d := range o.Drift {
		fmt.Fprintf(b, "    left alone: %s\n", d)
	}
	for _, r := range o.Refused {
		fmt.Fprintf(b, "    refused: %s\n", r)
	}
}

// action is what Terraform does, in its own words.
func action(c guard.Change) string {
	if len(c.Actions) == 2 {
		return "replace"
	}
	return strings.Join(c.Actions, ", ")
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
