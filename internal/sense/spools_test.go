package sense

import (
	"testing"
	"time"
)

func TestSpoolMeter(t *testing.T) {
	begin := time.Unix(1000, 0)
	var m SpoolMeter
	for i, step := range []struct {
		after  time.Duration
		depths map[string]int
		want   float64
	}{
		{0, map[string]int{"a": 500, "b": 0}, 0},                       // what is there may be old
		{5 * time.Second, map[string]int{"a": 600, "b": 50}, 20 + 10},  // both grow
		{10 * time.Second, map[string]int{"a": 600, "c": 900}, 0},      // b is away, c new
		{15 * time.Second, map[string]int{"a": 100, "b": 150}, -90},    // b by its mean over two beats
		{20 * time.Second, nil, 0},                                     // none answers
		{time.Hour, map[string]int{"a": 1000, "b": 1000, "c": 900}, 0}, // too long ago
		{time.Hour, map[string]int{"a": 2000}, 0},                      // no time has passed
	} {
		if got := m.Observe(begin.Add(step.after), step.depths); got != step.want {
			t.Errorf("step %d: %g, want %g", i, got, step.want)
		}
		if step.after == 20*time.Second {
			m.Observe(begin.Add(20*time.Minute), nil)
		}
	}
}
