package balance

import (
	"strings"
	"testing"
	"time"
)

// TestScheduledBounds has the bounds move, and the decision say whose they are.
func TestScheduledBounds(t *testing.T) {
	s := newService(t, 4)
	s.obs.Offered = per(50)
	s.beats(70) // for longer than the law must have run to release
	s.obs.Ordered, s.obs.Ready = 4, 4

	s.cfg.Min, s.cfg.Max = 10, 30
	s.cfg.Scheduled = Scheduled{Moves: true, MinBy: "day", MaxBy: "day", MinFrom: s.obs.At.Add(time.Minute)}
	s.beats(1)
	s.want(10, CodeBounds)
	if s.d.CappedBy != `min of schedule "day"` || !strings.Contains(s.d.Reason, `outside the bounds of 10 to 30, min of schedule "day", which begins at 20`) {
		t.Errorf("by %q: %s", s.d.CappedBy, s.d.Reason)
	}
	for _, term := range s.d.Terms {
		if term.Name == "most" && term.Note != `set by max of schedule "day"` || term.Name == "least" && !strings.HasPrefix(term.Note, `set by min of schedule "day", which begins`) {
			t.Errorf("%+v", term)
		}
	}

	// It ends: the law releases as ever, after its time and in its steps.
	s.obs.Ordered, s.obs.Ready = 10, 10
	s.cfg.Min, s.cfg.Scheduled = 1, Scheduled{Moves: true}
	s.beats(1)
	s.want(10, CodeSettling)
	s.beats(6)
	s.want(4, CodeRelease)
}

// TestScheduledMaxFalls: cells above it go in steps, whatever the load; a person's
// lower max counts at once.
func TestScheduledMaxFalls(t *testing.T) {
	s := newService(t, 40)
	s.cfg.Max, s.cfg.Scheduled = 10, Scheduled{Moves: true, MaxBy: "night"}
	s.obs.Lag = per(800_000)
	for _, want := range []int{16, 10, 10} {
		s.beats(1)
		if s.d.Desired != want {
			t.Fatalf("%d of %d, want %d: %s", s.d.Desired, s.obs.Ordered, want, s.d.Reason)
		}
		s.obs.Ordered, s.obs.Ready = want, want
	}
	if s.d.Code != CodeCappedMax || s.d.CappedBy != `max of schedule "night"` || !strings.Contains(s.d.Reason, `max of schedule "night" is 10`) {
		t.Errorf("%s by %q: %s", s.d.Code, s.d.CappedBy, s.d.Reason)
	}
	s.cfg.Max, s.cfg.Scheduled = 2, Scheduled{}
	s.beats(1)
	s.want(2, CodeBounds)
}
