package balance

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// sameState compares states by content; an empty list is none.
var sameState = cmp.Options{
	cmp.AllowUnexported(State{}, memory{}, peaks{}, histogram{}),
	cmpopts.EquateEmpty(),
}

// stored is a state as the next leader reads it.
func stored(t interface{ Fatal(...any) }, st State) State {
	text, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	var back State
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func TestStateSurvivesALeader(t *testing.T) {
	s := newService(t, 4)
	s.obs.Served, s.obs.BusyMax = per(100), per(0.25)
	s.beats(100)
	back := stored(t, s.st)
	if diff := cmp.Diff(s.st, back, sameState); diff != "" {
		t.Fatal(diff)
	}
	s.beats(1)
	_, d := Decide(s.cfg, back, s.obs)
	if diff := cmp.Diff(s.d, d); diff != "" {
		t.Error(diff)
	}
}

func TestStateThatCanNotBeUsed(t *testing.T) {
	tests := map[string]string{
		`{"format":9}`:                          "format 9, this version knows 1 to 2",
		`{}`:                                    "format 0",
		`{"format":2,"count":-4}`:               "out of its range",
		`{"format":2,"mean":-1}`:                "out of its range",
		`{"format":2,"offered":"AAA"}`:          "damaged",
		`{"format":2,"offered":"AADAfw=="}`:     "damaged", // not a number
		`{"format":2,"offered":"AACAPw=="}`:     "out of its range",
		`{"format":2,"samples":[{"ready":-1}]}`: "out of its range",
		`{"format":2,"rates":[{"per_cell":0}]}`: "out of its range",
		`{"format":2,"looks":[{"back":5}]}`:     "out of its range",
		`{"format":2,"looks":[{"ratios":[{"scale":1,"first":200}]}]}`: "damaged",
		`{"format":2,"count":"x"}`:                                    "damaged",
	}
	for text, want := range tests {
		var st State
		if err := json.Unmarshal([]byte(text), &st); err != nil {
			t.Errorf("%s: %v, want a fresh start", text, err)
			continue
		}
		st, d := Decide(Config{Max: 9}, st, Observation{At: epoch, Ordered: 3, Offered: per(1), Lag: per(0)})
		if said := strings.Join(d.Unknown, "; "); !strings.Contains(said, want) || !strings.Contains(said, "afresh") {
			t.Errorf("%s: the decision says %q, want %q", text, said, want)
		}
		if d.Desired != 3 {
			t.Errorf("%s: desired %d, want the 3 ordered", text, d.Desired)
		}
		if _, d := Decide(Config{Max: 9}, st, Observation{At: epoch, Ordered: 3, Offered: per(1), Lag: per(0)}); len(d.Unknown) > 0 {
			t.Errorf("%s: said twice: %q", text, d.Unknown)
		}
	}
	var st State
	if err := json.Unmarshal([]byte(`[1`), &st); err == nil {
		t.Error("what isn't JSON was taken")
	}
	if err := json.Unmarshal([]byte(`null`), &st); err != nil || st.mem.afresh != "" {
		t.Errorf("null is no state at all: %v, %q", err, st.mem.afresh)
	}
}

// The worst for the size: every value of an hour kept as a peak, since load
// falls all the time; a birth of an hour; eight look-backs; beats of a second.
func TestStateStaysSmall(t *testing.T) {
	s := newService(t, 40)
	s.cfg.Beat = time.Second
	s.obs.BirthMedian = per(3600)
	for i := range 8 {
		s.cfg.Law.LookBacks = append(s.cfg.Law.LookBacks, time.Hour+time.Duration(i))
	}
	s.loads(4000, func(k int) reading.Reading { return per(1e6 - 100*float64(k)) })
	text, err := json.Marshal(s.st)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.st.mem.Needs.beats); n < 3000 {
		t.Errorf("%d peaks kept: this isn't the worst case", n)
	}
	if len(text) > 200_000 {
		t.Errorf("the state takes %d bytes", len(text))
	}
	usual := newService(t, 4)
	usual.beats(2000)
	if text, err = json.Marshal(usual.st); err != nil || len(text) > 12_000 {
		t.Errorf("the usual state takes %d bytes, %v", len(text), err)
	}
}

func TestLookBacksMayChange(t *testing.T) {
	s := newService(t, 4)
	s.beats(400)
	kept := s.st.mem.Looks[2].Ratios[1]
	s.cfg.Law.LookBacks = []time.Duration{20 * time.Minute, 2 * time.Hour}
	s.beats(1)
	looks := s.st.mem.Looks
	if len(looks) != 2 || looks[0].Back != 20*time.Minute || looks[1].Back != 2*time.Hour {
		t.Fatalf("look-backs are not those of the policy: %d", len(looks))
	}
	if math.Abs(looks[0].Ratios[1].quantile(0.97)-kept.quantile(0.97)) > binWidth {
		t.Error("what the kept look-back had learned is lost")
	}
	if s.st.mem.best() == nil {
		t.Error("no look-back is in use")
	}
}
