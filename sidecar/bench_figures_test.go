package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// rounds is how often a benchmark measures. Each runs real servers, Terraform
// and processes, so it is a number of its own rather than -benchtime, and one
// iteration of the benchmark makes all rounds.
var rounds = flag.Int("rounds", 20, "how many rounds a benchmark of the whole house measures")

// measuring skips a benchmark where there are no servers, and returns how many
// rounds it makes.
func measuring(b *testing.B) int {
	b.Helper()
	needServers(b)
	if *rounds < 1 {
		b.Fatalf("-rounds %d: there is no median of no round", *rounds)
	}
	return *rounds
}

// figures are the durations that rounds gave, by column and row, in the order
// in which they first came.
type figures struct {
	columns, rows []string
	cells         map[[2]string][]time.Duration
}

func (f *figures) add(column, row string, d time.Duration) {
	if f.cells == nil {
		f.cells = map[[2]string][]time.Duration{}
	}
	if !slices.Contains(f.columns, column) {
		f.columns = append(f.columns, column)
	}
	if !slices.Contains(f.rows, row) {
		f.rows = append(f.rows, row)
	}
	key := [2]string{column, row}
	f.cells[key] = append(f.cells[key], d)
}

func (f *figures) of(column, row string) []time.Duration { return f.cells[[2]string{column, row}] }

// table prints medians, and for each the quartiles around it, in milliseconds.
func (f *figures) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "ms, median (quartiles)\t%s\t\n", strings.Join(f.columns, "\t"))
	for _, row := range f.rows {
		fmt.Fprintf(w, "%s\t", row)
		for _, column := range f.columns {
			d := f.of(column, row)
			if len(d) > 0 {
				fmt.Fprintf(w, "%.0f (%.0f-%.0f)", ms(quantile(d, 0.5)), ms(quantile(d, 0.25)), ms(quantile(d, 0.75)))
			}
			fmt.Fprint(w, "\t")
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}

// quantile interpolates linearly between the two nearest values.
func quantile(values []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low, high := sorted[int(math.Floor(at))], sorted[int(math.Ceil(at))]
	return low + time.Duration((at-math.Floor(at))*float64(high-low))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// report gives a benchmark's figures in place of the time of one iteration,
// which says nothing here.
func report(b *testing.B, values map[string]float64) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	for unit, value := range values {
		b.ReportMetric(value, unit)
	}
}

// machineLoad is the machine's load average over a minute: other work that was
// going on while a benchmark ran belongs to its figures.
func machineLoad() string {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(load), " ")
	return first
}
