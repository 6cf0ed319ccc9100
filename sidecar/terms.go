package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
)

// printTerms writes the sum that led to a decision, a line each term, with the
// numbers below each other.
func printTerms(b *strings.Builder, terms []balance.Term) {
	width := 0
	for _, term := range terms {
		width = max(width, len(number(term.Value)))
	}
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, term := range terms {
		_, _ = fmt.Fprintf(t, "    %s\t%*s %s\t%s\n", term.Name, width, number(term.Value), unit(term), term.Note)
	}
	_ = t.Flush() // a strings.Builder takes everything
	for line := range strings.Lines(table.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
}

// number prints four digits, and more where a person would: 0.125, 12.5,
// 12,500.
func number(x float64) string {
	if math.Abs(x) < 1000 || math.IsInf(x, 0) || math.IsNaN(x) {
		return strconv.FormatFloat(x, 'g', 4, 64)
	}
	digits := strconv.FormatFloat(math.Abs(x), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if x < 0 {
		return "-" + digits
	}
	return digits
}

// unit is the term's unit, in the singular where there is one of it.
func unit(t balance.Term) string {
	if t.Value == 1 && (t.Unit == "cells" || t.Unit == "messages") {
		return strings.TrimSuffix(t.Unit, "s")
	}
	return t.Unit
}
