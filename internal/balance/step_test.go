package balance

import (
	"math/rand/v2"
	"testing"
)

func TestIsStep(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	row := func(f func(i int) float64) series {
		s := make(series, 60)
		for i := range s {
			s[i] = float32(f(i) * (1 + 0.03*rng.NormFloat64()))
		}
		return s
	}
	tests := []struct {
		name string
		row  series
		step bool
	}{
		{"a step 20 beats ago", row(func(i int) float64 { return 100 + 100*float64(i/40) }), true},
		{"a step 50 beats ago", row(func(i int) float64 { return 100 + 100*float64(min(1, i/10)) }), true},
		{"a rise all along", row(func(i int) float64 { return 100 + 2*float64(i) }), false},
		{"a rise since 30 beats ago", row(func(i int) float64 { return 100 + 4*max(0, float64(i-30)) }), false},
		{"noise", row(func(int) float64 { return 100 }), false},
		{"nothing", make(series, 60), false},
	}
	for _, tt := range tests {
		if got := isStep(tt.row, DefaultLaw().StepShare); got != tt.step {
			t.Errorf("%s: step %v, want %v", tt.name, got, tt.step)
		}
	}
}

// After a step the trend must not draw it on.
func TestNoTrendAfterAStep(t *testing.T) {
	s := newService(t, 9)
	s.obs.BirthMedian = per(600)
	rng := rand.New(rand.NewPCG(7, 7))
	for k := range 400 {
		load := 800.0
		if k >= 300 {
			load = 1600
		}
		s.obs.Offered = per(load * (1 + 0.02*rng.NormFloat64()))
		s.beats(1)
		if tr := s.term("trend"); tr > 1800 {
			t.Fatalf("%d beats after a step to 1,600/s the trend leads to %v", k-300, tr)
		}
	}
}
