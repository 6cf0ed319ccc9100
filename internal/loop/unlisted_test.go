package loop

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// A cell that answers is given up only when its infrastructure has been looked at
// again, and never while others are on their way.
func TestUnlistedAreHeld(t *testing.T) {
	const hold = time.Minute
	cells := []string{"web-1", "web-2", "web-3"}
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	var u unlisted
	u.note(start, nil, cells)
	for _, step := range []struct {
		name    string
		after   time.Duration
		look    []string // what another look misses, just before; nil for no look
		living  []string
		settled bool
		due     []string
		why     string
		stale   bool
	}{
		{name: "all of them live", living: cells, settled: true, why: "web-1, web-2, web-3, or a part of it, and it answers"},
		{name: "before its time", after: hold - time.Second, look: cells, living: cells, settled: true, why: "None is replaced before 12:01:00"},
		{name: "not looked again", after: hold, living: cells, settled: true, why: "None is replaced before", stale: true},
		{name: "others are on their way", after: hold + time.Second, look: cells, living: cells, why: "1 at a time, once all others take work"},
		{name: "still missed", after: hold + time.Second, living: cells, settled: true, due: []string{"web-1"}},
		{name: "one doesn't answer", after: hold + 2*time.Second, living: []string{"web-1", "web-3"}, due: []string{"web-2"}, why: "at a time"},
		{name: "found again", after: hold + 3*time.Second, look: []string{}, settled: true},
		{name: "missed later", after: time.Hour, look: cells[:1], living: cells[:1], settled: true, why: "None is replaced before 13:01:00"},
	} {
		now := start.Add(step.after)
		if step.look != nil {
			u.note(now, nil, step.look)
		}
		u.judge(now, hold, cells, step.living, step.settled)
		if !slices.Equal(u.due, step.due) || !strings.Contains(u.why, step.why) || (u.why == "") != (step.why == "") {
			t.Errorf("%s: due %v, %q", step.name, u.due, u.why)
		}
		if got := u.stale(now, hold); got != step.stale {
			t.Errorf("%s: it must be looked again: %t", step.name, got)
		}
	}
}

// Whom a refresh misses whole, and who doesn't answer, is for the death watch.
func TestUnlistedWhole(t *testing.T) {
	now := time.Now()
	var u unlisted
	u.note(now, []string{"web-1", "web-2"}, nil)
	u.judge(now, time.Minute, []string{"web-1", "web-2"}, []string{"web-2"}, true)
	if len(u.due) > 0 || !strings.Contains(u.why, "web-2") || strings.Contains(u.why, "web-1") {
		t.Errorf("due %v, %q", u.due, u.why)
	}
}
