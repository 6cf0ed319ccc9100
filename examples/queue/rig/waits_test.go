package main

import (
	"cmp"
	"slices"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
)

// waitFigures are of waits in seconds; slow is the share beyond the policy's bound.
type waitFigures struct{ mean, p99, slow float64 }

func (r recorded) waitsFrom(from int) waitFigures {
	var waits []float64
	for i, at := range r.Done {
		if at >= float64(from) && at <= float64(len(r.Ready)) {
			waits = append(waits, r.Waits[i])
		}
	}
	return figuresOf(waits, nil)
}

// simWaits are those of the jobs that the simulation took up.
func simWaits(sim simulate.Result, load []float64, from int) waitFigures {
	came, taken := progress(sim, load)
	waits := inTurn(came, taken)
	var weights []float64
	for i := range waits {
		weights = append(weights, came[i]-came[max(1, i)-1])
	}
	from = min(from, len(waits))
	return figuresOf(waits[from:], weights[from:])
}

// progress is how many jobs had come, and been taken up, by the end of each second of
// the run.
func progress(sim simulate.Result, load []float64) (came, taken []float64) {
	sum := 0.0
	for i, wait := range sim.Curves.Wait {
		for _, n := range load[i*stretch : (i+1)*stretch] {
			sum += n
		}
		came, taken = append(came, sum), append(taken, sum-wait*sim.Curves.Ready[i]*workerRate/stretch)
	}
	return came, taken
}

// inTurn is how long those waited that had come last in each second, in seconds: until
// as many had been taken up. Those of whom that isn't known are left out.
func inTurn(came, taken []float64) (waits []float64) {
	until := 0
	for i := range came {
		for until = max(until, i); until < len(taken) && taken[until] < came[i]; {
			until++
		}
		if until == len(taken) {
			break
		}
		wait := float64(until - i)
		if until > i { // at some instant within that second
			wait -= (taken[until] - came[i]) / (taken[until] - taken[until-1])
		}
		waits = append(waits, wait)
	}
	return waits
}

// Two hundred come in the first second and none later; fifty are taken up a second, and
// from the third on a hundred: the last of them waits for 2.5 s. Without the fourth
// second that isn't known.
func TestWaitsAreInTurn(t *testing.T) {
	came, taken := []float64{200, 200, 200, 200}, []float64{50, 100, 150, 250}
	if waits := inTurn(came, taken); len(waits) != 4 || waits[0] != 2.5 || waits[3] != 0 {
		t.Errorf("waits %v, want 2.5 s first and 0 s at last", waits)
	}
	if waits := inTurn(came[:3], taken[:3]); len(waits) != 0 {
		t.Errorf("waits %v of jobs that were never taken up", waits)
	}
}

// figuresOf sums waits up, each as often as its weight says; all alike without.
func figuresOf(waits, weights []float64) waitFigures {
	type weighted struct{ wait, weight float64 }
	var all []weighted
	total := 0.0
	for i, wait := range waits {
		w := weighted{wait, 1}
		if weights != nil {
			w.weight = weights[i]
		}
		all, total = append(all, w), total+w.weight
	}
	slices.SortFunc(all, func(a, b weighted) int { return cmp.Compare(a.wait, b.wait) })
	var f waitFigures
	sum := 0.0
	for _, w := range all {
		f.mean += w.wait * w.weight / total
		if sum < 0.99*total {
			f.p99 = w.wait
		}
		if w.wait > upper.Seconds() {
			f.slow += w.weight / total
		}
		sum += w.weight
	}
	return f
}
