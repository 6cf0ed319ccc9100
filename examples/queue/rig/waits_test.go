package main

import (
	"cmp"
	"slices"

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

// simWaits are those of the curves: of each sample, for as many jobs as then came.
func simWaits(sim simulate.Result, from int) waitFigures {
	var waits []float64
	for _, wait := range sim.Curves.Wait[from:] {
		waits = append(waits, wait/stretch)
	}
	return figuresOf(waits, sim.Curves.Load[from:])
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
