package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
)

// printTerms writes the sum that led to a decision, a line each term.
func printTerms(b *strings.Builder, terms []balance.Term) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, term := range terms {
		_, _ = fmt.Fprintf(t, "    %s\t%.4g %s\t%s\n", term.Name, term.Value, term.Unit, term.Note)
	}
	_ = t.Flush() // a strings.Builder takes everything
}
