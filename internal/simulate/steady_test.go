package simulate

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// TestSteadyAfterAStep has a load step up and stay: hours later, as the mean has come
// after it, nothing is to grow once more that the load doesn't ask for.
func TestSteadyAfterAStep(t *testing.T) {
	const calm = 800.0                       // requests a second
	const late, steady = 2 * 3600, 48 * 3600 // seconds after the step
	for _, c := range []struct {
		before  time.Duration
		factor  float64
		birth   time.Duration
		overlap bool
	}{
		{6 * time.Hour, 5, 10 * time.Minute, false},
		{6 * time.Hour, 3, 10 * time.Minute, false},
		{3 * time.Hour, 2, 10 * time.Minute, false},
		{time.Hour, 2, 5 * time.Minute, false},
		{time.Hour, 2, 5 * time.Minute, true},
		{24 * time.Hour, 2, 5 * time.Minute, false},
	} {
		t.Run(fmt.Sprintf("x%g after %s, D %s, overlap %t", c.factor, c.before, c.birth, c.overlap), func(t *testing.T) {
			t.Parallel()
			step := int(c.before.Seconds())
			load := make([]float64, step+steady)
			for s := range load {
				load[s] = calm
				if s >= step {
					load[s] *= c.factor
				}
			}
			w := DefaultWorld()
			w.Birth, w.Serial, w.Curves = c.birth, !c.overlap, true
			curves := Run(w, load, NewOurs(w, OurPolicy()), 1).Curves
			needed := math.Ceil(calm * c.factor / w.CellRate / w.DemandBusy)
			first := (step + late) / int(curves.Step.Seconds())
			before := curves.Ready[first]
			if most := slices.Max(curves.Ready[first:]); before > 1.5*needed || most > before+1 {
				t.Errorf("%g needed: %g are ready two hours after the step, and up to %g later", needed, before, most)
			}
		})
	}
}
