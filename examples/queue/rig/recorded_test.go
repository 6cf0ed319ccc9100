package main

import (
	"encoding/json"
	"os"
	"slices"
	"time"
)

// recorded is what was measured of a run, in seconds since its load began.
type recorded struct {
	Workers int `json:"workers"` // at the beginning
	// Due and Arrived are jobs of each tick: those that the plan had due, and those that
	// the queue took, by which everything is judged.
	Due     []int `json:"due"`
	Arrived []int `json:"arrived"`
	// Ready and Ordered are the workers at the end of each second.
	Ready   []float64 `json:"ready"`
	Ordered []float64 `json:"ordered"`
	Orders  []taking  `json:"orders"`
	// Done and Waits are of each job: when it was done, and how long it had waited
	// before a worker took it up.
	Done  []float64 `json:"done"`
	Waits []float64 `json:"waits"`
	// Late is from when a job was due until the queue had it.
	Late []float64 `json:"late"`
}

// taking is an order: when it was placed, how long until its cells had come or were
// to take no more jobs, and until it had ended.
type taking struct {
	Delta              int
	Placed, Lands, End float64
}

// record makes a record of a run that was played.
func record(run *played, p plan) recorded {
	began := run.producer.began
	since := func(at time.Time) float64 { return at.Sub(began).Seconds() }
	rec := recorded{Workers: p.workers(), Arrived: slices.Clone(run.producer.arrived), Due: slices.Clone(run.producer.due)}
	for _, late := range run.producer.late {
		rec.Late = append(rec.Late, late.Seconds())
	}
	counts, orders := run.watch.seen()
	for second := 1; second <= len(p.rates); second++ {
		at := began.Add(time.Duration(second) * time.Second)
		i, _ := slices.BinarySearchFunc(counts, at, func(c count, at time.Time) int { return c.at.Compare(at) })
		newest := counts[max(0, i-1)]
		rec.Ready, rec.Ordered = append(rec.Ready, float64(newest.ready)), append(rec.Ordered, float64(newest.ordered))
	}
	for _, o := range orders {
		if o.placed.IsZero() || o.taken.IsZero() || o.closed.IsZero() {
			continue // it was never seen to end
		}
		rec.Orders = append(rec.Orders, taking{o.delta, since(o.placed), o.taken.Sub(o.placed).Seconds(), o.closed.Sub(o.placed).Seconds()})
	}
	own := 1 / workerRate // a job's own time is no waiting
	for _, w := range run.results.waits {
		rec.Done, rec.Waits = append(rec.Done, since(w.done)), append(rec.Waits, max(0, w.took.Seconds()-own))
	}
	return rec
}

func (r recorded) write(path string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

func readRecorded(path string) (r recorded, err error) {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}
