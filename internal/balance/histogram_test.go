package balance

import (
	"encoding/json"
	"math"
	"testing"
)

func TestHistogramQuantile(t *testing.T) {
	h := histogram{scale: 1}
	h.add(math.Log(1), 9)
	h.add(math.Log(2), 1)
	tests := []struct{ p, want float64 }{{0.5, 1}, {0.89, 1}, {0.95, 2}, {0.999, 2}}
	for _, tt := range tests {
		// One bin is 1.45 % wide.
		if got := math.Exp(h.quantile(tt.p)); math.Abs(got-tt.want) > 0.0145*tt.want {
			t.Errorf("quantile(%v) = %.4f, want %v", tt.p, got, tt.want)
		}
	}
}

func TestHistogramClampsAtItsEnds(t *testing.T) {
	for x, bin := range map[float64]int{-50: 0, 50: bins - 1, histogramLow: 0, histogramHigh: bins - 1} {
		h := histogram{scale: 1}
		h.add(x, 1)
		if h.weights[bin] != 1 {
			t.Errorf("%v did not land in bin %d", x, bin)
		}
	}
}

func TestHistogramForgets(t *testing.T) {
	h := histogram{scale: 1}
	h.add(0, 1)
	const half = 100
	for range half {
		h.forget(math.Exp2(-1.0 / half))
	}
	h.add(math.Log(2), 0.5)
	// The old weight is now half of what it was, so the two are alike.
	if low, high := math.Exp(h.quantile(0.49)), math.Exp(h.quantile(0.51)); low > 1.02 || high < 1.96 {
		t.Errorf("quantiles around the middle are %v and %v, want 1 and 2", low, high)
	}
}

// However long it runs, the growing scale must not overflow.
func TestHistogramRunsForYears(t *testing.T) {
	h := histogram{scale: 1}
	for range 100_000 {
		h.forget(0.99)
		h.add(0, 2)
	}
	if h.scale > 1e10 || math.Abs(h.quantile(0.5)) > binWidth {
		t.Errorf("scale %v, median %v", h.scale, h.quantile(0.5))
	}
	if _, err := json.Marshal(h); err != nil {
		t.Error(err)
	}
}
