package main

import (
	"slices"
	"testing"
	"time"
)

// TestServiceMendsItself goes the whole way round on real parts: it grows by a
// pin, replaces the dead, the leader included, drains before it shrinks, and
// leaves nothing when a person takes it down.
func TestServiceMendsItself(t *testing.T) {
	needServers(t)
	t.Parallel()
	h := newHouse(t, houseOptions{Policy: `drain { timeout = "1s" }`})
	h.apply()
	h.settled(1, time.Minute)

	h.succeed("pin", "pod", "4")
	h.settled(4, time.Minute)

	h.killCell("pod-3")
	h.settled(4, time.Minute)
	if names := h.status().Names; slices.Contains(names, "pod-3") {
		t.Errorf("the name of the dead came back: %v", names)
	}

	leader := h.status().Leader.Cell
	h.killCell(leader)
	h.settled(4, 2*time.Minute)
	if now := h.status().Leader; now == nil || now.Cell == leader {
		t.Errorf("led by %v, was %s", now, leader)
	}

	h.succeed("pin", "pod", "2")
	h.settled(2, time.Minute)

	h.succeed("pause")
	h.destroy()
	if left := h.marked(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
