package loop

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// watched is a group that is sampled every five seconds.
type watched struct {
	meter pauseMeter
	now   time.Time
}

func (w *watched) sample(state, protocol string, members float64) reading.Reading {
	w.now = w.now.Add(5 * time.Second)
	s := &sense.LagSample{At: w.now, GroupState: state, Protocol: protocol, Members: reading.Of(members, w.now)}
	s.Rebalancing = state == "PreparingRebalance" || state == "CompletingRebalance"
	return w.meter.observe(s)
}

func TestPauseMeter(t *testing.T) {
	w := watched{now: time.Unix(1_000_000_000, 0)}
	if r := w.sample("Stable", "range", 3); r.Known {
		t.Errorf("%v before a rebalance was seen", r)
	}
	w.sample("PreparingRebalance", "", 4)
	if r := w.sample("CompletingRebalance", "", 4); r.Known {
		t.Errorf("%v before one has ended", r)
	}
	if r := w.sample("Stable", "range", 4); r.Value != 10 {
		t.Errorf("%v, want 10 s", r)
	}
	if r := w.sample("Stable", "range", 5); r.Value != 5 {
		t.Errorf("%v, want 5 s: the second went by unseen", r)
	}
	w.sample("", "", 0)
	if r := w.sample("Stable", "range", 5); r.Value != 5 {
		t.Errorf("%v after a state that couldn't be read, want 5 s as before", r)
	}
	for range 100 {
		w.sample("PreparingRebalance", "", 5)
	}
	if r := w.sample("Stable", "range", 5); r.Value != 5 {
		t.Errorf("%v after a member that hung, want 5 s as before", r)
	}
}

// Rebalances of a second, of which five-second samples see every fifth, are measured
// as a second each.
func TestPausesShorterThanABeat(t *testing.T) {
	w := watched{now: time.Unix(1_000_000_000, 0)}
	w.sample("Stable", "range", 1)
	sum, n := 0.0, 0
	for k := range 400 {
		members := float64(2 + k%2)
		if k%5 == 2 {
			w.sample("PreparingRebalance", "", members)
		}
		r := w.sample("Stable", "range", members)
		if k >= pausesKept {
			sum, n = sum+r.Value, n+1
		}
	}
	// The longest of sixteen is left out, so that it is a little less.
	if mean := sum / float64(n); math.Abs(mean-1) > 0.3 {
		t.Errorf("%.2f s on average, want about 1", mean)
	}
}

func TestNoPauseWhereMembersReadOn(t *testing.T) {
	w := watched{now: time.Unix(1_000_000_000, 0)}
	w.sample("Stable", "cooperative-sticky", 1)
	w.sample("PreparingRebalance", "", 2)
	if r := w.sample("Stable", "cooperative-sticky", 2); r.Known || !strings.Contains(r.Reason, "reads on") {
		t.Errorf("%v, want no pause", r)
	}
	w.sample("PreparingRebalance", "", 2)
	if r := w.sample("Stable", "range", 2); r.Value != 5 {
		t.Errorf("%v once members share them otherwise, want 5 s", r)
	}
}
