package front

import (
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// rule are the defaults.
func rule() policy.Front { return (&policy.Service{}).Fronted() }

func even(int, time.Duration) float64 { return 1 }

func TestScratch(t *testing.T) {
	slow := func(cell int, at time.Duration) float64 {
		if cell == 3 {
			return 10
		}
		return 1
	}
	for name, s := range map[string]simulation{
		"herd": {cells: 400, fronts: 8, workers: 4, service: 200 * time.Millisecond, load: 0.7, length: 18 * time.Second, reportMin: time.Second, reportMax: 10 * time.Second, slow: even, seed: 1},
		"20x3": {cells: 20, fronts: 3, workers: 4, service: 50 * time.Millisecond, load: 0.6, length: 20 * time.Second, reportMin: time.Second, reportMax: 10 * time.Second, seed: 1, slow: slow},
	} {
		for _, how := range []string{"random", "round robin", "least own"} {
			t.Logf("%-20s %-16s %v", name, how, s.run(newPlain(how)))
		}
		for _, d := range []int{5, 10, 20} {
			for _, m := range []time.Duration{time.Second, 4 * time.Second} {
				for _, q := range []float64{0.9} {
					for _, tol := range []float64{1} {
						r := rule()
						r.Choices, r.HotQuantile, r.LatencyTolerance, r.LoadMemory = d, q, tol, m
						t.Logf("%-20s d=%d q=%.2f tol=%.1f mem=%v    %v", name, d, q, tol, m, s.run(newOurs(r)))
					}
				}
			}
		}
	}
}
