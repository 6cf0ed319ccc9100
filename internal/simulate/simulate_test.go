package simulate

import (
	"math"
	"testing"
	"time"
)

// constant is a load of one rate.
func constant(rate float64, seconds int) []float64 {
	load := make([]float64, seconds)
	for i := range load {
		load[i] = rate
	}
	return load
}

// week is seven days with a peak and a valley each, the peak of 40 cells.
func week() []float64 {
	load := make([]float64, 7*24*3600)
	for s := range load {
		load[s] = 3600 * (1 - 0.9*math.Cos(2*math.Pi*float64(s)/86400)) / 1.9
	}
	return load
}

func BenchmarkWeek(b *testing.B) {
	load := week()
	w := DefaultWorld()
	w.Max = 60
	for _, entry := range []Entry{Static("static", 40), Ours("ours", OurPolicy())} {
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

// What came was served or waits.
func TestNothingIsLost(t *testing.T) {
	w := DefaultWorld()
	w.Max, w.Birth = 20, 5*time.Minute
	w.Truer = Truer{Pause: 10 * time.Second, FailShare: 0.1, FailWait: 30 * time.Second, LateShare: 0.1, LateFactor: 3, Drift: 0.2, DriftPeriod: time.Hour}
	load := append(constant(500, 3600), constant(1500, 3600)...)
	r := Run(w, load, NewOurs(w, OurPolicy()), 1)
	if off := r.Requests - r.Served - r.Backlog; math.Abs(off) > 1e-6*r.Requests {
		t.Errorf("%.1f requests came, %.1f were served, %.1f wait: %g are lost", r.Requests, r.Served, r.Backlog, off)
	}
}
