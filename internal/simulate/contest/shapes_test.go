package contest

import (
	"math"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
)

// What a shape needs at last is clear of whole numbers of cells, so that noise
// doesn't decide how many they are.
func TestShapesNeedNoWholeCells(t *testing.T) {
	w := simulate.DefaultWorld()
	for _, s := range Shapes() {
		load := s.Load()
		need := load[len(load)-1] / (w.CellRate * w.DemandBusy)
		// The noise of the load, smoothed as demand is.
		noise := need * w.LoadNoise / math.Sqrt(2*w.DemandTime.Seconds())
		if part := need - math.Floor(need); s.Change >= 0 && min(part, 1-part) < noise {
			t.Errorf("%s needs %.2f cells ± %.2f", s, need, noise)
		}
	}
}

// Settling is a matter of the law, and the same with every noise.
func TestSettles(t *testing.T) {
	calmly := func(busy float64) Shape {
		return Shape{Name: "calm", Birth: time.Minute, Factor: step(1)(0), Busy: busy}
	}
	for _, c := range []struct {
		busy    float64
		cells   int
		settled float64
	}{
		{0.865, 9, 0}, {0.865, 8, 0}, {0.865, 7, -1}, {0.865, 13, 0}, {0.865, 14, -1},
		{0.897, 8, 0}, // at a quarter of the instants ten are needed, not nine
	} {
		for seed := range uint64(5) {
			st := calmly(c.busy).Settle(simulate.Static("static", c.cells), seed+1)
			if st.Settled != c.settled {
				t.Errorf("%d cells at a load of 9 at %g, seed %d: settled after %g s, want %g", c.cells, c.busy, seed+1, st.Settled, c.settled)
			}
		}
	}
}
