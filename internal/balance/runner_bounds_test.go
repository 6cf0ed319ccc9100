package balance

import (
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// Bounds that move are kept from the next beat on.
func TestRunnerBound(t *testing.T) {
	r := NewRunner(Config{Min: 2, Max: 20, Scheduled: Scheduled{Moves: true}}, State{})
	at := time.Unix(1_000_000_000, 0)
	beat := func(ordered int) int {
		at = at.Add(5 * time.Second)
		return r.Desired(Observation{At: at, Ordered: ordered, Ready: ordered, Offered: reading.Of(1, at), Lag: reading.Of(0, at)})
	}
	if n := beat(2); n != 2 {
		t.Fatalf("%d within 2 to 20", n)
	}
	r.Bound(8, 20)
	if n := beat(2); n != 8 {
		t.Errorf("%d where 8 are the fewest", n)
	}
	r.Bound(1, 4)
	if n := beat(8); n != 4 {
		t.Errorf("%d where 4 are the most", n)
	}
	r.Bound(6, 3)
	if n := beat(4); n != 6 {
		t.Errorf("%d where 6 are the fewest, and a max below that", n)
	}
}
