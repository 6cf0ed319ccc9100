package balance

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

func TestReasons(t *testing.T) {
	pin := func(n int) *int { return &n }
	tests := []struct {
		name    string
		ready   int
		set     func(*service)
		beats   int
		desired int
		code    string
		reason  string
	}{
		{"a backlog", 4, func(s *service) {
			s.cfg.WaitBound, s.obs.Offered, s.obs.Lag = 30*time.Second, per(390), per(80_000)
		}, 1, 12, CodeGrow, "lag of 80,000 messages takes 3m20s to work off, over 30s: 12 cells are needed, 4 are ordered"},
		{"load", 1, func(s *service) { s.obs.Offered = per(200) }, 1, 2, CodeGrow,
			"load of 200/s at 100/s a cell: 2 cells are needed, 1 is ordered"},
		{"more load than will be worked off", 4, func(s *service) { s.obs.Offered = per(1000) }, 12, 17, CodeGrow,
			"load of 1,000/s would leave a backlog of 34,465 messages in the 1m a cell takes to be born: 17 cells are needed, 4 are ordered"},
		{"a look-back", 1, func(s *service) { s.obs.Offered = per(99) }, 30, 2, CodeGrow,
			"load of 99/s may reach 123/s, judging by the last 5m: 2 cells are needed, 1 is ordered"},
		{"as many as needed", 2, func(*service) {}, 30, 2, CodeSteady, "load of 100/s, 2 cells are ordered: as many as are needed"},
		{"max", 4, func(s *service) { s.cfg.Max, s.obs.Lag = 6, per(80_000) }, 1, 6, CodeGrow,
			"lag of 80,000 messages takes 3m20s to work off, over 5s: 11 cells are needed, 4 are ordered, max is 6"},
		{"at max", 6, func(s *service) { s.cfg.Max, s.obs.Lag = 6, per(80_000) }, 1, 6, CodeCappedMax, "max is 6"},
		{"partitions", 4, func(s *service) { s.obs.Partitions, s.cfg.ConsumersPerCell, s.obs.Lag = per(11), 2, per(80_000) }, 1, 6, CodeGrow,
			"11 partitions occupy no more than 6"},
		{"at partitions", 6, func(s *service) { s.obs.Partitions, s.cfg.ConsumersPerCell, s.obs.Lag = per(11), 2, per(80_000) }, 1, 6, CodeCappedPartitions,
			"11 partitions occupy no more than 6"},
		{"partitions never cut below min", 4, func(s *service) { s.obs.Partitions, s.cfg.Min = per(2), 4 }, 1, 4, CodeSteady, ""},
		{"min", 1, func(s *service) { s.cfg.Min = 3 }, 1, 3, CodeBounds, "1 cell is ordered, outside the bounds of 3 to 40"},
		{"max below min is min", 1, func(s *service) { s.cfg.Min, s.cfg.Max = 3, 2 }, 1, 3, CodeBounds, "bounds of 3 to 3"},
		{"above max", 50, func(*service) {}, 1, 40, CodeBounds, "50 cells are ordered, outside the bounds of 1 to 40"},
		{"pinned", 4, func(s *service) { s.obs.Pin = pin(7) }, 1, 7, CodePinned, "pinned to 7 by a person; the law wants 1"},
		{"pinned below min", 4, func(s *service) { s.obs.Pin, s.cfg.Min = pin(0), 2 }, 1, 0, CodePinned, "pinned to 0"},
		{"pinned above max", 4, func(s *service) { s.obs.Pin = pin(99) }, 1, 40, CodePinned, "pinned to 99 by a person, cut to 40"},
		{"pinned below nothing", 4, func(s *service) { s.obs.Pin = pin(-1) }, 1, 0, CodePinned, "cut to 0"},
		{"no signal", 4, func(s *service) { s.cfg.BoundsOnly, s.obs.Offered = true, reading.Reading{} }, 1, 4, CodeBoundsOnly, "no signal of load"},
		{"a release", 10, func(s *service) { s.obs.Offered = per(50) }, 60, 4, CodeRelease,
			"1 cell was enough for 5m with load of 50/s: 10 are ordered, 6 go"},
		{"too young", 10, func(*service) {}, 12, 10, CodeWarmingUp, "2 cells would do, 10 are ordered: kept, since the law has run for 1m of 5m"},
		{"a birth", 10, func(s *service) {
			s.obs.InFlight = []Order{{Delta: 1, Placed: epoch, Expected: epoch.Add(time.Minute)}}
		}, 2, 10, CodeWaitingForBirth, "since an upward order is in flight, due in 50s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t, tt.ready)
			tt.set(s)
			s.beats(tt.beats)
			s.want(tt.desired, tt.code)
			if !strings.Contains(s.d.Reason, tt.reason) {
				t.Errorf("reason %q, want %q", s.d.Reason, tt.reason)
			}
		})
	}
}

// A failed reading is not zero: the classic scale-in on an outage.
func TestMissingReadingsNeverLower(t *testing.T) {
	gone := reading.Unknown("broker 3 gone")
	tests := []struct {
		name string
		set  func(*Observation)
		code string
	}{
		{"offered", func(o *Observation) { o.Offered = gone }, CodeUnknownOffered},
		{"lag", func(o *Observation) { o.Lag = gone }, CodeUnknownLag},
		{"latency", func(o *Observation) { o.Latency = gone }, CodeUnknownLatency},
		{"a lag that can't be", func(o *Observation) { o.Lag = per(-1) }, CodeUnknownLag},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t, 10)
			s.cfg.LatencyUpper, s.obs.Latency = time.Second, per(0.1)
			s.obs.Offered = per(50)
			s.beats(20)
			tt.set(&s.obs)
			for range 200 {
				s.beats(1)
				s.want(10, tt.code)
			}
			if len(s.d.Unknown) != 1 || !strings.Contains(s.d.Reason, s.d.Unknown[0]) {
				t.Errorf("unknown %q, reason %q: want the reading and why", s.d.Unknown, s.d.Reason)
			}
		})
	}
}

// What was wanted when all was known is wanted for as long as it isn't, though the
// look-back that saw why forgets it.
func TestMissingReadingsDoNotForget(t *testing.T) {
	s := newService(t, 4)
	s.obs.Offered = per(2000)
	s.beats(6)
	s.obs.Offered = per(100)
	s.beats(12)
	wanted := s.term("wanted")
	s.obs.Offered = reading.Unknown("late")
	s.beats(200)
	if got := s.term("wanted"); wanted <= 4 || got < wanted {
		t.Errorf("%g cells are wanted without a reading, and %g were with the last one", got, wanted)
	}
}

func TestWantedDoesNotFallOnAMissingReading(t *testing.T) {
	s := newService(t, 4)
	s.obs.Lag = per(80_000)
	high := s.beats(1).Desired
	s.obs.Lag = reading.Unknown("late")
	s.obs.Offered = reading.Unknown("late")
	for range 60 {
		// The fallback, hold, comes after a minute: then what is ordered stays.
		if d := s.beats(1); d.Desired < high {
			t.Fatalf("fell from %d to %d: %s", high, d.Desired, d.Reason)
		}
		s.obey()
	}
	s.want(s.obs.Ordered, CodeUnknownOffered)
}

func TestNoLatencyOfNothingIsNotMissing(t *testing.T) {
	s := guarded(t)
	s.obs.Offered, s.obs.Served, s.obs.Latency = per(0), per(0), reading.Unknown("no request")
	s.beats(60)
	s.want(2, CodeRelease)
	s = guarded(t)
	s.obs.Offered, s.obs.Served, s.obs.Latency = per(1), per(0), reading.Unknown("no request")
	s.beats(60)
	s.want(4, CodeUnknownLatency)
	s = guarded(t)
	s.obs.Offered, s.obs.Served, s.obs.Latency, s.obs.Quiet = per(1), per(1), reading.Unknown("no client"), true
	s.beats(60)
	s.want(2, CodeRelease)
}

func TestFallbacks(t *testing.T) {
	tests := []struct {
		name    string
		lag     Fallback
		latency Fallback
		away    int
		desired int
		code    string
	}{
		{"hold keeps the count whatever the load", Fallback{Kind: Hold}, Fallback{}, 12, 4, CodeUnknownLag},
		{"and is the default", Fallback{}, Fallback{}, 12, 4, CodeUnknownLag},
		{"but not at the first beats", Fallback{}, Fallback{}, 11, 17, CodeGrow},
		{"floor lets the load raise it", Fallback{Kind: Floor}, Fallback{}, 12, 17, CodeGrow},
		{"a number is a least", Fallback{Kind: Number, Number: 30}, Fallback{}, 12, 30, CodeFallback},
		{"but lowers nothing", Fallback{Kind: Number, Number: 2}, Fallback{}, 12, 17, CodeGrow},
		{"and is cut by max", Fallback{Kind: Number, Number: 99}, Fallback{}, 12, 40, CodeFallback},
		{"latency has its own", Fallback{Kind: Floor}, Fallback{Kind: Number, Number: 30}, 12, 30, CodeFallback},
		{"and leaves the rates their say", Fallback{Kind: Floor}, Fallback{Kind: Hold}, 12, 17, CodeGrow},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t, 4)
			s.cfg.LagFallback, s.cfg.LatencyFallback, s.cfg.LatencyUpper = tt.lag, tt.latency, time.Second
			s.obs.Offered, s.obs.Latency = per(1000), reading.Unknown("scrape failed")
			s.obs.Lag = reading.Unknown("broker gone")
			s.beats(tt.away)
			s.want(tt.desired, tt.code)
		})
	}
}

// The sum in the decision can be followed with a pencil.
func TestTermsAddUp(t *testing.T) {
	s := newService(t, 4)
	s.obs.Offered, s.obs.Lag, s.obs.BusySource = per(163), per(26_000), "gauge"
	s.beats(40)
	// Need: 163 * 160/163 = 160. Backlog in 65 s: 26,000 + 65*(160-400).
	steps := map[string]float64{
		"offered rate": 163, "need": 160, "lead": 65, "rate of a cell": 100, "planned busy share": 0.92,
		"lag": 26_000, "backlog": 10_400, "allowed lag": 200, "drain": 10_200.0 / 60, "busy cells": 3.3, "exact count": 3.3 / 0.92,
		"wanted": 4, "most": 40, "least": 1,
	}
	for name, want := range steps {
		if got := s.term(name); !near(got, want) {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	s.want(4, CodeSteady)
}

func TestRoundUp(t *testing.T) {
	cfg := Config{}.filled()
	// 8 % of the cells, a quarter of one at most, are not worth another.
	for cells, want := range map[float64]int{0: 1, 1: 1, 1.08: 1, 1.09: 2, 3.25: 3, 3.27: 4, 10.25: 10, 10.26: 11, 1e300: mostCells} {
		if got := roundUp(&cfg, cells); got != want {
			t.Errorf("roundUp(%v) = %d, want %d", cells, got, want)
		}
	}
}

func TestNumbersForAPerson(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 0.25: "0.25", 8.31: "8.3", 812.4: "812", 12_400: "12,400", 1_234_567: "1,234,567"} {
		if got := count(x); got != want {
			t.Errorf("count(%v) = %s, want %s", x, got, want)
		}
	}
	for x, want := range map[float64]string{0.42: "400ms", 30: "30s", 200: "3m20s", 300: "5m", 3600: "1h", 3660: "1h1m", 36_000: "10h"} {
		if got := span(x); got != want {
			t.Errorf("span(%v) = %s, want %s", x, got, want)
		}
	}
}
