package balance

import (
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// guarded is a request service of four cells at 100/s each, with a bound of
// 2 s on latency, at an easy load.
func guarded(t *testing.T) *service {
	s := newService(t, 4)
	s.cfg.Requests, s.cfg.LatencyUpper = true, 2*time.Second
	s.obs.Lag = reading.Unknown("requests have none")
	s.obs.Latency = per(1)
	return s
}

func TestLatencyGuard(t *testing.T) {
	tests := []struct {
		name  string
		steps func(s *service)
		want  float64
	}{
		{"within its bound nothing happens", func(s *service) { s.beats(40) }, 0.85},
		{"a minute out of it costs 5 %", func(s *service) { s.obs.Latency = per(3); s.beats(12) }, 0.85 * 0.95},
		{"less than a minute nothing", func(s *service) { s.obs.Latency = per(3); s.beats(11) }, 0.85},
		{"a good beat begins the minute anew", func(s *service) {
			s.obs.Latency = per(3)
			s.beats(11)
			s.obs.Latency = per(1)
			s.beats(1)
			s.obs.Latency = per(3)
			s.beats(11)
		}, 0.85},
		{"never below a half", func(s *service) { s.obs.Latency = per(3); s.beats(12 * 30) }, 0.5},
		{"given back by 0.005 a minute", func(s *service) {
			s.obs.Latency = per(3)
			s.beats(12)
			s.obs.Latency = per(1)
			s.beats(24)
		}, 0.85*0.95 + 0.01},
		{"and no further than its set value", func(s *service) {
			s.obs.Latency = per(3)
			s.beats(12)
			s.obs.Latency = per(1)
			s.beats(12 * 60)
		}, 0.85},
		{"at 340/s cells are short, which says nothing of a cell", func(s *service) {
			s.obs.Latency, s.obs.Offered = per(3), per(340)
			s.beats(60)
		}, 0.85},
		{"what is unknown neither lowers nor gives back", func(s *service) {
			s.obs.Latency = per(3)
			s.beats(12)
			s.obs.Latency = reading.Unknown("scrape failed")
			s.beats(60)
		}, 0.85 * 0.95},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := guarded(t)
			tt.steps(s)
			if got := s.term("planned busy share"); !near(got, tt.want) {
				t.Errorf("planned busy share %v, want %v", got, tt.want)
			}
		})
	}
}

// The second example of the project: no queue at all. Load doubles, latency
// leaves its bound, a cell is added.
func TestLatencyAloneWithoutLag(t *testing.T) {
	s := guarded(t)
	s.st = State{}
	s.obs.Ordered, s.obs.Ready = 2, 2
	s.cfg.Min = 2
	s.obs.Served, s.obs.BusyMax = per(100), per(0.5)
	s.beats(80)
	s.want(2, CodeSteady)
	s.obs.Offered, s.obs.Served, s.obs.BusyMax, s.obs.Latency = per(200), per(200), per(1), per(4)
	if d := s.beats(2); d.Desired <= 2 || d.Code != CodeGrow {
		t.Errorf("two beats after load doubled: %d, %s: %s", d.Desired, d.Code, d.Reason)
	}
}

// Latency out of bound at a load that should be easy raises the count in the
// end, and the decision says that it was latency.
func TestLatencyGuardRaisesTheCount(t *testing.T) {
	s := guarded(t)
	s.cfg.Min = 4
	s.obs.Latency, s.obs.Offered = per(3), per(200)
	for range 12 * 12 {
		if s.beats(1).Desired > 4 {
			break
		}
	}
	s.want(5, CodeLatencyGuard)
}

func TestSquareRootStaffing(t *testing.T) {
	s := guarded(t)
	s.obs.Ordered, s.obs.Ready = 1, 1
	s.cfg.Law = Law{CorrectionMin: 0.01, CorrectionMax: 0.01} // no forecast
	s.obs.Offered = per(163)
	s.beats(40)
	// The need is 160/s: n0 = 1.6, and 1.6 + sqrt(1.6) = 2.865 cells, which is
	// rounded up to 3 after taking off 5 %.
	if got := s.term("exact count"); !near(got, 2.8649) {
		t.Errorf("exact count %v, want 2.865", got)
	}
	s.want(3, CodeGrow)
}

func TestIdleCellsAreNamed(t *testing.T) {
	s := newService(t, 4)
	s.cfg.Min, s.cfg.Lower = 4, 0.5
	s.obs.BusyMax = per(0.2)
	s.beats(719)
	for _, term := range s.d.Terms {
		if term.Name == "idle" {
			t.Fatal("named before the hour is over")
		}
	}
	s.beats(1)
	if got := s.term("idle"); got != 0.2 {
		t.Errorf("idle %v, want 0.2", got)
	}
	s.want(4, CodeSteady)
}
