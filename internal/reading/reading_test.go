package reading

import (
	"math"
	"testing"
	"time"
)

func TestOfRefusesWhatIsNoNumber(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if r := Of(v, time.Unix(1, 0)); r.Known || r.Reason == "" {
			t.Errorf("Of(%v) = %+v, want unknown with a reason", v, r)
		}
	}
	if r := Of(0, time.Unix(1, 0)); !r.Known {
		t.Errorf("Of(0) = %+v, want known: zero is a measurement", r)
	}
}

func TestString(t *testing.T) {
	tests := map[string]Reading{
		"2.5":                      Of(2.5, time.Time{}),
		"unknown (never measured)": {},
		"unknown (broker 3 gone)":  Unknown("broker %d gone", 3),
	}
	for want, r := range tests {
		if got := r.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}
