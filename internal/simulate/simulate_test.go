package simulate

import (
	"math"
	"testing"
)

// BenchmarkWeek is a week in steps of a second: days with a peak of 40 cells and
// a valley each. It must take well under a second.
func BenchmarkWeek(b *testing.B) {
	load := make([]float64, 7*24*3600)
	for s := range load {
		load[s] = 3600 * (1 - 0.9*math.Cos(2*math.Pi*float64(s)/86400)) / 1.9
	}
	w := DefaultWorld()
	w.Max = 60
	for _, entry := range []Entry{Static("static", 40), HPA(0.7), Flink(0.7, 0), Ours("ours", OurPolicy())} {
		b.Run(entry.Name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r := Run(w, load, entry.New(w), uint64(i))
				b.ReportMetric(r.Slow, "%slow")
				b.ReportMetric(r.Cost, "cost")
			}
		})
	}
}
