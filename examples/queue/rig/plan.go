package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/trace"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// The load that is played unless another one is named: requests a minute to the web
// site of the World Cup, from before a match until after it.
const (
	usualTrace = "bench/traces/worldcup98/worldcup98_requests_per_minute.csv.gz"
	usualFrom  = "1998-07-03 18:20:00"
)

const (
	// stepLasts is how long one step of the trace is played, if it isn't shorter: of a
	// minute's counts twenty are played in a minute.
	stepLasts = 3 * time.Second
	// peakWorkers is how many workers the busiest step needs, each of them busy for
	// peakBusy of its time.
	peakWorkers, peakBusy = 10, 0.9
	// startBusy is how busy the first workers are with the first step.
	startBusy = 0.7
	// shortest is the least that is worth playing.
	shortest = 10 * time.Second
)

// plan is what is to be produced: jobs a second, for each second of the run.
type plan struct{ rates []float64 }

// readPlan makes a plan of what a trace has from an instant on, as it is written
// there or counted from the trace's beginning.
func readPlan(path, from string, lasts time.Duration) (plan, error) {
	if path == "" {
		root, err := testkit.Root()
		if err != nil {
			return plan{}, err
		}
		path = filepath.Join(root, filepath.FromSlash(usualTrace))
		if from == "" {
			from = usualFrom
		}
	}
	series, err := trace.ReadFile(path, trace.Options{From: from})
	if err != nil {
		return plan{}, err
	}
	step := min(series.Step, stepLasts)
	counts := series.Counts[:min(len(series.Counts), 1+int(math.Ceil(lasts.Seconds()/step.Seconds())))]
	// As high as makes the largest of them what peakWorkers can do.
	load := simulate.Trace{Name: series.Name, Step: step, Rates: counts}.Scaled(peakWorkers * peakBusy * workerRate)
	p := plan{rates: load.Seconds()}
	p.rates = p.rates[:min(len(p.rates), int(lasts.Seconds()))]
	if len(p.rates) == 0 || p.lasts() < shortest || p.most() <= 0 {
		return plan{}, fmt.Errorf("%s has too little load from there on: %s are left to play, and %s is the least", path, p.lasts(), shortest)
	}
	return p, nil
}

// workers is how many there are to begin with.
func (p plan) workers() int { return max(1, int(math.Ceil(p.rates[0]/(startBusy*workerRate)))) }

// lasts is how long it takes to play.
func (p plan) lasts() time.Duration { return time.Duration(len(p.rates)) * time.Second }

// least and most are the smallest and the largest rate.
func (p plan) least() float64 { return slices.Min(p.rates) }
func (p plan) most() float64  { return slices.Max(p.rates) }

// due yields when jobs are to be produced, counted from the beginning: at random
// instants (a Poisson process) whose rate is the plan's. Random gives exponentially
// distributed numbers of mean 1.
func (p plan) due(random func() float64) func(yield func(time.Duration) bool) {
	return func(yield func(time.Duration) bool) {
		need := random() // jobs until the next one
		for second, rate := range p.rates {
			past := 0.0
			for rate-past >= need {
				past += need
				at := (float64(second) + past/rate) * float64(time.Second)
				if !yield(time.Duration(at)) {
					return
				}
				need = random()
			}
			need -= rate - past
		}
	}
}
