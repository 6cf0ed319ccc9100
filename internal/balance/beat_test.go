package balance

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTimeBetweenBeats(t *testing.T) {
	tests := []struct {
		name string
		jump time.Duration
		grow int64 // beats that are counted
	}{
		{"on time", 5 * time.Second, 1},
		{"a little early", 4 * time.Second, 1},
		{"a little late", 7 * time.Second, 1},
		{"one missed", 10 * time.Second, 2},
		{"a leader's change", 30 * time.Second, 6},
		{"the same instant", 0, 0},
		{"at once after an order", 2 * time.Second, 0},
		{"a clock stepped back a little", -2 * time.Second, 0},
		{"a clock set back", -48 * time.Hour, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t, 4)
			s.beats(50)
			before := s.st.mem.Count
			s.obs.At = s.obs.At.Add(tt.jump - 5*time.Second)
			s.beats(1)
			if got := s.st.mem.Count - before; got != tt.grow {
				t.Errorf("%d beats counted, want %d", got, tt.grow)
			}
			s.want(4, CodeWarmingUp)
			before = s.st.mem.Count
			s.beats(1)
			if s.st.mem.Count == before && tt.jump != 2*time.Second {
				t.Error("the next beat was not counted")
			}
		})
	}
}

// A beat that is decided twice is learned once.
func TestTheSameInstantTeachesNothing(t *testing.T) {
	s := newService(t, 4)
	s.obs.Served, s.obs.BusyMax = per(100), per(0.25)
	s.beats(50)
	again, d := Decide(s.cfg, s.st, s.obs)
	if diff := cmp.Diff(s.st, again, sameState); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(s.d, d); diff != "" {
		t.Error(diff)
	}
}

// Missed beats are beats without a reading: the load is taken as it was, and
// no look-back is scored for them.
func TestMissedBeatsAreNotScored(t *testing.T) {
	s := newService(t, 4)
	s.beats(50)
	scored := s.st.mem.Looks[0].Ratios[1]
	s.obs.At = s.obs.At.Add(time.Minute - 5*time.Second)
	s.beats(1)
	if got := s.st.mem.Looks[0].Ratios[1].scale / scored.scale; got > 1.0001 {
		t.Errorf("the histogram forgot by %v, want one beat's worth", got)
	}
	if n := len(s.st.mem.Offered); n != 62 {
		t.Errorf("%d beats of load, want 50 + 11 missed + 1", n)
	}
}

func TestAnHourAwayBeginsTheWindowsAnew(t *testing.T) {
	s := newService(t, 4)
	s.beats(100)
	s.want(2, CodeRelease)
	looks := s.st.mem.Looks[0].Ratios
	s.obs.At = s.obs.At.Add(2 * time.Hour)
	s.beats(1)
	s.want(4, CodeWarmingUp)
	if n := len(s.st.mem.Offered); n != 1 {
		t.Errorf("%d beats of load kept", n)
	}
	if s.st.mem.Looks[0].Ratios != looks {
		t.Error("what was learned over days is lost")
	}
	if rate, known := s.st.mem.rate(); !known || rate != 100 {
		t.Error("the rate of a cell is lost")
	}
}

func TestAnotherBeatBeginsTheWindowsAnew(t *testing.T) {
	s := newService(t, 4)
	s.beats(100)
	s.cfg.Beat = time.Second
	s.beats(1)
	s.want(4, CodeWarmingUp)
}

func TestNothingIsDecidedWithoutAnyLoad(t *testing.T) {
	s := newService(t, 4)
	s.obs.Offered.Known = false
	s.beats(500)
	s.want(4, CodeUnknownOffered)
	if s.st.mem.Count != 0 {
		t.Error("beats without any load were counted")
	}
}
