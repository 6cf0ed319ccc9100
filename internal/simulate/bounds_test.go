package simulate

import (
	"testing"
	"time"
)

// Bounds that follow the clock hold for every law: a min is there when it begins,
// and a max that falls is gone down to.
func TestBounds(t *testing.T) {
	w := DefaultWorld()
	w.Min, w.Max, w.Start, w.Curves, w.Birth = 1, 40, 2, true, 20*time.Second
	w.Bounds = []Bounds{{0, 1, 40}, {600, 12, 40}, {1800, 1, 5}}
	load := constant(100, 3600)
	for _, entry := range []Entry{Ours("ours", OurPolicy()), Static("static", 30), HPA(0.7)} {
		t.Run(entry.Name, func(t *testing.T) {
			c := Run(w, load, entry.New(w), 1).Curves
			at := func(second int) float64 { return c.Ready[second/int(c.Step/time.Second)] }
			if got := at(900); got < 12 {
				t.Errorf("%g cells where 12 are the fewest", got)
			}
			if got := at(3000); got > 5 {
				t.Errorf("%g cells where 5 are the most", got)
			}
		})
	}
}
