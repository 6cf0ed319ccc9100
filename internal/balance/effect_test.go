package balance

import (
	"strings"
	"testing"
	"time"
)

// slow is a request service of four cells that serve 300/s and no more, whatever
// is added: what is behind them is full of work. 600/s come.
func slow(t *testing.T) *service {
	s := newService(t, 4)
	s.cfg.Requests, s.cfg.LatencyUpper = true, 2*time.Second
	s.obs.Offered, s.obs.Served, s.obs.Latency = per(600), per(300), per(3)
	s.obs.BirthMedian = per(20)
	s.obs.Behind = []Behind{{Service: "db", Count: per(1), Ready: 1}}
	return s
}

// life lets beats pass: what is decided is ordered, and born 20 s later. It
// returns how often the count rose.
func (s *service) life(beats int) (rises int) {
	s.t.Helper()
	for range beats {
		d := s.beats(1)
		if len(s.obs.InFlight) > 0 && !s.obs.InFlight[0].Expected.After(s.obs.At) {
			s.obs.Ready, s.obs.InFlight = s.obs.Ordered, nil
		}
		if d.Desired > s.obs.Ordered && len(s.obs.InFlight) == 0 {
			rises++
			s.obs.InFlight = []Order{{d.Desired - s.obs.Ordered, s.obs.At, s.obs.At.Add(20 * time.Second)}}
			s.obs.Ordered = d.Desired
		}
	}
	return rises
}

// Two orders that brought nothing are the last ones, and the decision names
// what is behind. A change there allows one more.
func TestEffectStopsWhatDoesNotHelp(t *testing.T) {
	s := slow(t)
	s.cfg.Max = 2000
	for s.obs.Offered.Value < 10_000 && s.d.Code != CodeNoEffect {
		s.life(24)
		s.obs.Offered = per(s.obs.Offered.Value + 300) // or nothing more would be needed
	}
	if s.d.Code != CodeNoEffect || !strings.Contains(s.d.Reason, "bottleneck is db") {
		t.Fatalf("%s: %s", s.d.Code, s.d.Reason)
	}
	ordered := s.obs.Ordered
	s.obs.Offered = per(20_000)
	if n := s.life(300); n != 0 || s.obs.Ordered != ordered {
		t.Errorf("%d rises, from %d to %d cells, though more did not help", n, ordered, s.obs.Ordered)
	}
	// A new leader goes on so.
	s.st = stored(t, s.st)
	if n := s.life(12); n != 0 {
		t.Error("a new leader began again")
	}
	s.obs.Behind[0].Count = per(2)
	if n := s.life(100); n != 1 {
		t.Errorf("%d rises after the database has grown, want one trial", n)
	}
	if !s.st.mem.Effect.Stopped {
		t.Errorf("a trial that didn't help is no stop: %s", s.d.Reason)
	}
	// Back in bound all is forgiven.
	s.obs.Latency, s.obs.Offered = per(1), per(40_000)
	if n := s.life(100); n == 0 {
		t.Errorf("no rise after latency was back in bound: %s: %s", s.d.Code, s.d.Reason)
	}
}

func TestEffectTriesAgainAfterItsTime(t *testing.T) {
	s := slow(t)
	s.cfg.Law.EffectOrders, s.cfg.Law.EffectRetry = 1, 10*time.Minute
	s.obs.Behind = nil
	s.life(40)
	s.obs.Offered = per(1800)
	s.beats(1)
	s.want(s.obs.Ordered, CodeNoEffect)
	if n := s.life(60); n != 0 {
		t.Errorf("%d rises before the time is over", n)
	}
	if n := s.life(120); n != 1 {
		t.Errorf("%d rises, want one trial", n)
	}
}

// Orders that help are never held back, however long it stays slow.
func TestEffectLetsPassWhatHelps(t *testing.T) {
	s := slow(t)
	s.cfg.Max = 1000
	for range 40 {
		for range 24 {
			s.obs.Offered = per(s.obs.Offered.Value * 1.004)
			s.obs.Served = per(min(0.95*s.obs.Offered.Value, 100*float64(s.obs.Ready)))
			s.life(1)
			if s.d.Code == CodeNoEffect {
				t.Fatalf("at %d cells: %s", s.obs.Ready, s.d.Reason)
			}
		}
	}
	if s.obs.Ready < 100 {
		t.Errorf("only %d cells", s.obs.Ready)
	}
}

// Where all is served and only slow, it is latency that more cells must lower.
func TestEffectByLatency(t *testing.T) {
	for name, c := range map[string]struct {
		after float64
		code  string
	}{"as slow as before": {3, CodeNoEffect}, "half as far out of bound": {2.5, ""}} {
		t.Run(name, func(t *testing.T) {
			s := slow(t)
			s.cfg.Law.EffectOrders = 1
			s.obs.Offered, s.obs.Served = per(600), per(600)
			s.life(6)
			s.obs.Latency = per(c.after)
			s.life(24)
			s.obs.Offered, s.obs.Served = per(1200), per(1200)
			s.beats(1)
			if (s.d.Code == CodeNoEffect) != (c.code == CodeNoEffect) {
				t.Errorf("%s: %s", s.d.Code, s.d.Reason)
			}
		})
	}
}

// Load that climbs as fast as cells are born, all of it served, keeps latency out
// of bound; cells that carry what has come help nevertheless.
func TestEffectOnARamp(t *testing.T) {
	for name, c := range map[string]struct {
		rise    float64 // of the load, a second
		stopped bool
	}{"climbs": {8, false}, "stands": {0, true}} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, 4)
			s.cfg.Max, s.cfg.Requests, s.cfg.LatencyUpper = 2000, true, time.Second
			s.obs.Offered, s.obs.Served, s.obs.Latency, s.obs.BirthMedian = per(600), per(600), per(3), per(20)
			for range 20 * 12 {
				load := s.obs.Offered.Value + 5*c.rise
				s.obs.Offered, s.obs.Served = per(load), per(load)
				if len(s.obs.InFlight) == 0 {
					s.life(1)
				} else if s.beats(1); !s.obs.InFlight[0].Expected.After(s.obs.At) {
					s.obs.Ready, s.obs.InFlight = s.obs.Ordered, nil // the next beat sees it
				}
				if s.st.mem.Effect.Stopped {
					break
				}
			}
			if got := s.st.mem.Effect; got.Stopped != c.stopped || got.Base.Ready <= 4 {
				t.Errorf("%+v at %d cells: %s", got, s.obs.Ready, s.d.Reason)
			}
		})
	}
}

// A missing reading judges nothing, and does not hold back for ever.
func TestEffectWithoutAReading(t *testing.T) {
	s := slow(t)
	s.cfg.Law.EffectOrders = 1
	s.life(6)
	s.obs.Served.Known = false
	s.life(60)
	if e := s.st.mem.Effect; e.Futile != 0 || e.Stopped || e.Cells != 0 {
		t.Errorf("judged without a reading: %+v", e)
	}
}
