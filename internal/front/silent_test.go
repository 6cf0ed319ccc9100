package front

import (
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
)

// A cell that hangs has the fewest in flight and fails nobody, while the others are
// over their bound. It must not be what everybody is sent to.
func TestSilent(t *testing.T) {
	c := among(fleet.Passing, fleet.Passing, fleet.Passing)
	now := epoch
	after := func(d time.Duration) { now = now.Add(d) }
	busy := func() {
		for _, id := range []string{"b", "c"} {
			c.Learn(now, id, load.Report{InFlight: 50, Limit: 40, Hot: true, Latency: time.Second})
		}
	}
	c.Learn(now, "a", load.Report{InFlight: 1, Limit: 40, Latency: time.Millisecond})
	busy()
	c.Began(now, "a")
	only(t, chosen(c, now), "a")

	after(c.rule.SilentAfter)
	busy()
	only(t, chosen(c, now), "b", "c")
	only(t, chosen(c, now, "b", "c"), "a") // better than none
	if c.Keeps(now, "a") {
		t.Error("its clients stay")
	}
	if _, ok := c.WithRoom(now, chance(), false, ""); ok {
		t.Error("a sibling is sent there")
	}

	c.Ended(now, "a") // its client has gone
	only(t, chosen(c, now), "b", "c")
	after(c.rule.EjectTime)
	busy()
	only(t, chosen(c, now), "a") // who knows
	c.Began(now, "a")
	only(t, chosen(c, now), "b", "c")
	c.Learn(now, "a", load.Report{InFlight: 1, Limit: 40, Latency: time.Millisecond})
	only(t, chosen(c, now), "a")
}

// A client that goes at once says nothing of its cell, nor does a refusal of one
// that answers.
func TestNotSilent(t *testing.T) {
	c := among(fleet.Passing)
	one := c.cells["a"]
	c.Began(epoch, "a")
	now := epoch.Add(c.rule.SilentAfter / 2)
	c.Ended(now, "a")
	if now = now.Add(time.Hour); c.silent(one, now) {
		t.Error("silent, and nobody waited for it")
	}
	c.Began(now, "a")
	now = now.Add(c.rule.SilentAfter)
	if !c.silent(one, now) {
		t.Error("not silent, after the time for that")
	}
	c.Heard("a")
	c.Ended(now, "a")
	if c.silent(one, now) {
		t.Error("silent, and it has just refused")
	}
	c.Heard("nobody")
}

// Those that are silent are asked first, but not again and again.
func TestSilentIsProbed(t *testing.T) {
	c := among(fleet.Passing, fleet.Passing, fleet.Passing, fleet.Passing)
	rng := chance()
	c.Began(epoch, "a")
	now := epoch.Add(c.rule.SilentAfter)
	for _, id := range []string{"a", "b", "c", "d"} {
		if id != "a" {
			c.Learn(now, id, load.Report{Limit: 1})
		}
	}
	counts := map[string]int{}
	for range 100 {
		counts[c.NextProbe(now, rng)]++
	}
	if counts["a"] != 1 {
		t.Errorf("asked at one instant: %v", counts)
	}
	counts = map[string]int{}
	for range 100 {
		now = now.Add(c.rule.ProbeTimeout)
		counts[c.NextProbe(now, rng)]++
	}
	if counts["a"] < 50 {
		t.Errorf("asked whenever a probe has ended: %v", counts)
	}
}
