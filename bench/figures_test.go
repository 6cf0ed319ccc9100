package bench

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// figures are the values that rounds gave, by row and column, in the order in which
// they first came.
type figures struct {
	rows, columns []string
	values        map[[2]string][]float64
}

func (f *figures) add(row, column string, value float64) {
	if f.values == nil {
		f.values = map[[2]string][]float64{}
	}
	if !slices.Contains(f.rows, row) {
		f.rows = append(f.rows, row)
	}
	if !slices.Contains(f.columns, column) {
		f.columns = append(f.columns, column)
	}
	key := [2]string{row, column}
	f.values[key] = append(f.values[key], value)
}

// median of what was added; 0 where nothing was.
func (f *figures) median(row, column string) float64 {
	return at(f.values[[2]string{row, column}], 0.5)
}

// at is the quantile of values, interpolated linearly.
func at(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	where := q * float64(len(sorted)-1)
	low := int(where)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (where-float64(low))*(sorted[high]-sorted[low])
}

// table prints of each value the median, and the lowest and highest around it.
func (f *figures) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "median (lowest-highest)\t%s\t\n", strings.Join(f.columns, "\t"))
	for _, row := range f.rows {
		fmt.Fprintf(w, "%s\t", row)
		for _, column := range f.columns {
			if v := f.values[[2]string{row, column}]; len(v) > 0 {
				fmt.Fprintf(w, "%.4g (%.4g-%.4g)", at(v, 0.5), at(v, 0), at(v, 1))
			}
			fmt.Fprint(w, "\t")
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}

// machineLoad is the machine's load average over a minute: other work that was
// going on belongs to the figures.
func machineLoad() string {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(load), " ")
	return first
}
