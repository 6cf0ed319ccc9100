package loop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func silent(names ...string) []sign {
	var out []sign
	for _, n := range names {
		out = append(out, sign{Name: n, Silent: "check critical"})
	}
	return out
}

func heard(n int) []sign {
	var out []sign
	for i := range n {
		out = append(out, sign{Name: fmt.Sprintf("ok-%d", i)})
	}
	return out
}

func TestDeathWaitsForReplaceAfter(t *testing.T) {
	w := deathWatch{After: 30 * time.Second, MassHold: 2 * time.Minute}
	signs := append(silent("api-1"), heard(2)...)
	if v := w.judge(t0, signs, true, 1); len(v.Dead) > 0 {
		t.Fatalf("declared dead at first sight: %v", v.Dead)
	}
	v := w.judge(t0.Add(29*time.Second), signs, true, 1)
	if len(v.Dead) > 0 || !strings.Contains(v.Held["api-1"], "29s of 30s") {
		t.Fatalf("before replace_after: %+v", v)
	}
	v = w.judge(t0.Add(30*time.Second), signs, true, 1)
	if !cmp.Equal(v.Dead, []string{"api-1"}) {
		t.Fatalf("after replace_after: %+v", v)
	}
}

func TestDeathForgetsSilenceOfACellHeardAgain(t *testing.T) {
	w := deathWatch{After: 30 * time.Second}
	w.judge(t0, append(silent("api-1"), heard(2)...), true, 1)
	w.judge(t0.Add(20*time.Second), []sign{{Name: "api-1"}}, true, 1)
	v := w.judge(t0.Add(40*time.Second), append(silent("api-1"), heard(2)...), true, 1)
	if len(v.Dead) > 0 {
		t.Fatalf("the silence was interrupted, yet dead: %v", v.Dead)
	}
}

// TestDeathCountsFromTheLastAnswer has Consul call a cell silent for an hour in
// which it answers. One answer missed then is no death.
func TestDeathCountsFromTheLastAnswer(t *testing.T) {
	w := deathWatch{After: 30 * time.Second, MassHold: 2 * time.Minute}
	answers := silent("api-1")
	answers[0].Answers = true
	w.judge(t0, append(answers, heard(2)...), true, 1)
	last := t0.Add(time.Hour)
	w.judge(last, append(answers, heard(2)...), true, 1)
	missed := append(silent("api-1"), heard(2)...)
	if v := w.judge(last.Add(5*time.Second), missed, true, 1); len(v.Dead) > 0 {
		t.Fatalf("one answer missed, and dead: %v", v.Dead)
	}
	if v := w.judge(last.Add(30*time.Second), missed, true, 1); !cmp.Equal(v.Dead, []string{"api-1"}) {
		t.Fatalf("no answer for replace_after: %+v", v)
	}
}

func TestDeathIsNotDeclared(t *testing.T) {
	long := t0.Add(time.Hour)
	tests := map[string]struct {
		sign  sign
		fresh bool
		want  string
	}{
		"when the leader's session isn't proven": {sign{Name: "a", Silent: "check critical"}, false, "session is not proven"},
		"when the cell answers the leader":       {sign{Name: "a", Silent: "check critical", Answers: true}, true, "Consul is what is sick"},
		"proven gone but session not fresh":      {sign{Name: "a", Silent: "check critical", Gone: true}, false, "session is not proven"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := deathWatch{After: time.Second}
			w.judge(t0, []sign{tt.sign}, tt.fresh, 1)
			v := w.judge(long, []sign{tt.sign}, tt.fresh, 1)
			if len(v.Dead) > 0 || !strings.Contains(v.Held["a"], tt.want) {
				t.Fatalf("got %+v, want held because %q", v, tt.want)
			}
		})
	}
}

func TestDeathAtOnceWhenProvenGone(t *testing.T) {
	w := deathWatch{After: time.Hour, MassHold: time.Hour}
	v := w.judge(t0, []sign{{Name: "a", Silent: "check critical", Gone: true}}, true, 1)
	if !cmp.Equal(v.Dead, []string{"a"}) {
		t.Fatalf("got %+v", v)
	}
}

func TestMassSilenceHoldsAllButTheProvenGone(t *testing.T) {
	w := deathWatch{After: 10 * time.Second, MassHold: 2 * time.Minute}
	signs := append(silent("a", "b", "c"), heard(5)...)
	signs = append(signs, sign{Name: "d", Silent: "registration gone", Gone: true})
	w.judge(t0, signs, true, 9)
	v := w.judge(t0.Add(time.Minute), signs, true, 9)
	if !cmp.Equal(v.Dead, []string{"d"}) || !strings.Contains(v.Held["a"], "silent together") {
		t.Fatalf("during mass_hold: %+v", v)
	}
	v = w.judge(t0.Add(2*time.Minute), signs, true, 2)
	if len(v.Dead) != 2 || !strings.Contains(v.Held["c"]+v.Held["d"]+v.Held["b"], "at a time") {
		t.Fatalf("after mass_hold, at the ordinary pace: %+v", v)
	}
}

func TestThirdOfTheServiceIsNoMass(t *testing.T) {
	w := deathWatch{After: 10 * time.Second, MassHold: time.Hour}
	signs := append(silent("a", "b", "c"), heard(6)...)
	w.judge(t0, signs, true, 9)
	if v := w.judge(t0.Add(10*time.Second), signs, true, 9); len(v.Dead) != 3 {
		t.Fatalf("three of nine is not over a third: %+v", v)
	}
}

func TestDeathOfACellThatNobodyCanAskWaits(t *testing.T) {
	w := deathWatch{After: 10 * time.Second, MassHold: time.Minute}
	signs := append([]sign{{Name: "a", Silent: "its registration is gone", Unasked: true}}, heard(2)...)
	w.judge(t0, signs, true, 1)
	if v := w.judge(t0.Add(30*time.Second), signs, true, 1); len(v.Dead) > 0 || !strings.Contains(v.Held["a"], "may register again") {
		t.Fatalf("before mass_hold: %+v", v)
	}
	if v := w.judge(t0.Add(time.Minute), signs, true, 1); !cmp.Equal(v.Dead, []string{"a"}) {
		t.Fatalf("after mass_hold: %+v", v)
	}
}

func TestReplacePace(t *testing.T) {
	for cells, want := range map[int]int{0: 1, 1: 1, 19: 1, 20: 2, 105: 10} {
		if got := replacePace(cells); got != want {
			t.Errorf("replacePace(%d) = %d, want %d", cells, got, want)
		}
	}
}
