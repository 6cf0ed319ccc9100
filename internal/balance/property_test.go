package balance

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// anyReading draws what a sense may hand over, and what it never should.
func anyReading(most float64) *rapid.Generator[reading.Reading] {
	return rapid.Custom(func(t *rapid.T) reading.Reading {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return reading.Unknown("away")
		case 1:
			odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 1e300, 5e-324, math.MaxFloat64, 0}
			return reading.Reading{Known: true, Value: rapid.SampledFrom(odd).Draw(t, "odd")}
		default:
			return reading.Reading{Known: true, Value: rapid.Float64Range(0, most).Draw(t, "value")}
		}
	})
}

func anyConfig() *rapid.Generator[Config] {
	fallback := rapid.Custom(func(t *rapid.T) Fallback {
		return Fallback{rapid.SampledFrom([]string{Hold, Floor, Number, "?"}).Draw(t, "kind"), rapid.IntRange(-5, 50).Draw(t, "number")}
	})
	return rapid.Custom(func(t *rapid.T) Config {
		return Config{
			Min: rapid.IntRange(-2, 10).Draw(t, "min"), Max: rapid.IntRange(-2, 60).Draw(t, "max"),
			Yields:    rapid.Bool().Draw(t, "yields"),
			Scheduled: Scheduled{Moves: rapid.Bool().Draw(t, "moves")},
			Beat:      time.Duration(rapid.SampledFrom([]int{0, 1, 5, 60}).Draw(t, "beat")) * time.Second,
			Requests:  rapid.Bool().Draw(t, "requests"), Serial: rapid.Bool().Draw(t, "serial"),
			BoundsOnly:       rapid.IntRange(0, 9).Draw(t, "bounds only") == 0,
			WaitBound:        time.Duration(rapid.IntRange(-1, 300).Draw(t, "wait")) * time.Second,
			Upper:            rapid.SampledFrom([]float64{0, 0.5, 0.92, 7, math.NaN()}).Draw(t, "upper"),
			LatencyUpper:     time.Duration(rapid.IntRange(0, 2).Draw(t, "latency")) * time.Second,
			ConsumersPerCell: rapid.IntRange(-1, 4).Draw(t, "consumers"),
			FlapBudget:       rapid.IntRange(-1, 12).Draw(t, "budget"),
			Pair:             rapid.SampledFrom([]string{"", "db"}).Draw(t, "pair"), PairWait: 20 * time.Second,
			LagFallback:     fallback.Draw(t, "lag fallback"),
			LatencyFallback: fallback.Draw(t, "latency fallback"),
			// Short enough that releases are seen within a short run.
			Law: Law{ReleaseAfter: 10 * time.Second, ReleaseWindow: 10 * time.Second, ReleaseIdle: time.Second, ReleaseBirths: 0.01, RateWindow: 10 * time.Second, SignalAway: 20 * time.Second,
				EffectTime: 10 * time.Second, EffectOrders: 1, EffectRetry: time.Minute, Together: 20 * time.Second},
		}
	})
}

func anyObservation(t *rapid.T, at time.Time) Observation {
	obs := Observation{
		At: at, Ordered: rapid.IntRange(0, 70).Draw(t, "ordered"), Ready: rapid.IntRange(-1, 70).Draw(t, "ready"),
		Offered: anyReading(5000).Draw(t, "offered"), Served: anyReading(5000).Draw(t, "served"),
		Lag: anyReading(1e5).Draw(t, "lag"), BusyMax: anyReading(1.2).Draw(t, "busy"),
		Latency: anyReading(3).Draw(t, "latency"), Partitions: anyReading(100).Draw(t, "partitions"),
		BirthMedian: anyReading(60).Draw(t, "birth"), CommitInterval: anyReading(10).Draw(t, "commit"),
		InFlightMessages: anyReading(100).Draw(t, "in flight"),
		Rebalancing:      rapid.IntRange(0, 9).Draw(t, "rebalancing") == 0,
		RebalancePause:   anyReading(30).Draw(t, "pause"),
		Changes:          rapid.IntRange(-1, 15).Draw(t, "changes"),
		Version:          rapid.SampledFrom([]string{"", "v1", "v2"}).Draw(t, "version"),
	}
	if rapid.IntRange(0, 3).Draw(t, "stragglers") == 0 {
		obs.StandIns = StandIns{
			Cells: rapid.IntRange(-1, 5).Draw(t, "silent"), Why: "late", Served: rapid.SampledFrom([]float64{0, 10, 1e6, -1, math.NaN()}).Draw(t, "served by them"),
			Busy: rapid.SampledFrom([]float64{0, 0.5, 1, -1, math.Inf(1)}).Draw(t, "their busy share"), Age: time.Duration(rapid.IntRange(-1, 15).Draw(t, "age")) * time.Second,
			Latency: anyReading(3).Draw(t, "latency at worst"),
		}
	}
	for p := range rapid.IntRange(0, 3).Draw(t, "laggards") {
		lag := rapid.SampledFrom([]float64{0, 1, 1e4, 1e5, -1, math.NaN(), math.Inf(1)}).Draw(t, "partition lag")
		obs.Laggards = append(obs.Laggards, Partition{p, lag, time.Duration(rapid.IntRange(-1, 900).Draw(t, "still")) * time.Second})
	}
	for range rapid.IntRange(0, 3).Draw(t, "orders") {
		due := time.Duration(rapid.IntRange(-500, 500).Draw(t, "due")) * time.Second
		obs.InFlight = append(obs.InFlight, Order{rapid.IntRange(-5, 5).Draw(t, "delta"), at, at.Add(due)})
	}
	if rapid.Bool().Draw(t, "needs") {
		obs.Behind = []Behind{{
			Service: "db", Need: anyReading(5).Draw(t, "need"), Load: anyReading(5000).Draw(t, "load behind"), Count: anyReading(5).Draw(t, "behind"), Ready: rapid.IntRange(-1, 5).Draw(t, "behind ready"), Max: rapid.IntRange(0, 5).Draw(t, "behind max"),
			Room: rapid.SampledFrom([]reading.Reading{reading.Of(0, at), reading.Of(0.5, at), reading.Of(-1, at), reading.Unknown("away")}).Draw(t, "room"),
		}}
	}
	if rapid.Bool().Draw(t, "in front") {
		obs.Front = []Front{{Service: "crawler", Count: anyReading(20).Draw(t, "front"), Min: rapid.IntRange(-1, 5).Draw(t, "front min")}}
	}
	for range rapid.IntRange(0, 2).Draw(t, "requests") {
		until := time.Duration(rapid.IntRange(-60, 60).Draw(t, "until")) * time.Second
		obs.Requests = append(obs.Requests, Request{"front", rapid.IntRange(-5, 90).Draw(t, "floor"), rapid.SampledFrom([]int{0, 0, -3, 1, 7, 50}).Draw(t, "ceiling"), "a launch", at.Add(until)})
	}
	if rapid.IntRange(0, 9).Draw(t, "pinned") == 0 {
		pin := rapid.IntRange(-3, 80).Draw(t, "pin")
		obs.Pin = &pin
	}
	return obs
}

// calm makes of an observation one of a service that is well, but for a thing or two:
// of those that anything may be said of, next to none lets cells go.
func calm(t *rapid.T, from Observation) Observation {
	load := per(rapid.Float64Range(0, 500).Draw(t, "load"))
	obs := Observation{
		At: from.At, Ordered: from.Ordered, Ready: from.Ordered, Offered: load, Served: load, Lag: per(0), BusyMax: per(0.5), Latency: per(0.1),
		Partitions: per(100), BirthMedian: per(10), Version: from.Version,
	}
	switch rapid.IntRange(0, 24).Draw(t, "but for") {
	case 0:
		obs.Offered = from.Offered
	case 1:
		obs.Lag = from.Lag
	case 2:
		obs.Latency = from.Latency
	case 3:
		obs.InFlight = from.InFlight
	case 4:
		obs.Changes = from.Changes
	case 5:
		obs.Requests = from.Requests
	case 6:
		obs.Behind, obs.Front = from.Behind, from.Front
	case 7:
		obs.Served, obs.BusyMax = from.Served, from.BusyMax
	case 8, 9, 10:
		obs.StandIns = from.StandIns
	case 11, 12, 13: // a ceiling, and what keeps cells from it
		obs.Requests, obs.Changes = from.Requests, from.Changes
	case 14:
		obs.Requests, obs.Offered = from.Requests, from.Offered
	}
	return obs
}

// TestLawKeepsItsPromises runs the law on anything, and holds it to what it
// promises whatever it is told.
func TestLawKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := anyConfig().Draw(t, "config")
		var st State
		at, well := epoch, rapid.Bool().Draw(t, "well")
		for range rapid.IntRange(1, 40).Draw(t, "beats") {
			at = at.Add(time.Duration(rapid.SampledFrom([]int{5, 5, 5, 5, 1, 60, 0, -5, -7200, 7200}).Draw(t, "step")) * time.Second)
			obs := anyObservation(t, at)
			if well {
				obs = calm(t, obs)
			}
			given := obs
			given.Laggards, given.InFlight = slices.Clone(obs.Laggards), slices.Clone(obs.InFlight)
			given.Requests, given.Behind, given.Front = slices.Clone(obs.Requests), slices.Clone(obs.Behind), slices.Clone(obs.Front)
			next, d := Decide(cfg, st, obs)
			if rapid.IntRange(0, 9).Draw(t, "new leader") == 0 {
				again, d2 := Decide(cfg, stored(t, st), obs)
				if diff := cmp.Diff(next, again, sameState) + cmp.Diff(d, d2); diff != "" {
					t.Fatalf("a state that was stored goes on differently: %s", diff)
				}
			}
			if !cmp.Equal(given, obs, cmp.Comparer(sameReading), cmpopts.EquateNaNs()) {
				t.Fatal("the observation was changed")
			}
			promises(t, cfg.filled(), obs, d)
			st = next
			if cfg.Scheduled.Moves {
				cfg.Min, cfg.Max = rapid.IntRange(0, 10).Draw(t, "min moved"), rapid.IntRange(0, 60).Draw(t, "max moved")
			}
		}
	})
}

// blind says which reading is missing of those that a service goes by.
func blind(c *Config, o Observation) string {
	sound := func(r reading.Reading, most float64) bool { return r.Known && r.Value >= 0 && r.Value <= most }
	zero := func(r reading.Reading) bool { return sound(r, 0) }
	switch {
	case c.BoundsOnly:
		return ""
	case !sound(o.Offered, 1e12):
		return "the offered rate"
	case !c.Requests && !sound(o.Lag, 1e12):
		return "the lag"
	case c.LatencyUpper > 0 && !sound(o.Latency, 1e7) && !(zero(o.Offered) && zero(o.Served)):
		return "the latency"
	}
	return ""
}

func promises(t *rapid.T, c Config, obs Observation, d Decision) {
	o := obs.checked()
	c.underCeiling(&o)
	gone := blind(&c, obs)
	lowered := d.Desired < o.Ordered && d.Code != CodePinned && o.Ordered <= c.policyMax
	switch {
	case d.Code == "" || d.Reason == "" || len(d.Terms) == 0:
		t.Fatalf("a decision without a word: %+v", d)
	case c.Scheduled.Moves && o.Ordered > c.policyMax && obs.Pin == nil:
		if least := max(c.policyMax, int(c.Law.ReleaseKeep*float64(o.Ordered))); d.Desired >= o.Ordered || d.Desired < least {
			t.Fatalf("desired %d of %d, max %d", d.Desired, o.Ordered, c.policyMax)
		}
	case d.Desired > c.policyMax || d.Desired > max(c.Max, o.Ordered) || d.Desired < 0:
		t.Fatalf("desired %d of %d, max %d, ceiling %d", d.Desired, o.Ordered, c.policyMax, c.Max)
	case d.Desired < c.Min && obs.Pin == nil:
		t.Fatalf("desired %d, min %d", d.Desired, c.Min)
	case lowered && gone != "":
		t.Fatalf("lowered from %d to %d without %s", o.Ordered, d.Desired, gone)
	case lowered && c.FlapBudget > 0 && max(0, obs.Changes)+len(obs.InFlight) >= c.FlapBudget:
		t.Fatalf("lowered after %d changes of %d and %d in flight", obs.Changes, c.FlapBudget, len(obs.InFlight))
	case lowered && d.Desired < int(0.4*float64(o.Ordered)):
		t.Fatalf("lowered from %d to %d at once", o.Ordered, d.Desired)
	case lowered && o.growing():
		t.Fatal("lowered with an upward order in flight")
	case lowered && d.Desired < leastFor(&c, &o, d):
		t.Fatalf("lowered to %d with %d cells unheard: %+v", d.Desired, o.StandIns.Cells, d.Terms)
	case obs.Pin != nil && d.Desired != clamp(*obs.Pin, 0, c.Max):
		t.Fatalf("pinned to %d, desired %d", *obs.Pin, d.Desired)
	}
	floor := 0
	for _, r := range obs.Requests {
		if r.Expires.After(obs.At) {
			floor = max(floor, r.Floor)
		}
	}
	inOrder := slices.ContainsFunc(d.Terms, func(t Term) bool { return strings.HasPrefix(t.Name, "match of") }) // not yet
	if floor = min(floor, c.Max); !inOrder && d.Desired < floor && obs.Pin == nil && d.Code != CodeUnpaired && d.CappedBy == "" {
		t.Fatalf("desired %d though %d are asked for: %s", d.Desired, floor, d.Code)
	}
	if (d.Code == CodeInOrder || d.Code == CodeYielding) && d.Desired < max(o.Ordered, c.Min) {
		t.Fatalf("%s at %d, and %d are ordered", d.Code, d.Desired, o.Ordered)
	}
	held := d.Code == CodeNoEffect || d.Code == CodeBehindFull || d.Code == CodeUnpaired
	if held && d.Desired != max(o.Ordered, c.Min) {
		t.Fatalf("held back at %d, and %d are ordered", d.Desired, o.Ordered)
	}
	for _, a := range d.Asks {
		floor, front := a.Floor >= 1 && a.Ceiling == 0 && a.Service == "db", a.Ceiling >= 1 && a.Floor == 0 && a.Service == "crawler"
		if floor == front || a.Reason == "" {
			t.Fatalf("asks %+v of %+v", a, obs.Behind)
		}
	}
	for _, a := range d.Answers {
		if a.Granted > d.Desired || a.Reason == "" {
			t.Fatalf("answers %+v with %d desired", a, d.Desired)
		}
	}
	for _, term := range d.Terms {
		if math.IsNaN(term.Value) || math.IsInf(term.Value, 0) || term.Value < 0 {
			t.Fatalf("%s is %v", term.Name, term.Value)
		}
	}
}

// leastFor is what the load takes with every cell that stands in wholly busy.
func leastFor(c *Config, o *Observation, d Decision) int {
	need, _ := d.term("need")
	rate, _ := d.term("rate of a cell")
	trust, _ := d.term("planned busy share")
	most, _ := d.term("most")
	if rate == 0 || c.BoundsOnly {
		return 0
	}
	if c.Requests {
		need += float64(o.StandIns.Cells) * rate
	}
	return min(o.Ordered, int(most), roundUp(c, need/rate/trust))
}

func sameReading(a, b reading.Reading) bool {
	return a.Known == b.Known && a.Reason == b.Reason && math.Float64bits(a.Value) == math.Float64bits(b.Value)
}

// Deciding must not change the state it is given: a decision can be asked for
// again, as `plan` does.
func TestDecideLeavesItsStateAlone(t *testing.T) {
	s := newService(t, 4)
	s.obs.Served, s.obs.BusyMax = per(300), per(0.9)
	s.beats(300)
	before := stored(t, s.st)
	s.obs.At = s.obs.At.Add(5 * time.Second)
	s.obs.Offered = per(2000)
	_, first := Decide(s.cfg, s.st, s.obs)
	if diff := cmp.Diff(before, s.st, sameState); diff != "" {
		t.Error(diff)
	}
	_, second := Decide(s.cfg, s.st, s.obs)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
}
