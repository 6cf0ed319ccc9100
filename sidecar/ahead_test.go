package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tide is the metrics page of an application that is asked as often as the test
// wants, does a hundred a second when wholly busy, and is never slow. All cells of a
// house have the same page, so the service's load is as many times that of the page.
type tide struct {
	mu    sync.Mutex
	rate  float64 // per second
	total float64
	until time.Time // of total
}

func (p *tide) set(rate float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flow()
	p.rate = rate
}

func (p *tide) flow() {
	now := time.Now()
	if !p.until.IsZero() {
		p.total += p.rate * now.Sub(p.until).Seconds()
	}
	p.until = now
}

func (p *tide) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flow()
	_, _ = fmt.Fprintf(w, `# TYPE pod_seconds histogram
pod_seconds_bucket{le="0.1"} %[1]f
pod_seconds_bucket{le="+Inf"} %[1]f
pod_seconds_sum %[2]f
pod_seconds_count %[1]f
# TYPE busy gauge
busy %[3]f
`, p.total, p.total/20, p.rate/100)
}

// policy opens the page, and is the policy of a service that goes by it.
func (p *tide) policy(tb testing.TB) string {
	tb.Helper()
	page := httptest.NewServer(p)
	tb.Cleanup(page.Close)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(page.URL, "http://"))
	return fmt.Sprintf(`
  latency {
    histogram = "pod_seconds"
    upper     = "1s"
  }
  metrics {
    port = %s
    busy = "busy"
  }
  birth { time = "1s" }
  drain { timeout = "4s" }
  replace { after = "3s" }
  plan_ahead {
    pause     = "1s"
    pause_max = "1s"
  }
  law {%s    release_after  = "1s"
    release_window = "1s"
  }
`, port, shortMemory)
}

// Loads a second of each of so many cells, at which another is near, and is ordered.
// With the square root of what is busy on top, the sums are 0.64 and 1.63 of a cell
// less what is rounded off, and 1.11 and 2.16: an order is foreseen from half a cell
// below it on.
const (
	nearSecond, secondCell = 36, 80
	nearThird, thirdCell   = 68, 99
)

// tidal is a house whose load the test makes.
type tidal struct {
	*house
	load *tide
}

// newTidal has cells near the order of another one.
func newTidal(t *testing.T, cells int, change ...func(*house)) *tidal {
	t.Helper()
	needServers(t)
	t.Parallel()
	load := &tide{rate: nearSecond}
	if cells == 2 {
		load.rate = nearThird
	}
	h := faultyHouse(t, houseOptions{Min: cells, Max: 4, Initial: cells, Policy: load.policy(t)})
	h.env = append(h.env, "HOMEOSTAT_LOG_LEVEL=debug")
	for _, f := range change {
		f(h)
	}
	h.apply()
	h.settled(cells, patience)
	return &tidal{house: h, load: load}
}

// foreseen waits until the plan of the next cell lies ready, and returns where.
func (h *tidal) foreseen(cells int) string {
	h.t.Helper()
	h.reads("ahead", fmt.Sprintf("planned for %d cells (1 more)", cells))
	plans := h.plans()
	if len(plans) != 1 {
		h.t.Fatalf("plans lie at %v, want one", plans)
	}
	return plans[0]
}

// plans are the folders of all plans that lie about.
func (h *tidal) plans() []string {
	found, err := filepath.Glob(filepath.Join(h.module(), ".terraform", "homeostat", "*", "plan-*"))
	h.must(err)
	return found
}

// applied are the orders that were applied as planned ahead.
func (h *tidal) applied() int { return len(h.logLines("order applied as planned ahead")) }

// TestPlannedAhead has the load come near an order, which is planned, then beyond it:
// the order goes straight to apply. When the load is gone, the removal is planned
// while the cell drains.
func TestPlannedAhead(t *testing.T) {
	h := newTidal(t, 1)
	h.foreseen(2)
	h.load.set(secondCell)
	h.settled(2, patience)
	h.hears("order placed", "(planned ahead)")
	h.hears("order applied as planned ahead")
	placed := h.commandsAfter("order placed", "order applied as planned ahead")
	if !slices.Equal(placed, []string{"apply"}) {
		t.Errorf("Terraform ran %v for the order, want its apply alone", placed)
	}
	h.load.set(1)
	h.settled(1, patience)
	h.await("the removal was planned ahead", func(context.Context) error {
		if n := h.applied(); n != 2 {
			return fmt.Errorf("%d orders were applied as planned ahead", n)
		}
		return nil
	})
	h.await("plans lie about", func(context.Context) error {
		if left := h.plans(); len(left) > 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
}

// commandsAfter are Terraform's commands that the leader began between two messages.
func (h *tidal) commandsAfter(from, to string) (commands []string) {
	h.t.Helper()
	paths, err := filepath.Glob(filepath.Join(h.dir, "cells", "pod", "pod-1", "*.log"))
	h.must(err)
	within := false
	for _, path := range paths {
		text, err := os.ReadFile(path)
		h.must(err)
		for line := range strings.Lines(string(text)) {
			switch {
			case strings.Contains(line, from):
				within = true
			case strings.Contains(line, to):
				return commands
			case within && strings.Contains(line, "terraform begins"):
				_, rest, _ := strings.Cut(line, "command=")
				command, _, _ := strings.Cut(rest, " ")
				commands = append(commands, command)
			}
		}
	}
	h.t.Fatalf("no %q after %q", to, from)
	return nil
}

// bump has a person write the state again, as it is, under the next serial.
func (h *tidal) bump() {
	h.t.Helper()
	text, code := h.run(h.terraform, "state", "pull")
	if code != 0 {
		h.t.Fatalf("terraform state pull: %s", text)
	}
	var state map[string]any
	h.must(json.Unmarshal([]byte(text), &state))
	serial, ok := state["serial"].(float64)
	if !ok {
		h.t.Fatalf("the state has no serial: %s", text)
	}
	state["serial"] = serial + 1
	again, err := json.Marshal(state)
	h.must(err)
	h.write("again.tfstate", string(again))
	if out, code := h.run(h.terraform, "state", "push", filepath.Join(h.dir, "again.tfstate")); code != 0 {
		h.t.Fatalf("terraform state push: %s", out)
	}
}

// TestStateMovesOnAfterAPlanAhead has a person write the state between the plan ahead
// and its order: the plan is thrown away, and another made.
func TestStateMovesOnAfterAPlanAhead(t *testing.T) {
	h := newTidal(t, 1)
	first := h.foreseen(2)
	h.bump()
	h.hears("the plan made ahead was thrown away", "why=state")
	h.await("another plan ahead", func(context.Context) error {
		if now := h.plans(); len(now) != 1 || now[0] == first {
			return fmt.Errorf("plans lie at %v", now)
		}
		return nil
	})
	h.foreseen(2)
	h.load.set(secondCell)
	h.settled(2, patience)
	if h.applied() == 0 {
		t.Error("the order was not applied as planned ahead the second time")
	}
}

// TestStaleRemoteState is the same with a state that lies elsewhere, whose serial is
// not looked at: Terraform refuses the plan, and the order is planned anew.
func TestStaleRemoteState(t *testing.T) {
	h := newTidal(t, 1, func(h *house) {
		s := newStates(t)
		h.readState = func() ([]byte, error) { return s.object(t.Context(), stateObject) }
		h.rewrite("pod/main.tf", func(text string) string { return s.backend() + text })
	})
	h.foreseen(2)
	h.bump()
	h.load.set(secondCell)
	h.settled(2, patience)
	h.hears("the plan made ahead was of no use", "why=stale")
}

// TestModuleEditedAfterAPlanAhead has the root module edited between plan and order.
func TestModuleEditedAfterAPlanAhead(t *testing.T) {
	h := newTidal(t, 1)
	h.foreseen(2)
	h.rewrite("pod/main.tf", func(text string) string { return text + "\n# edited\n" })
	h.hears("the plan made ahead was thrown away", "why=module")
	h.load.set(secondCell)
	h.settled(2, patience)
	h.hears("ready to act") // after it was learned anew what an order changes
}

// TestLeaderKilledWithAPlanAhead kills the leader while a plan ahead lies there, which
// may hold secrets: the next leader removes it, and goes on.
func TestLeaderKilledWithAPlanAhead(t *testing.T) {
	h := newTidal(t, 2)
	plan := h.foreseen(3)
	leader := h.leader()
	if owner := filepath.Base(filepath.Dir(plan)); owner != leader {
		t.Fatalf("the plan lies with %s, and %s leads", owner, leader)
	}
	h.killCell(leader)
	h.await("the dead leader's plan", func(context.Context) error {
		if _, err := os.Stat(plan); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("it is there: %w", err)
		}
		return nil
	})
	h.settled(2, patience)
	h.foreseen(3)
	h.load.set(thirdCell)
	h.settled(3, patience)
}
