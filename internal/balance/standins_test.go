package balance

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// late is one cell that stands in with vitals of a beat ago, as busy as the others.
func late(cells int) StandIns {
	return StandIns{Cells: cells, Why: "deadline exceeded", Busy: 0.6, Age: 5 * time.Second}
}

// answering is a request service of ready cells at 100 a second each.
func answering(t *testing.T, ready int) *service {
	s := eased(t, ready)
	s.cfg.Requests, s.obs.Lag = true, reading.Unknown("requests have none")
	return s
}

// A cell that is silent counts as wholly busy where cells are to go: 785/s, 1.3 times
// as much in the forecast, take 12 cells, and 100/s more take 14. It orders none.
func TestStandInsReleaseLess(t *testing.T) {
	for _, c := range []struct{ silent, ready, want int }{{0, 30, 12}, {1, 30, 14}, {3, 30, 17}, {1, 14, 14}, {1, 13, 13}} {
		s := answering(t, c.ready)
		s.obs.Offered, s.obs.StandIns = per(800), late(c.silent)
		s.beats(60)
		if s.d.Desired != c.want {
			t.Errorf("%d of %d silent: %d, want %d (%s)", c.silent, c.ready, s.d.Desired, c.want, s.d.Reason)
		}
	}
}

// A reading that goes missing after a beat with stand-ins orders nothing for them.
func TestStandInsAreNoReasonToOrder(t *testing.T) {
	s := answering(t, 13)
	s.obs.Offered, s.obs.StandIns = per(850), late(1)
	s.beats(70)
	s.obs.Offered, s.obs.StandIns = reading.Unknown("away"), StandIns{}
	s.beats(1)
	s.want(13, CodeUnknownOffered)
}

// A rate of a cell is taken as higher only as far as stand-ins can't be wrong about it.
func TestStandInsAndTheRate(t *testing.T) {
	for _, c := range []struct {
		name         string
		served, busy float64
		stand        StandIns
		want         float64
	}{
		{"all answer", 300, 0.6, StandIns{}, 125},
		{"0.6 may be 0.7 by now", 300, 0.6, StandIns{Cells: 1, Busy: 0.6, Age: 6 * time.Second}, 300 / 2.8},
		{"one that isn't among the busiest changes nothing", 300, 0.6, StandIns{Cells: 1, Busy: 0.4, Age: 6 * time.Second}, 125},
		{"nor does one that may be anything teach anything", 300, 0.6, StandIns{Cells: 1, Busy: 0.8, Age: 15 * time.Second}, 100},
		{"nor what only it has served", 300, 0.6, StandIns{Cells: 1, Served: 75}, 100},
		{"but that it is lower is known", 200, 0.8, StandIns{Cells: 1, Busy: 0.8, Age: 15 * time.Second}, 62.5},
	} {
		s := answering(t, 4)
		s.obs.Served, s.obs.BusyMax, s.obs.StandIns = per(c.served), per(c.busy), c.stand
		s.beats(20)
		if got := s.term("rate of a cell"); !near(got, c.want) {
			t.Errorf("%s: %g/s, want %g", c.name, got, c.want)
		}
		s.st.mem.Rates = nil
		s.beats(1)
		if got, first := s.term("rate of a cell"), max(0, c.served-c.stand.Served)/(4*min(1, max(c.busy, c.stand.Busy+c.stand.Age.Minutes()))); !near(got, first) {
			t.Errorf("%s, known for the first time: %g/s, want %g", c.name, got, first)
		}
	}
}

// Latency in bound gives trust back, and ends a minute out of it, only if it is in bound
// whatever was not heard.
func TestStandInsAndLatency(t *testing.T) {
	for _, c := range []struct {
		name  string
		worst reading.Reading
		want  float64
	}{
		{"in bound at worst", per(1.5), 0.85*0.95 + 0.005},
		{"not at worst", per(3), 0.85 * 0.95},
		{"not known at worst", reading.Unknown("above all bounds"), 0.85 * 0.95},
	} {
		s := guarded(t)
		s.obs.Latency = per(3)
		s.beats(12)
		s.obs.Latency, s.obs.StandIns = per(1), late(1)
		s.obs.StandIns.Latency = c.worst
		s.beats(12)
		if got := s.term("planned busy share"); !near(got, c.want) {
			t.Errorf("%s: %g, want %g", c.name, got, c.want)
		}
	}
	s := guarded(t)
	s.obs.Latency = per(3)
	s.beats(6)
	s.obs.Latency, s.obs.StandIns = per(1), late(1)
	s.beats(1)
	s.obs.Latency, s.obs.StandIns = per(3), StandIns{}
	s.beats(6)
	if got := s.term("planned busy share"); !near(got, 0.85*0.95) {
		t.Errorf("a beat that isn't known to be good began the minute anew: %g", got)
	}
}

// An order is called futile only if nothing that was not heard can have come of it.
func TestStandInsAndEffect(t *testing.T) {
	for silent, stopped := range map[int]bool{0: true, 1: false} {
		s := guarded(t)
		s.cfg.Law.EffectOrders = 1
		s.obs.Latency, s.obs.Offered, s.obs.Served = per(3), per(700), per(400)
		s.beats(2)
		s.obs.Ordered, s.obs.Ready, s.obs.StandIns = 8, 8, late(silent)
		s.beats(14)
		if got := s.st.mem.Effect.Stopped; got != stopped {
			t.Errorf("%d silent: stopped is %v, gain %g", silent, got, s.st.mem.Effect.Gain)
		}
	}
}

// What was needed is learned with what was not heard: at 850/s one cell wholly busy more
// is an eighth.
func TestStandInsAndTheCorrection(t *testing.T) {
	learned := func(silent int) float64 {
		s := answering(t, 30)
		s.cfg.Law.PriorTime, s.cfg.Law.PriorBirths = time.Second, 0.01
		s.obs.Offered, s.obs.StandIns = per(850), late(silent)
		s.beats(400)
		return s.term("correction")
	}
	if all, some := learned(0), learned(1); some < 1.05*all || some > 1.25*all {
		t.Errorf("the correction is %g where all are heard, and %g where one is late", all, some)
	}
}

// A thousand cells of which some are late in every beat are released nevertheless, to
// hardly more than if none were.
func TestAThousandCellsWithStragglersAreReleased(t *testing.T) {
	left := func(silent int) int {
		s := answering(t, 1000)
		s.cfg.Max = 2000
		s.obs.StandIns = late(silent)
		s.obs.Offered, s.obs.Served, s.obs.BusyMax = per(30_000), per(30_000), per(0.75)
		for range 20 {
			s.obs.StandIns.Busy = 0.4
			s.beats(60)
			s.obey()
			s.obs.BusyMax = per(min(1, 1.25*30_000/100/float64(s.obs.Ready)))
		}
		return s.obs.Ordered
	}
	all, some := left(0), left(5)
	if all >= 600 || some < all || float64(some) > 1.02*float64(all) {
		t.Errorf("%d cells are left with 5 late in every beat, and %d with none", some, all)
	}
}

// TestStandInsOnlyHold runs one service twice, with the same values: that some of them
// are of cells that did not answer never lowers what would not be lowered without it,
// whatever was learned meanwhile. One look-back, since of several another may be best.
func TestStandInsOnlyHold(t *testing.T) {
	released := 0
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Min: 1, Max: 60, Requests: true, FlapBudget: -1, Law: Law{
			LookBacks: []time.Duration{time.Minute}, ReleaseAfter: 10 * time.Second, ReleaseWindow: 10 * time.Second,
			ReleaseIdle: time.Second, ReleaseBirths: 0.01, RateWindow: 10 * time.Second, PriorTime: time.Minute, PriorBirths: 0.1,
		}}
		heard, unheard := NewRunner(cfg, State{}), NewRunner(cfg, State{})
		obs := Observation{At: epoch, Ordered: 20, Ready: 20, BirthMedian: per(10)}
		load := 1000.0
		for range rapid.IntRange(20, 80).Draw(t, "beats") {
			obs.At = obs.At.Add(5 * time.Second)
			load = clamp(load*rapid.Float64Range(0.5, 1.8).Draw(t, "load"), 50, 3000)
			obs.Offered, obs.Served = per(load), per(load*rapid.Float64Range(0.8, 1).Draw(t, "served"))
			obs.BusyMax = per(rapid.Float64Range(0.05, 1).Draw(t, "busy"))
			silent := StandIns{Cells: rapid.IntRange(0, 2).Draw(t, "silent"), Served: rapid.Float64Range(0, 100).Draw(t, "theirs"), Busy: rapid.Float64Range(0, 1).Draw(t, "their share"), Age: 5 * time.Second}
			a := heard.Decide(obs)
			obs.StandIns = silent
			b := unheard.Decide(obs)
			obs.StandIns = StandIns{}
			if b.Desired < obs.Ordered {
				released++
				if a.Desired > b.Desired {
					t.Fatalf("lowered from %d to %d with stand-ins, to %d without: %+v %+v", obs.Ordered, b.Desired, a.Desired, b.Terms, a.Terms)
				}
			}
			obs.Ordered, obs.Ready = b.Desired, b.Desired
		}
	})
	if released == 0 {
		t.Error("nothing was released: nothing was tried")
	}
}
