package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// TestLoadReturnsWhileCellsDrain lets load return before the cells that were to
// leave are gone: they are taken back, and nothing is destroyed.
func TestLoadReturnsWhileCellsDrain(t *testing.T) {
	h := faulty(t, houseOptions{Policy: `drain { timeout = "10m" }`})
	h.apply()
	h.settled(1, patience)
	h.succeed("pin", "pod", "4")
	h.settled(4, patience)
	before := h.everyLife()

	h.succeed("pin", "pod", "2")
	h.hears("cells begin to leave", "drain=10m")
	h.await("two cells that spare themselves new work", func(context.Context) error {
		if passing := h.lives(); len(passing) != 2 {
			return fmt.Errorf("%v", passing)
		}
		return nil
	})
	h.succeed("pin", "pod", "3")
	h.hears("cells taken back: load returned before they had left")
	h.succeed("pin", "pod", "4")
	h.settled(4, patience)
	if marks, err := h.fleet.Leaving(t.Context(), "pod"); err != nil || len(marks) > 0 {
		t.Errorf("still marked as leaving: %v (%v)", marks, err)
	}
	if removed := h.logLines("order placed", "remove=[pod"); len(removed) > 0 {
		t.Errorf("something was removed: %v", removed)
	}
	h.sameLives(before)
}

// everyLife is lives, once it is all the cells that run.
func (h *house) everyLife() (lives map[string]string) {
	h.t.Helper()
	h.await("a cell isn't passing", func(context.Context) error {
		if lives = h.lives(); len(lives) != len(h.processes()) {
			return errors.New("not all")
		}
		return nil
	})
	return lives
}
