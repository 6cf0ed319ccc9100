package balance

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A Runner decides as Decide does, beat for beat, whatever it is told, and ends
// with the same memory.
func TestRunnerDecidesAsDecide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := anyConfig().Draw(t, "config")
		var st State
		r := NewRunner(cfg, st)
		at := epoch
		for range rapid.IntRange(1, 40).Draw(t, "beats") {
			at = at.Add(time.Duration(rapid.SampledFrom([]int{5, 5, 5, 1, 60, -5, 7200}).Draw(t, "step")) * time.Second)
			obs := anyObservation(t, at)
			var d Decision
			st, d = Decide(cfg, st, obs)
			if n := r.Desired(obs); n != d.Desired {
				t.Fatalf("the runner wants %d, Decide %d: %s", n, d.Desired, d.Reason)
			}
		}
		if diff := cmp.Diff(st, r.State(), sameState); diff != "" {
			t.Fatal(diff)
		}
	})
}
