package balance

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// FuzzObservation hands the law any numbers, in a state that has seen some.
func FuzzObservation(f *testing.F) {
	f.Add(100.0, 100.0, 0.0, 0.5, 0.1, 60.0, 12.0, 4, 4, int64(5), 1, int64(60))
	f.Add(math.NaN(), math.Inf(1), -1.0, 1e300, math.Copysign(0, -1), 5e-324, 1e9, -7, 1<<40, int64(-1<<60), -1<<40, int64(1<<60))
	f.Fuzz(func(t *testing.T, offered, served, lag, busy, latency, birth, partitions float64, ordered, ready int, step int64, delta int, due int64) {
		known := func(v float64) reading.Reading { return reading.Reading{Value: v, Known: true} }
		cfg := Config{Min: 1, Max: 40, LatencyUpper: time.Second}
		st, at := State{}, epoch
		for range 20 {
			at = at.Add(time.Duration(step))
			obs := Observation{
				At: at, Ordered: ordered, Ready: ready,
				Offered: known(offered), Served: known(served), Lag: known(lag), BusyMax: known(busy), Latency: known(latency),
				BirthMedian: known(birth), Partitions: known(partitions), CommitInterval: known(latency), InFlightMessages: known(lag),
				RebalancePause: known(birth),
				Laggards:       []Partition{{0, lag, time.Duration(due)}, {1, served, time.Duration(step)}},
				InFlight:       []Order{{Delta: delta, Placed: at, Expected: at.Add(time.Duration(due))}},
			}
			var d Decision
			st, d = Decide(cfg, st, obs)
			if d.Desired < 1 || d.Desired > 40 || d.Reason == "" {
				t.Fatalf("%+v", d)
			}
			if _, err := json.Marshal(d); err != nil {
				t.Fatal(err)
			}
			st = stored(t, st)
			if st.mem.afresh != "" {
				t.Fatalf("the law wrote a state that it can't read: %s", st.mem.afresh)
			}
		}
	})
}

// FuzzState hands the law any stored state.
func FuzzState(f *testing.F) {
	st := State{}
	for k := range 100 {
		st, _ = Decide(Config{Max: 9}, st, Observation{At: at(5 * k), Ordered: 3, Ready: 3, Offered: per(float64(100 + k%7)), Lag: per(0), Served: per(100), BusyMax: per(0.5)})
	}
	text, err := json.Marshal(st)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"format":2,"started":true,"count":5,"looks":[{"back":60000000000,"corrections":[1,1,1],"ratios":[{"scale":1},{"scale":1},{"scale":1}]}]}`))
	f.Add([]byte(`{"format":1,"started":true,"count":5,"looks":[{"back":60000000000,"correction":1,"ratios":{"scale":1}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var st State
		if json.Unmarshal(text, &st) != nil {
			return
		}
		for k := range 70 {
			var d Decision
			st, d = Decide(Config{Min: 1, Max: 9}, st, Observation{At: at(600 + 5*k), Ordered: 3, Ready: 3, Offered: per(100), Lag: per(0), Served: per(100), BusyMax: per(0.5)})
			if d.Desired < 1 || d.Desired > 9 {
				t.Fatalf("%+v", d)
			}
			for _, term := range d.Terms {
				if math.IsNaN(term.Value) || math.IsInf(term.Value, 0) {
					t.Fatalf("%s is %v", term.Name, term.Value)
				}
			}
		}
		if again := stored(t, st); again.mem.afresh != "" {
			t.Fatalf("the law wrote a state that it can't read: %s", again.mem.afresh)
		}
	})
}
