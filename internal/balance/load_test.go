package balance

import (
	"math"
	"testing"
	"time"
)

// Half a day of a real load balancer, with spikes out of nothing: a fleet of one
// size that is as seldom slow as the law costs 1.7 times as much.
func TestRealDay(t *testing.T) {
	values := trace{file: "elb.csv", step: 300, first: 72, rows: 144}.read(t, "testdata")
	law := queue{load: spread(values, 300, 20), birth: time.Minute, max: 30, seed: 1, config: figuresConfig()}
	static := law
	static.config.Min, static.max = 15, 15
	ours, fixed := law.simulate(), static.simulate()
	t.Logf("the law %+v, 15 cells all along %+v", ours, fixed)
	if ours.Slow > 2.9 || ours.Cost > 1.65 {
		t.Errorf("slow %.2f %%, cost %.2f: want about 2.7 %% and 1.50", ours.Slow, ours.Cost)
	}
	if fixed.Slow < ours.Slow || fixed.Cost < 1.6*ours.Cost {
		t.Errorf("15 cells all along do as well: slow %.2f %%, cost %.2f", fixed.Slow, fixed.Cost)
	}
}

// Loads of a simple shape, from 9 cells: the most cells ready at once must be
// about what was published with the law.
func TestShapes(t *testing.T) {
	const calm, after = 3600, 7200
	shape := func(factor func(second int) float64) []float64 {
		load := make([]float64, calm+after)
		for s := range load {
			load[s] = 9 * 0.9 * cellRate
			if s >= calm {
				load[s] *= factor(s - calm)
			}
		}
		return load
	}
	step := func(by float64) []float64 { return shape(func(int) float64 { return by }) }
	ramp := shape(func(s int) float64 { return min(4, 1+3*float64(s)/1800) })
	impulse := shape(func(s int) float64 {
		if s < 30 {
			return 5
		}
		return 1
	})
	tests := []struct {
		name   string
		load   []float64
		birth  time.Duration
		serial bool
		most   int
	}{
		{"step x2", step(2), time.Minute, false, 22},
		{"step x2, D 600", step(2), 10 * time.Minute, false, 23},
		{"step x10", step(10), time.Minute, false, 135},
		{"step x10, D 600", step(10), 10 * time.Minute, false, 157},
		{"step x10, D 300 serial", step(10), 5 * time.Minute, true, 141},
		{"ramp x4 in 30 min, D 600", ramp, 10 * time.Minute, false, 64},
		{"impulse x5 of 30 s, D 600", impulse, 10 * time.Minute, false, 41},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := queue{load: tt.load, birth: tt.birth, serial: tt.serial, max: 1000, seed: 1, config: figuresConfig()}.simulate()
			t.Logf("%+v", o)
			if off := math.Abs(float64(o.Most - tt.most)); off > 0.12*float64(tt.most) {
				t.Errorf("%d cells at most, want about %d", o.Most, tt.most)
			}
		})
	}
}
