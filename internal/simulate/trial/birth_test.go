package trial

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestParseBirth(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text   string
		median time.Duration
		sigma  float64
		err    string
	}{
		{text: "60s", median: time.Minute, sigma: 0.25},
		{text: "1m, p90=95s", median: time.Minute, sigma: 0.3586},
		{text: "75s,52s,58s", median: 58 * time.Second, sigma: 0.1873},
		{text: "50s,60s,70s,80s", median: 65 * time.Second, sigma: 0.2024},
		{text: "60s,70s", err: "three are needed"},
		{text: "p90=70s", err: "has no median"},
		{text: "60s,p90=50s", err: "not below it"},
		{text: "soon", err: `"soon" is no time from 1s to 24h`},
		{text: "10ms", err: "no time from 1s"},
		{text: "", err: "no time from 1s"},
	} {
		b, err := ParseBirth(tt.text)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: %v, want %q", tt.text, err, tt.err)
			}
			continue
		}
		if err != nil || b.Median != tt.median || math.Abs(b.Sigma-tt.sigma) > 1e-3 {
			t.Errorf("%q: %v, %.4f, %v", tt.text, b.Median, b.Sigma, err)
		}
	}
	from, to := Birth{Median: time.Minute, Sigma: 0.25}.Half()
	if from.Round(time.Second) != 51*time.Second || to.Round(time.Second) != 71*time.Second {
		t.Errorf("half of them take %s to %s", from, to)
	}
}
