package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var refused = flag.Duration("refused", 0, "for how long at least TestBirthsFailForAWhile has births refused")

// TestBirthsFailForAWhile has every birth refused, as by a quota. The births
// back off, are tried one at a time after three alike, never take more machines
// than max, never use a name twice, and recover by themselves.
func TestBirthsFailForAWhile(t *testing.T) {
	h := faulty(t, houseOptions{Policy: `
  birth {
    backoff_min = "500ms"
    backoff_max = "2s"
  }
`})
	h.apply()
	h.settled(1, patience)
	h.write("fault", "quota")
	began := time.Now()
	h.succeed("pin", "pod", "4")
	h.hears("the order was not carried out", "Cell not born", "the quota is used up")
	var orders [][]string
	h.await("six orders", func(context.Context) error {
		if orders = h.birthOrders(); len(orders) < 6 {
			return fmt.Errorf("%v", orders)
		}
		return nil
	})
	time.Sleep(*refused - time.Since(began))
	h.noOrphan("pod-1")
	h.remove("fault")
	h.settled(4, patience)

	var names []string
	for i, births := range h.birthOrders() {
		t.Logf("order %d: %v", i+1, births)
		names = append(names, births...)
		if len(births) > 7 {
			t.Errorf("%d births beside the living cell: more than max", len(births))
		}
	}
	if all := slices.Clone(names); len(slices.Compact(slices.Sorted(slices.Values(all)))) != len(names) {
		t.Errorf("a name was used twice: %v", names)
	}
	for i, births := range orders[3:6] {
		if len(births) != 1 {
			t.Errorf("order %d, after three failures alike, was for %v: want one trial", i+4, births)
		}
	}
}

// TestStatusTellsWhyBirthsWait has status say why there are fewer cells than wanted,
// long after the order for more of them was given up. A beat is much longer here than
// it takes to give that up, so that it isn't read by luck.
func TestStatusTellsWhyBirthsWait(t *testing.T) {
	h := faulty(t, houseOptions{Beat: "10s", Policy: `
  birth {
    backoff_min = "1h"
    backoff_max = "1h"
  }
`})
	h.apply()
	h.settled(1, patience)
	h.write("fault", "quota")
	h.succeed("pin", "pod", "2")
	h.reads("1 cell ordered, 1 ready", "births wait until", "1 failed in a row", "the quota is used up")
}

// added finds the births in the log line of an order.
var added = regexp.MustCompile(`msg="order placed" .*add=(?:"\[([^\]]*)\]"|\[([^\]]*)\])`)

// birthOrders are the births of each order placed so far, in their order.
func (h *house) birthOrders() [][]string {
	var all [][]string
	for _, line := range h.logLines("order placed") {
		if m := added.FindStringSubmatch(line); m != nil && m[1]+m[2] != "" {
			all = append(all, strings.Fields(m[1]+m[2]))
		}
	}
	return all
}

// noOrphan waits until only these cells run and are registered: a birth that
// failed leaves neither process nor registration.
func (h *house) noOrphan(cells ...string) {
	h.t.Helper()
	h.await("orphans", func(ctx context.Context) error {
		if running := h.processes(); !slices.Equal(running, cells) {
			return fmt.Errorf("running: %v", running)
		}
		members, err := h.fleet.Members(ctx, "pod")
		if err == nil && len(members) != len(cells) {
			err = fmt.Errorf("registered: %v", members)
		}
		return err
	})
}

// TestBirthsThatCannotSucceed tries a program that exits at once, a port that
// is taken and a program that never becomes healthy. The leader's log says which
// it was, nothing is left of the birth, and the next one succeeds.
func TestBirthsThatCannotSucceed(t *testing.T) {
	h := faulty(t, houseOptions{Policy: `
  birth {
    backoff_min = "500ms"
    backoff_max = "1s"
  }
`})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	defer func() { h.must(taken.Close()) }()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	h.must(err)
	h.write("port", port)
	h.write("unwell.hcl", h.policyText("max  = 8", "max  = 8\n  health { tcp = true }"))
	h.edit("pod/main.tf", `create = "30s"`, `create = "8s"`)
	h.apply()
	h.settled(1, patience)

	for i, fault := range []struct{ kind, says string }{
		{"exits", "ended with exit status 1"},
		{"port", port},
		{"unwell", "connect to the application"},
	} {
		h.write("fault", fault.kind)
		h.succeed("pin", "pod", fmt.Sprint(i+2))
		h.hears("the order was not carried out", "Cell not born", fault.says)
		h.await("the state with a cell not born", func(context.Context) error {
			cells, err := h.stateCells()
			if err == nil && len(cells) != i+1 {
				err = errors.New(strings.Join(cells, ", "))
			}
			return err
		})
		h.remove("fault")
		h.settled(i+2, patience)
	}
}
