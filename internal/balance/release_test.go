package balance

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// eased is a service of n cells that has run long enough at a load for which
// one cell is enough, after the look-back has forgotten whatever was before.
func eased(t *testing.T, n int) *service {
	s := newService(t, n)
	s.cfg.FlapBudget = -1
	s.obs.Offered = per(50)
	return s
}

func TestRelease(t *testing.T) {
	tests := []struct {
		name    string
		ready   int
		set     func(*service)
		beats   int
		desired int
		code    string
	}{
		{"not before 300 s", 10, func(*service) {}, 59, 10, CodeWarmingUp},
		{"then no more than 60 % at once", 10, func(*service) {}, 60, 4, CodeRelease},
		{"a long birth makes it wait longer", 10, func(s *service) { s.obs.BirthMedian = per(400) }, 79, 10, CodeWarmingUp},
		{"not while an upward order is in flight", 10, func(s *service) {
			s.obs.InFlight = []Order{{Delta: 1, Placed: epoch, Expected: epoch.Add(time.Hour)}}
		}, 60, 10, CodeWaitingForBirth},
		{"a downward one does not matter", 10, func(s *service) {
			s.obs.InFlight = []Order{{Delta: -1, Placed: epoch, Expected: epoch.Add(time.Hour)}}
		}, 60, 4, CodeRelease},
		{"not while more lag remains than half a second's work", 10, func(s *service) { s.obs.Lag = per(501) }, 60, 10, CodeLagRemains},
		{"that much may be", 10, func(s *service) { s.obs.Lag = per(500) }, 60, 4, CodeRelease},
		{"not for less than 5 %", 30, func(s *service) { s.cfg.Min = 29 }, 60, 30, CodeDeadBand},
		{"but for one in twenty", 20, func(s *service) { s.cfg.Min = 19 }, 60, 19, CodeRelease},
		{"not when the hour's changes are used up", 10, func(s *service) { s.cfg.FlapBudget, s.obs.Changes = 12, 12 }, 60, 10, CodeFlapBudget},
		{"one before that", 10, func(s *service) { s.cfg.FlapBudget, s.obs.Changes = 12, 11 }, 60, 4, CodeRelease},
		{"those in flight are counted", 10, func(s *service) {
			s.cfg.FlapBudget, s.obs.Changes = 12, 11
			s.obs.InFlight = []Order{{Delta: -1, Placed: epoch, Expected: epoch.Add(time.Hour)}}
		}, 60, 10, CodeFlapBudget},
		{"the budget is 12 by default", 10, func(s *service) { s.cfg.FlapBudget, s.obs.Changes = 0, 12 }, 60, 10, CodeFlapBudget},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := eased(t, tt.ready)
			tt.set(s)
			s.beats(tt.beats)
			s.want(tt.desired, tt.code)
		})
	}
}

func TestReleaseWaitsUntilLessHasBeenEnough(t *testing.T) {
	s := eased(t, 10)
	s.cfg.Law.LookBacks, s.cfg.Law.NeedWindow = []time.Duration{5 * time.Second}, 5*time.Second
	s.obs.Offered = per(950)
	s.beats(80)
	s.obey() // 950 * 5/8, times 1.3, at 92 of 100: 9 cells
	s.beats(1)
	s.want(9, CodeSteady)
	s.obs.Offered = per(50)
	s.beats(1)
	s.want(9, CodeSettling)
	s.beats(4)
	s.want(9, CodeSettling)
	s.beats(1)
	s.want(4, CodeRelease)
}

func TestFlapBudgetLetsGrowthPass(t *testing.T) {
	s := newService(t, 2)
	s.obs.Changes, s.obs.Offered = 1000, per(900)
	s.beats(4)
	if s.d.Desired <= 2 || s.d.Code != CodeGrow {
		t.Errorf("%d, %s: %s", s.d.Desired, s.d.Code, s.d.Reason)
	}
}

// One idle cell waits for the whole of release_idle, four for a quarter of it, and
// each of them for two births; where that is less, look-backs of five minutes count.
func TestHold(t *testing.T) {
	tests := []struct {
		ready int
		looks float64
		beats int
		code  string
	}{
		{2, 100, (20*60+120)/5 - 1, CodeSettling},
		{2, 100, (20*60 + 120) / 5, CodeRelease},
		{5, 100, (5*60+120)/5 - 1, CodeSettling},
		{5, 100, (5*60 + 120) / 5, CodeRelease},
		{2, 2, (10*60+120)/5 - 1, CodeSettling},
		{2, 2, (10*60 + 120) / 5, CodeRelease},
	}
	for _, tt := range tests {
		s := eased(t, tt.ready)
		s.cfg.Law = Law{ReleaseLooks: tt.looks, FirstLookBack: 5 * time.Minute, Switch: 1}
		s.beats(tt.beats)
		if s.d.Code != tt.code {
			t.Errorf("%d of %d cells idle for %d beats: %s, want %s", tt.ready-1, tt.ready, tt.beats, s.d.Code, tt.code)
		}
	}
}

// Where consumers read nothing for a while when partitions move, cells must have idled
// for as much as that is worth: two pauses of all cells, each second of a cell as 24.
func TestReleaseIsWorthItsPauses(t *testing.T) {
	const still = "as consumers read nothing for 10s when partitions move"
	tests := []struct {
		name       string
		pause      reading.Reading
		ready, min int
		set        func(*service)
		after      time.Duration
		says       string
	}{
		{"unknown", reading.Unknown("no rebalance has been seen yet"), 10, 4, nil, 300 * time.Second, ""},
		{"none", per(0), 10, 4, nil, 300 * time.Second, ""},
		{"of requests, which no group reads", per(10), 10, 4, func(s *service) { s.cfg.Requests, s.obs.Lag = true, reading.Unknown("no topic") }, 300 * time.Second, ""},
		{"six of ten cells", per(10), 10, 4, nil, 800 * time.Second, "6 cells must have been more than enough for 13m21s before they go, " + still},
		{"one of ten cells", per(10), 10, 9, nil, 4800 * time.Second, "1 cell must have been more than enough for 1h20m2s before they go, " + still},
		{"two of forty cells", per(10), 40, 38, nil, 9600 * time.Second, "2 cells must have been more than enough for 2h40m1s before they go, " + still},
		{"nine of ten, of which six go", per(10), 10, 1, nil, 800 * time.Second, "9 cells must have been more than enough for 13m21s before they go, " + still},
		{"another price", per(10), 10, 4, func(s *service) { s.cfg.Law.Price = 0.9 }, 300 * time.Second, "6 cells must have been more than enough for 5m1s before they go, " + still},
		{"short beside what is waited for anyway", per(1), 10, 9, func(s *service) {
			s.cfg.Law.ReleaseIdle, s.cfg.Law.ReleaseLooks = 30*time.Minute, 1000
		}, (1800 + 480) * time.Second, "1 cell must have been more than enough for 38m1s before they go"},
		{"longer than a birth", per(3600), 10, 4, nil, 5200 * time.Second, "for 1h26m41s before they go, as consumers read nothing for 1m5s when partitions move"},
		{"five hours at most", per(3600), 10, 9, nil, MostBeats*5*time.Second - 5*time.Second, "for 5h before they go, as consumers read nothing for 1m5s when partitions move"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := eased(t, tt.ready)
			s.cfg.Min, s.obs.RebalancePause = tt.min, tt.pause
			if tt.set != nil {
				tt.set(s)
			}
			s.beats(int(tt.after / (5 * time.Second)))
			if tt.says == "" {
				s.want(max(tt.min, 4), CodeRelease)
				return
			}
			s.want(tt.ready, CodeSettling)
			if !strings.HasSuffix(s.d.Reason, tt.says) {
				t.Errorf("%q doesn't end with %q", s.d.Reason, tt.says)
			}
			if idle, pauses := s.term("idle time"), s.term("pauses"); pauses <= 0 || pauses > idle {
				t.Errorf("%g s of %g s for pauses", pauses, idle)
			}
			s.beats(1)
			s.want(max(tt.min, 4), CodeRelease)
		})
	}
}

// A leader that is new hasn't seen a rebalance, and one that is told of a pause late
// doesn't take all the time before for idle.
func TestPausesOutlastLeaders(t *testing.T) {
	s := eased(t, 10)
	s.cfg.Min, s.obs.RebalancePause = 10, per(10)
	s.beats(4000)
	s.cfg.Min, s.obs.RebalancePause = 9, reading.Unknown("no rebalance has been seen yet")
	s.beats(4800 / 5)
	s.want(10, CodeSettling)
	s.beats(1)
	s.want(9, CodeRelease)
	if !strings.Contains(s.d.Reason, "9 cells were enough for 1h20m5s") {
		t.Error(s.d.Reason)
	}
}

// What was enough for longer than is kept is said to be so for as long as that.
func TestEnoughForAsLongAsIsKept(t *testing.T) {
	s := eased(t, 10)
	s.cfg.Min = 10
	s.beats(2 * MostBeats)
	s.cfg.Min = 9
	s.beats(2 * MostBeats)
	if s.want(9, CodeRelease); !strings.Contains(s.d.Reason, "9 cells were enough for 5h with") {
		t.Error(s.d.Reason)
	}
}

// Of what has idled long enough the most goes: three cells that were more than
// enough for long are not kept by one that was needed a while ago.
func TestTheMostThatHasIdledGoes(t *testing.T) {
	s := eased(t, 10)
	s.cfg.Law = Law{ReleaseIdle: 10 * time.Minute, ReleaseLooks: 1000, ReleaseBirths: 0.01, LookBacks: []time.Duration{5 * time.Second}, NeedWindow: 5 * time.Second}
	s.obs.Offered = per(700) // 700*5/8*1.3 at 92 of 100: 6 cells
	s.beats(60)
	s.obs.Offered = per(500)
	s.beats(5)
	s.want(6, CodeRelease)
	s.obs.Offered = per(50)
	s.beats(1)
	s.want(6, CodeRelease)
	s.beats(14)
	s.want(4, CodeRelease) // nine for 67 s are worth it, and no more than 60 % go
}

// A square wave whose half period is shorter than a birth changes nothing.
func TestSquareWaveKeepsItsCells(t *testing.T) {
	s := newService(t, 10)
	s.cfg.FlapBudget, s.cfg.Law = -1, Law{}
	changes := 0
	for k := range 2000 {
		s.obs.Offered = per(450)
		if k/12%2 == 0 {
			s.obs.Offered = per(900)
		}
		s.beats(1)
		if s.d.Desired != s.obs.Ordered {
			changes++
			s.obey()
		}
	}
	if changes > 8 {
		t.Errorf("%d changes in under three hours of a wave that doubles for a minute, want hardly any", changes)
	}
}

// What nobody saw is no proof that fewer cells are enough.
func TestBlindTimeReleasesNothing(t *testing.T) {
	blind := map[string]func(*service){
		"without readings": func(s *service) {
			s.obs.Offered.Known = false
			s.beats(300)
			s.obs.Offered = per(50)
		},
		"without a leader": func(s *service) { s.obs.At = s.obs.At.Add(25 * time.Minute) },
	}
	for name, pass := range blind {
		t.Run(name, func(t *testing.T) {
			s := eased(t, 10)
			s.cfg.Law.ReleaseIdle, s.cfg.Law.ReleaseBirths = 20*time.Minute, 2
			s.cfg.Law.LookBacks, s.cfg.Law.NeedWindow = []time.Duration{5 * time.Minute}, 5*time.Second
			s.obs.Offered = per(950)
			s.beats(400)
			s.obey()
			s.obs.Offered = per(50)
			s.beats(70) // the look-back has forgotten, and fewer would have done for some beats
			pass(s)
			s.beats(1)
			s.want(s.obs.Ordered, CodeSettling)
		})
	}
}

// What was enough before a gap is old after it: a release waits for release_window of
// beats with all readings, or for as many as were without.
func TestReleaseAfterAGap(t *testing.T) {
	missed := func(beats int) func(*service) {
		return func(s *service) { s.obs.At = s.obs.At.Add(time.Duration(beats) * 5 * time.Second) }
	}
	tests := map[string]struct {
		pass func(*service)
		held int
	}{
		"no leader for 55 min": {missed(660), 5},
		"no leader for 10 s":   {missed(2), 1},
		"a beat that was late": {missed(0), 0},
		"no readings": {func(s *service) {
			s.obs.Lag.Known = false
			s.beats(300)
			s.obs.Lag = per(0)
		}, 5},
		"one reading": {func(s *service) {
			s.obs.Lag.Known = false
			s.beats(1)
			s.obs.Lag = per(0)
		}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := eased(t, 20)
			s.obs.Lag = per(5000) // keeps them
			s.beats(100)
			s.want(20, CodeLagRemains)
			s.obs.Lag = per(0)
			tt.pass(s)
			for range tt.held {
				s.beats(1)
				s.want(20, CodeSettling)
				if !strings.Contains(s.d.Reason, "of readings must follow those that were missing") {
					t.Error(s.d.Reason)
				}
			}
			s.beats(1)
			s.want(8, CodeRelease)
		})
	}
}

// Where readings or beats are missing as often as not nothing is ever released: the reason
// says which.
func TestWhatIsMissingForLongIsNamed(t *testing.T) {
	tests := map[string]struct {
		pass func(*service)
		want string
	}{
		"beats": {func(s *service) {
			s.obs.At = s.obs.At.Add(10 * time.Second)
			s.beats(1)
		}, "missing last: beats (2)"},
		"readings": {func(s *service) {
			s.obs.Lag = reading.Unknown("no broker answers")
			s.beats(2)
			s.obs.Lag = per(0)
			s.beats(1)
		}, "missing last: lag: no broker answers"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := eased(t, 20)
			s.obs.Lag = per(5000) // keeps them
			s.beats(100)
			s.obs.Lag = per(0)
			tt.pass(s)
			if s.want(20, CodeSettling); strings.Contains(s.d.Reason, "missing last") {
				t.Errorf("at once: %s", s.d.Reason)
			}
			for range 20 {
				tt.pass(s)
			}
			if s.want(20, CodeSettling); !strings.Contains(s.d.Reason, "haven't for 5m15s; "+tt.want) {
				t.Error(s.d.Reason)
			}
			s.beats(7)
			s.want(8, CodeRelease)
		})
	}
}
