package balance

import (
	"encoding/json"
	"math"
	"os"
	"testing"
	"time"
)

// What an older version has learned is kept: its rates, its corrections, its load.
func TestOldStateIsCarriedOver(t *testing.T) {
	text, err := os.ReadFile("testdata/state-1.json")
	if err != nil {
		t.Fatal(err)
	}
	var st State
	if err := json.Unmarshal(text, &st); err != nil {
		t.Fatal(err)
	}
	m := st.mem
	if m.afresh != "" {
		t.Fatal(m.afresh)
	}
	if rate, known := m.rate(); !known || math.Abs(rate-97.5) > 0.1 {
		t.Errorf("the rate of a cell is %v, %v", rate, known)
	}
	if len(m.Looks) != 4 || len(m.Offered) < 200 {
		t.Fatalf("%d look-backs, %d beats of load", len(m.Looks), len(m.Offered))
	}
	for _, l := range m.Looks {
		for k := range levels {
			if l.Corrections[k] != l.Corrections[0] || l.Ratios[k].quantile(0.9) < 0 {
				t.Errorf("level %d of the look-back of %s has learned something else", k, l.Back)
			}
		}
	}
	_, d := Decide(Config{Max: 9}, st, Observation{At: time.UnixMilli(m.At).Add(5 * time.Second), Ordered: 3, Ready: 3, Offered: per(100), Lag: per(0)})
	if len(d.Unknown) > 0 || d.Desired < 1 {
		t.Errorf("%+v", d)
	}
	if again := stored(t, st); again.mem.afresh != "" {
		t.Error(again.mem.afresh)
	}
}
