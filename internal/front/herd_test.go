package front

import (
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// rule are the defaults.
func rule() policy.Front { return (&policy.Service{}).Fronted() }

// A thousand cells behind ten fronts, whose reports are one to ten seconds old,
// don't herd: no cell gets much more than its part. The measures are the spread
// of the cells' in-flight counts and the fullest of them against the mean, beside
// those of choosing at random, and of the cell that reports the least, which is
// how herding looks.
func TestNoHerding(t *testing.T) {
	s := simulation{
		cells: 1000, fronts: 10, workers: 4, service: time.Second, load: 0.7, length: 30 * time.Second,
		reportMin: time.Second, reportMax: 10 * time.Second, seed: 1,
		slow: func(int, time.Duration) float64 { return 1 },
	}
	chance, least, chooser := s.run(newPlain("random")), s.run(newPlain("least reported")), s.run(newOurs(rule()))
	t.Logf("at random:      %v", chance)
	t.Logf("least reported: %v", least)
	t.Logf("the chooser:    %v", chooser)
	if chooser.cv > 0.85*chance.cv || chooser.peak > 0.85*chance.peak || chooser.p99 > chance.p99 {
		t.Error("the chooser spreads requests not much better than chance")
	}
	if least.cv < 1.3*chance.cv {
		t.Error("the cell that reports the least is no bad choice here: so this shows nothing of herding")
	}
}

// Of twenty cells one is ten times slower than the others, and one was just born
// and is slow at first.
func TestSlowAndNewborn(t *testing.T) {
	const slowed, newborn = 3, 7
	for name, fronts := range map[string]int{"one front": 1, "three fronts": 3} {
		t.Run(name, func(t *testing.T) {
			s := simulation{
				cells: 20, fronts: fronts, workers: 4, service: 50 * time.Millisecond, load: 0.6, length: 24 * time.Second,
				reportMin: time.Second, reportMax: 10 * time.Second, seed: 1, newborn: newborn,
				slow: func(cell int, at time.Duration) float64 {
					switch {
					case cell == slowed:
						return 10
					case cell == newborn:
						return max(1, 5-at.Seconds()/4)
					}
					return 1
				},
			}
			turns, own, chooser := s.run(newPlain("round robin")), s.run(newPlain("least own")), s.run(newOurs(rule()))
			t.Logf("round robin:       %v", turns)
			t.Logf("least connections: %v", own)
			t.Logf("the chooser:       %v", chooser)
			if chooser.p99 > own.p99 || chooser.p999 > own.p999*7/10 || chooser.p99 > turns.p99/4 {
				t.Error("the chooser isn't better")
			}
		})
	}
}
