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
	for name, s := range map[string]simulation{
		"herd 1000x10": {cells: 300, fronts: 5, workers: 4, service: 200 * time.Millisecond, load: 0.7, length: 18 * time.Second, reportMin: time.Second, reportMax: 10 * time.Second, slow: even, seed: 1},
		"20, slow+newborn": {cells: 20, fronts: 1, workers: 4, service: 50 * time.Millisecond, load: 0.6, length: 30 * time.Second, reportMin: time.Second, reportMax: 10 * time.Second, seed: 1,
			slow: func(cell int, at time.Duration) float64 {
				if cell == 3 {
					return 10
				}
				return 1
			}},
		"20x3, slow+newborn": {cells: 20, fronts: 3, workers: 4, service: 50 * time.Millisecond, load: 0.6, length: 30 * time.Second, reportMin: time.Second, reportMax: 10 * time.Second, seed: 1,
			slow: func(cell int, at time.Duration) float64 {
				if cell == 3 {
					return 10
				}
				return 1
			}},
	} {
		for _, how := range []string{"random", "round robin", "least own", "least reported"} {
			t.Logf("%-20s %-16s %v", name, how, s.run(newPlain(how)))
		}
		for _, d := range []int{2, 3} {
			for _, q := range []float64{0.5, 0.75, 0.9} {
				for _, tol := range []float64{0, 0.5} {
					r := rule()
					r.Choices, r.HotQuantile, r.LatencyTolerance = d, q, tol
					t.Logf("%-20s d=%d q=%.2f tol=%.1f     %v", name, d, q, tol, s.run(newOurs(r)))
				}
			}
		}
	}
}
