package balance

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

func full(s *service) {
	s.obs.Behind = []Behind{{Service: "db", Count: per(1), Ready: 1, Room: per(0), Cause: "connections at 110 % of the bound"}}
}

// The API is slow because the database is: the API's count stays, and the
// database is asked for.
func TestBehindFull(t *testing.T) {
	s := slow(t)
	full(s)
	if n := s.life(24); n != 0 {
		t.Errorf("%d rises", n)
	}
	s.want(4, CodeBehindFull)
	for _, part := range []string{"db has no room", "connections at 110 %"} {
		if !strings.Contains(s.d.Reason, part) {
			t.Errorf("reason %q lacks %q", s.d.Reason, part)
		}
	}
	if len(s.d.Asks) != 1 || s.d.Asks[0].Service != "db" || s.d.Asks[0].Floor != 2 || !strings.Contains(s.d.Asks[0].Reason, "latency is 3s") {
		t.Errorf("asks %+v", s.d.Asks)
	}
	// Ordered there, and not born yet: no more is asked for.
	s.obs.Behind[0].Count = per(2)
	s.life(60)
	if s.d.Asks[0].Floor != 2 {
		t.Errorf("floor %d while the one asked for is on its way", s.d.Asks[0].Floor)
	}
	// Born, and it did not help within a minute: one more.
	s.obs.Behind[0].Ready = 2
	s.life(11)
	if s.d.Asks[0].Floor != 2 {
		t.Error("asked for more before the minute was over")
	}
	s.life(1)
	if s.d.Asks[0].Floor != 3 {
		t.Errorf("floor %d after a minute", s.d.Asks[0].Floor)
	}
	// It helped: the API grows again, and after a while nothing is asked for.
	s.obs.Behind[0].Room = per(0.4)
	if n := s.life(4); n == 0 {
		t.Errorf("no rise with room behind: %s: %s", s.d.Code, s.d.Reason)
	}
	s.obs.Latency = per(1)
	if s.life(55); len(s.d.Asks) != 1 {
		t.Error("withdrawn too early")
	}
	if s.life(5); len(s.d.Asks) != 0 {
		t.Errorf("asks %+v", s.d.Asks)
	}
}

// A database that can't grow holds nothing for ever: the decision says that it is at
// its max and what a person can do, and one cell is tried after the pause.
func TestBehindFullAtItsMax(t *testing.T) {
	s := slow(t)
	full(s)
	s.cfg.Law.EffectRetry = 10 * time.Minute
	b := &s.obs.Behind[0]
	b.Max, b.Answer = 2, "no more than max, 2, may be"
	s.life(60)
	if b.Count = per(2); strings.Contains(s.d.Reason, "its max") || !strings.Contains(s.d.Reason, "its leader says: no more") {
		t.Errorf("said before it is there: %s", s.d.Reason)
	}
	// Its count has changed, so the pause begins anew.
	if n := s.life(110); n != 0 {
		t.Errorf("%d rises before the pause is over: %s", n, s.d.Reason)
	}
	s.want(4, CodeBehindFull)
	for _, part := range []string{"is at its max of 2: raise its max, or its cells' bounds", "if nothing changes one is tried in 50s"} {
		if !strings.Contains(s.d.Reason, part) {
			t.Errorf("reason %q lacks %q", s.d.Reason, part)
		}
	}
	var grew string
	for range 12 {
		if s.life(1) > 0 {
			grew = s.d.Reason
		}
	}
	if s.obs.Ordered != 5 || !strings.Contains(grew, "one is tried, though db has no room") {
		t.Errorf("%d cells are ordered, want 5: %s", s.obs.Ordered, grew)
	}
	// It is judged, and brought nothing: the next one waits for as long, and so it does
	// under a new leader.
	s.st = stored(t, s.st)
	if n := s.life(110); n != 0 {
		t.Errorf("%d rises after the trial: %s", n, s.d.Reason)
	}
	s.want(5, CodeBehindFull)
	if s.life(60); s.obs.Ordered != 6 {
		t.Errorf("%d cells are ordered after the second pause, want 6: %s", s.obs.Ordered, s.d.Reason)
	}
	// It grows, which ends it.
	b.Max, b.Count, b.Ready, b.Room = 3, per(3), 3, per(0.4)
	if s.life(60); s.obs.Ordered < 7 {
		t.Errorf("%d cells with room behind: %s", s.obs.Ordered, s.d.Reason)
	}
}

// What is not known of a database asks for nothing, and holds nothing back.
func TestBehindUnknown(t *testing.T) {
	s := slow(t)
	s.obs.Behind[0].Room = reading.Unknown("no answer")
	if n := s.life(24); n == 0 || len(s.d.Asks) != 0 {
		t.Errorf("%d rises, asks %+v", n, s.d.Asks)
	}
}

// A database that is full though the API is well is its own leader's concern.
func TestBehindFullAndNothingSlow(t *testing.T) {
	s := slow(t)
	full(s)
	s.obs.Latency = per(1)
	if n := s.life(24); n == 0 || len(s.d.Asks) != 0 {
		t.Errorf("%d rises, asks %+v", n, s.d.Asks)
	}
}

// New cells are paired with a database: while none has room they wait, for a
// while.
func TestPairWaits(t *testing.T) {
	s := slow(t)
	full(s)
	s.cfg.Pair, s.cfg.PairWait, s.obs.Latency = "db", 2*time.Minute, per(1)
	if n := s.life(24); n != 0 {
		t.Errorf("%d rises", n)
	}
	s.want(4, CodeUnpaired)
	if len(s.d.Asks) != 1 || !strings.Contains(s.d.Asks[0].Reason, "to be paired") || !strings.Contains(s.d.Reason, "waited for up to 2m") {
		t.Errorf("%s; asks %+v", s.d.Reason, s.d.Asks)
	}
	if s.d.Asks[0].Floor != 2 {
		t.Errorf("floor %d", s.d.Asks[0].Floor)
	}
	again := stored(t, s.st)
	if diff := cmp.Diff(s.st, again, sameState); diff != "" {
		t.Error(diff)
	}
	if n := s.life(2); n == 0 {
		t.Errorf("no rise after the wait: %s: %s", s.d.Code, s.d.Reason)
	}
}

func TestPairDoesNotWaitForBounds(t *testing.T) {
	s := slow(t)
	full(s)
	s.cfg.Pair, s.cfg.Min, s.obs.Latency, s.obs.Offered = "db", 6, per(1), per(1)
	s.beats(1)
	s.want(6, CodeBounds)
	pin := 9
	s.obs.Pin = &pin
	s.beats(1)
	s.want(9, CodePinned)
}

func TestRequested(t *testing.T) {
	ask := func(s *service, floor int) {
		s.obs.Requests = []Request{
			{From: "front", Floor: 1, Reason: "little", Expires: s.obs.At.Add(time.Hour)},
			{From: "api", Floor: floor, Reason: "no room", Expires: s.obs.At.Add(time.Minute)},
		}
	}
	s := newService(t, 1)
	s.cfg = Config{Min: 1, Max: 4, BoundsOnly: true}
	s.obs.Offered, s.obs.Lag = reading.Unknown("no signal"), reading.Unknown("no signal")
	ask(s, 3)
	s.beats(1)
	s.want(3, CodeRequested)
	if !strings.Contains(s.d.Reason, "api asks for 3 cells: no room") || s.term("requested") != 1 {
		t.Errorf("%s; %+v", s.d.Reason, s.d.Terms)
	}
	want := []Answer{
		{To: "front", Floor: 1, Granted: 1, Reason: "1 cell is ready"},
		{To: "api", Floor: 3, Granted: 3, Reason: "3 are to be, 1 is ready"},
	}
	if diff := cmp.Diff(want, s.d.Answers); diff != "" {
		t.Error(diff)
	}
	s.obey()
	ask(s, 9)
	s.beats(1)
	s.want(4, CodeRequested)
	if a := s.d.Answers[1]; a.Granted != 4 || a.Reason != "no more than max, 4, may be" {
		t.Errorf("%+v", a)
	}
	s.obey()
	// Expired: what is there stays, as nothing else decides here.
	s.beats(13)
	s.want(4, CodeBoundsOnly)
	if len(s.d.Answers) != 1 {
		t.Errorf("answers %+v", s.d.Answers)
	}
}

// A request keeps what load alone would release.
func TestRequestedKeeps(t *testing.T) {
	s := newService(t, 6)
	s.obs.Requests = []Request{{From: "front", Floor: 6, Reason: "a launch", Expires: s.obs.At.Add(24 * time.Hour)}}
	s.beats(300)
	s.want(6, CodeSteady)
	s.obs.Requests = nil
	s.beats(8)
	s.want(3, CodeRelease)
}
