// Package contest plays laws against each other on recorded loads: the same
// rows, the same noise, every law at its defaults and over its main setting.
//
// A row is a trace, a size, a birth time, and whether orders overlap. Laws are
// ranked by the share of requests that waited too long and by cost together: one
// is better where it is lower in one and not higher in the other. Figures are
// means over seeds.
//
// A quick set, for choosing constants of ours:
//
//	go run ./internal/simulate/tool -parts rows -ours -seeds 1 -traces FOLDER
//
// with -only wc,nasa for some of the traces, and -births 60s for some of the
// births. It takes ten seconds on two cores.
package contest

import (
	"fmt"
	"math"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
)

// Row is one place where laws meet.
type Row struct {
	Trace string
	// Cells is what the trace's peak keeps busy to 0.9.
	Cells  int
	Birth  time.Duration
	Serial bool
	// Hours says that the trace lasts an hour, and not a week.
	Hours bool
	// Stream is the row's own noise.
	Stream uint64
}

// The rows: each trace at each of these.
var (
	Sizes  = []int{8, 40, 100}
	Births = []time.Duration{20 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute}
)

// Rows are the 24 rows of each trace.
func Rows(traces []Source) []Row {
	var rows []Row
	for _, t := range traces {
		for _, cells := range Sizes {
			for _, birth := range Births {
				for _, serial := range []bool{true, false} {
					rows = append(rows, Row{t.Name, cells, birth, serial, t.Hours, uint64(len(rows) + 1)})
				}
			}
		}
	}
	return rows
}

// String names a row as the tables do.
func (r Row) String() string {
	return fmt.Sprintf("%s/%d D %.0f %s", r.Trace, r.Cells, r.Birth.Seconds(), ordering(r.Serial))
}

// ordering says how orders follow each other.
func ordering(serial bool) string {
	if serial {
		return "serial"
	}
	return "overlapping"
}

// World is the picture of a row.
func (r Row) World() simulate.World {
	w := simulate.DefaultWorld()
	w.Birth, w.Serial, w.Stream = r.Birth, r.Serial, r.Stream
	w.Max = int(math.Ceil(1.5 * float64(r.Cells)))
	return w
}

// peak is the largest rate of a row, per second.
func (r Row) peak() float64 {
	w := simulate.DefaultWorld()
	return float64(r.Cells) * w.DemandBusy * w.CellRate
}
