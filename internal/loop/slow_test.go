package loop

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// byDefault is the policy's block replace where nothing is written.
var byDefault = policy.Replace{
	Slow: "replace", SlowQuantile: 0.5, SlowScore: 3.5, SlowRatio: 2, SlowLoad: 1.25, SlowSiblings: 4,
	SlowRequests: 20, SlowShare: 0.25, SlowAfter: 2 * time.Minute, SlowReplaceAfter: 5 * time.Minute,
}

var slowNoon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// pack is a service of cells at one load, a few of them named with a latency of
// their own.
func pack(latencies ...float64) []pacing {
	var all []pacing
	for i, latency := range latencies {
		all = append(all, pacing{Name: fmt.Sprintf("api-%d", i+1), Latency: latency, Load: 50})
	}
	return all
}

func TestOutlier(t *testing.T) {
	loaded := pack(0.1, 0.11, 0.09, 0.1, 1)
	loaded[4].Load = 80
	for _, c := range []struct {
		name  string
		cells []pacing
		slow  bool
	}{
		{"ten times as slow", pack(0.1, 0.11, 0.09, 0.1, 1), true},
		{"an outlier, but hardly slower", pack(0.1, 0.1001, 0.0999, 0.1, 0.11), false},
		{"slower, but they all differ", pack(0.1, 0.3, 0.05, 0.2, 0.4), false},
		{"siblings all alike", pack(0.1, 0.1, 0.1, 0.1, 0.3), true},
		{"most siblings alike", pack(0.1, 0.1, 0.1, 0.12, 0.3), true},
		{"too few siblings", pack(0.1, 0.11, 0.09, 1), false},
		{"under more load", loaded, false},
		{"nobody slow at all", pack(0, 0, 0, 0, 0), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			last := len(c.cells) - 1
			if why := outlier(&byDefault, c.cells[last], c.cells[:last]); (why != "") != c.slow {
				t.Errorf("slow: %q, want %t", why, c.slow)
			}
		})
	}
	why := outlier(&byDefault, pacing{Latency: 1, Load: 50}, pack(0.1, 0.11, 0.09, 0.1))
	if want := "latency 1s where 4 siblings have 100ms at the same load (modified z-score 121)"; why != want {
		t.Errorf("said %q, want %q", why, want)
	}
}

// beats lets beats of 5 s pass at which the cells are as they are.
func (w *slowWatch) beats(n int, at *time.Time, cells []pacing) (held string) {
	for range n {
		*at = at.Add(5 * time.Second)
		held = w.judge(&byDefault, *at, cells)
	}
	return held
}

func TestSlowCellIsMarkedThenDue(t *testing.T) {
	even, slow := pack(0.1, 0.11, 0.09, 0.1, 0.1), pack(0.1, 0.11, 0.09, 0.1, 1)
	at := slowNoon
	var w slowWatch
	state := func(marked bool, due bool) {
		t.Helper()
		_, isMarked := w.marked()["api-5"]
		if isDue := slices.Equal(w.due(&byDefault, at), []string{"api-5"}); isMarked != marked || isDue != due {
			t.Errorf("at %s: marked %t, due %t; want %t, %t", at.Sub(slowNoon), isMarked, isDue, marked, due)
		}
	}
	w.beats(24, &at, slow)
	state(false, false)
	w.beats(1, &at, even) // a good beat begins it anew
	w.beats(24, &at, slow)
	state(false, false)
	w.beats(1, &at, slow)
	state(true, false)
	w.beats(12, &at, slow[:4]) // not known: nothing changes
	state(true, false)
	// A new leader goes on with it.
	text, err := json.Marshal(memory{Slow: w})
	if err != nil {
		t.Fatal(err)
	}
	var m memory
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	w = m.Slow
	w.beats(48, &at, slow)
	state(true, true)
	w.beats(1, &at, even)
	state(true, false)
	w.beats(24, &at, even)
	state(false, false)
	// Spared it was well, with its share of clients it is slow again.
	w.beats(25, &at, slow)
	state(true, true)
	w.forget(map[string]string{"api-5": ""})
	state(true, true)
	w.forget(map[string]string{"api-1": ""})
	state(false, false)
}

func TestManySlowAtOnce(t *testing.T) {
	at := slowNoon
	var w slowWatch
	held := w.beats(100, &at, pack(0.1, 0.11, 0.09, 0.1, 0.1, 0.1, 1, 1.1))
	if len(w.marked()) != 2 {
		t.Errorf("marked %v: %s; a quarter may be slow", w.marked(), held)
	}
	w = slowWatch{}
	if held := w.beats(100, &at, pack(0.1, 0.11, 0.09, 0.1, 0.1, 1, 1.1, 1.2)); len(w.marked()) != 0 || !strings.Contains(held, "3 of 8") {
		t.Errorf("marked %v: %q", w.marked(), held)
	}
}

// Whatever makes all cells slow together, at any pace, marks none of them; and
// no more than the share is ever marked in the same beat.
func TestNeverWhenAllGrowSlow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := slowNoon
		var w slowWatch
		n := rapid.IntRange(2, 12).Draw(t, "cells")
		base := rapid.SliceOfN(rapid.Float64Range(0.09, 0.11), n, n).Draw(t, "latencies")
		for range 60 {
			factor := rapid.Float64Range(1, 1000).Draw(t, "factor")
			scaled := make([]float64, n)
			for i := range base {
				scaled[i] = base[i] * factor
			}
			w.beats(1, &at, pack(scaled...))
			if marked := w.marked(); len(marked) > 0 {
				t.Fatalf("marked %v", marked)
			}
		}
	})
}

// A slow cell is replaced by a newcomer that is there before it goes, and a
// second one after that.
func TestSlowCellsAreReplacedOneAfterTheOther(t *testing.T) {
	r := newRenewing(6, 1, 10, 1)
	r.l.record.Genome = ""
	r.l.Service.Replace = byDefault
	r.l.Service.Replace.MassHold = time.Minute
	since := time.Now().Add(-time.Hour)
	r.l.memory.Slow.Cells = map[string]slowCell{
		"api-2": {Slow: since, Marked: since, Reason: "latency 1s"},
		"api-5": {Slow: since.Add(time.Minute), Marked: since.Add(time.Minute), Reason: "latency 2s"},
	}
	r.slow = map[string]fleet.Slow{"api-2": {}, "api-5": {}}
	r.members["api-2"], r.members["api-5"] = fleet.Warning, fleet.Warning
	for beat := range 40 {
		if why := r.beat(6); why != "" {
			t.Fatal(why)
		}
		if len(r.l.record.Names) < 6 || len(r.l.record.Names) > 7 {
			t.Fatalf("beat %d: %v", beat, r.l.record.Names)
		}
		r.l.memory.Slow.forget(r.l.lives(view{}))
		for name, health := range r.members {
			if health == fleet.Critical {
				r.members[name] = fleet.Passing // born
			}
		}
	}
	if names := r.l.record.Names; slices.Contains(names, "api-2") || slices.Contains(names, "api-5") || len(names) != 6 {
		t.Errorf("left: %v", names)
	}
}

// Two bad beats with nothing known between them are not slowness that stays.
func TestSlowIsSeenToStay(t *testing.T) {
	slow := pack(0.1, 0.11, 0.09, 0.1, 1)
	at := slowNoon
	var w slowWatch
	w.beats(1, &at, slow)
	w.beats(25, &at, slow[:4])
	w.beats(1, &at, slow)
	if marked := w.marked(); len(marked) != 0 {
		t.Errorf("marked %v", marked)
	}
	w.beats(24, &at, slow)
	if marked := w.marked(); len(marked) != 1 {
		t.Errorf("marked %v", marked)
	}
}

// Another life of a cell begins anew.
func TestSlowIsOfOneLife(t *testing.T) {
	slow := pack(0.1, 0.11, 0.09, 0.1, 1)
	slow[4].Life = "first"
	at := slowNoon
	var w slowWatch
	w.beats(30, &at, slow)
	w.forget(map[string]string{"api-5": "first"})
	if marked := w.marked(); len(marked) != 1 {
		t.Errorf("marked %v", marked)
	}
	w.forget(map[string]string{"api-5": "second"})
	if marked := w.marked(); len(marked) != 0 {
		t.Errorf("marked %v", marked)
	}
}

// A cell that was marked alone isn't replaced while all are slow.
func TestSlowCellsStayWhileAllAreSlow(t *testing.T) {
	r := newRenewing(6, 1, 10, 1)
	r.l.Service.Replace = byDefault
	r.l.memory.Slow.Cells = map[string]slowCell{"api-2": {Slow: slowNoon, Marked: slowNoon}}
	now := view{at: slowNoon.Add(time.Hour)}
	if due := r.l.slowDue(now); len(due) != 1 {
		t.Fatalf("due %v", due)
	}
	r.l.tellSlow("3 of 6 cells are slow at once")
	if due := r.l.slowDue(now); len(due) != 0 {
		t.Errorf("due %v", due)
	}
}

// One that holds data is only marked.
func TestSlowCellsWithDataStay(t *testing.T) {
	r := newRenewing(6, 1, 10, 1)
	r.l.Service.Replace, r.l.Service.HoldsData = byDefault, true
	r.l.memory.Slow.Cells = map[string]slowCell{"api-2": {Slow: slowNoon, Marked: slowNoon}}
	if due := r.l.slowDue(view{at: time.Now()}); len(due) != 0 {
		t.Errorf("due %v", due)
	}
}
