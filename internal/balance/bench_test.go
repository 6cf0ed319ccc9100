package balance

import (
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

func BenchmarkDecide(b *testing.B) {
	cfg := Config{Min: 1, Max: 100, FlapBudget: -1, Law: DefaultLaw()}
	st := State{mem: memory{Rates: []versionRate{{PerCell: 100}}}}
	now := epoch
	n := 10
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(5 * time.Second)
		load := 900 + 300*float64(i%700)/700
		obs := Observation{
			At: now, Ordered: n, Ready: n, Lag: reading.Of(0, now),
			Offered: reading.Of(load, now), Served: reading.Of(load, now), BusyMax: reading.Of(load/float64(n)/100, now),
		}
		var d Decision
		st, d = Decide(cfg, st, obs)
		n = d.Desired
	}
}

// BenchmarkRunner takes the same beats, as a simulation does.
func BenchmarkRunner(b *testing.B) {
	cfg := Config{Min: 1, Max: 100, FlapBudget: -1, Law: DefaultLaw()}
	r := NewRunner(cfg, State{mem: memory{Rates: []versionRate{{PerCell: 100}}}})
	now := epoch
	n := 10
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(5 * time.Second)
		load := 900 + 300*float64(i%700)/700
		n = r.Desired(Observation{
			At: now, Ordered: n, Ready: n, Lag: reading.Of(0, now),
			Offered: reading.Of(load, now), Served: reading.Of(load, now), BusyMax: reading.Of(load/float64(n)/100, now),
		})
	}
}
