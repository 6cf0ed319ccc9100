package simulate

import (
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
)

// Orders take as long as a world says, and where they are serial the next waits
// until the last has ended, though its cells are there.
func TestOrdersTakeWhatTheWorldSays(t *testing.T) {
	w := DefaultWorld()
	w.Serial, w.Start, w.CellNoise, w.LoadNoise, w.Curves, w.Sample = true, 1, 0, 0, true, time.Second
	var placed []int
	w.Takes = func(at, delta int) (lands, ends float64) {
		if delta <= 0 {
			t.Errorf("an order of %d at %d s, where load only grows", delta, at)
		}
		placed = append(placed, at)
		return 10, 40
	}
	load := make([]float64, 300)
	for i := range load {
		load[i] = 100 + 20*float64(i)
	}
	result := Run(w, load, NewOurs(w, balance.Config{WaitBound: 5 * time.Second}), 1)
	if len(placed) < 3 {
		t.Fatalf("orders were placed at %v", placed)
	}
	for i, at := range placed[1:] {
		if at-placed[i] < 40 {
			t.Errorf("orders were placed at %v, though each ends after 40 s", placed)
		}
	}
	ready := result.Curves.Ready
	if before, after := ready[placed[0]+8], ready[placed[0]+10]; before != 1 || after <= 1 {
		t.Errorf("%v cells before the first order lands, and %v after", before, after)
	}
}
