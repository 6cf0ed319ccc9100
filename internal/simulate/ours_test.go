package simulate

import (
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
)

// Ours is told no more than a leader could measure: of what waits before cells that
// answer requests, nothing.
func TestOursSeesWhatALeaderSees(t *testing.T) {
	for _, requests := range []bool{true, false} {
		law, ok := NewOurs(quiet(), balance.Config{Requests: requests}).(*ours)
		if !ok {
			t.Fatal("not a law of ours")
		}
		seen := law.observe(&Seen{Second: 5, Ordered: 1, Ready: 1, Offered: 100, Backlog: 1000})
		if seen.Lag.Known == requests || !seen.Offered.Known {
			t.Errorf("with requests %v it observes %+v", requests, seen)
		}
	}
}
