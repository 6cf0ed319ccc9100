package balance

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// oddReading draws one that nobody can have made.
func oddReading(t *rapid.T) reading.Reading {
	odd := []reading.Reading{reading.Unknown("away")}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 1e300} {
		odd = append(odd, reading.Reading{Known: true, Value: v})
	}
	return rapid.SampledFrom(odd).Draw(t, "odd")
}

// keepers are what keeps a count of n that would else be lowered: each changes one
// thing, and returns the least that there must be then; 0 if it isn't of such a service.
var keepers = map[string]func(t *rapid.T, n int, c *Config, o *Observation) (least int){
	"no offered rate": func(t *rapid.T, n int, _ *Config, o *Observation) int {
		o.Offered = oddReading(t)
		return n
	},
	"no lag": func(t *rapid.T, n int, c *Config, o *Observation) int {
		if c.Requests {
			return 0
		}
		o.Lag = oddReading(t)
		return n
	},
	"no latency": func(t *rapid.T, n int, _ *Config, o *Observation) int {
		o.Latency = oddReading(t)
		return n
	},
	"lag": func(t *rapid.T, n int, c *Config, o *Observation) int {
		if c.Requests {
			return 0
		}
		o.Lag = per(rapid.Float64Range(60*float64(n), 1e6).Draw(t, "lag"))
		return n
	},
	"a birth": func(t *rapid.T, n int, _ *Config, o *Observation) int {
		due := time.Duration(rapid.IntRange(-5, 60).Draw(t, "due")) * time.Second
		o.InFlight = []Order{{Delta: rapid.IntRange(1, 5).Draw(t, "delta"), Placed: o.At, Expected: o.At.Add(due)}}
		return n
	},
	"the hour's changes": func(t *rapid.T, n int, c *Config, o *Observation) int {
		for range rapid.IntRange(0, 3).Draw(t, "leaving") {
			o.InFlight = append(o.InFlight, Order{Delta: -1, Placed: o.At, Expected: o.At.Add(time.Minute)})
		}
		o.Changes = c.FlapBudget - len(o.InFlight) + rapid.IntRange(0, 5).Draw(t, "more")
		return n
	},
	"min": func(t *rapid.T, n int, c *Config, _ *Observation) int {
		c.Min = rapid.IntRange(1, n).Draw(t, "min")
		return c.Min
	},
	"a request": func(t *rapid.T, n int, _ *Config, o *Observation) int {
		floor := rapid.IntRange(1, n).Draw(t, "floor")
		o.Requests = []Request{{From: "front", Floor: floor, Reason: "a launch", Expires: o.At.Add(time.Minute)}}
		return floor
	},
	"a pin": func(t *rapid.T, n int, _ *Config, o *Observation) int {
		pin := rapid.IntRange(1, n).Draw(t, "pin")
		o.Pin = &pin
		return pin
	},
	"cells that are silent": func(t *rapid.T, n int, c *Config, o *Observation) int {
		if !c.Requests {
			return 0
		}
		o.StandIns = late(rapid.IntRange(1, n).Draw(t, "silent"))
		return min(n, int(float64(o.StandIns.Cells)/c.Law.RequestUtilization))
	},
	"that no order takes more": func(_ *rapid.T, n int, _ *Config, _ *Observation) int { return int(0.4 * float64(n)) },
}

// TestEachKeepsTheCount brings a service to where cells go, and then changes one thing:
// that alone must keep what it is to keep, at a beat and between two.
func TestEachKeepsTheCount(t *testing.T) {
	for name, keep := range keepers {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				n := rapid.IntRange(10, 60).Draw(t, "cells")
				cfg := Config{
					Min: 1, Max: 60, Requests: rapid.Bool().Draw(t, "requests"), Serial: rapid.Bool().Draw(t, "serial"), LatencyUpper: time.Second,
					Law: Law{ReleaseIdle: time.Second, ReleaseBirths: 0.01},
				}.filled()
				load := per(rapid.Float64Range(1, 2).Draw(t, "of a hundredth of a cell each") * float64(n))
				r := NewRunner(cfg, State{mem: memory{Rates: []versionRate{{PerCell: 100}}}})
				obs := Observation{
					At: epoch, Ordered: n, Ready: n, Offered: load, Served: load, Latency: per(0.1), BirthMedian: per(10),
					Changes: rapid.IntRange(0, cfg.FlapBudget-1).Draw(t, "changes"),
				}
				if !cfg.Requests {
					obs.Lag = per(0)
				}
				for range 70 {
					obs.At = obs.At.Add(5 * time.Second)
					r.Desired(obs)
				}
				st := r.State()
				obs.At = obs.At.Add(time.Duration(rapid.SampledFrom([]int{1, 5}).Draw(t, "later")) * time.Second)
				if _, d := Decide(cfg, st, obs); d.Desired >= n {
					t.Fatalf("%d of %d are kept anyway: %s", d.Desired, n, d.Reason)
				}
				least := keep(t, n, &cfg, &obs)
				if _, d := Decide(cfg, st, obs); d.Desired < least {
					t.Fatalf("lowered from %d to %d, want %d at least: %s", n, d.Desired, least, d.Reason)
				}
			})
		})
	}
}
