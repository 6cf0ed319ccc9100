package loop

import (
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// A cell that holds data goes only once that is known to have been moved: neither
// because its time is over nor because it is dead.
func TestWhoMovesDataGoesOnlyThen(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	idle := reading.Of(0, now)
	for _, c := range []struct {
		name   string
		vitals sense.Vitals
		until  time.Duration // of its time, from now
		want   bool
		change func(*policy.Service) // nil for a gauge of what is in flight
	}{
		{"moved, and nothing counts what it has in hand", sense.Vitals{Draining: true, Moved: true}, time.Minute, true, func(*policy.Service) {}},
		{"drains, and nothing counts", sense.Vitals{Draining: true}, -time.Minute, false, func(*policy.Service) {}},
		{"moved, and asked to finish", sense.Vitals{Draining: true, Moved: true}, time.Minute, false, func(s *policy.Service) { s.Drain.Path = "/drain" }},
		{"moved, and its proxy has told nothing", sense.Vitals{Draining: true, Moved: true}, time.Minute, false, func(s *policy.Service) { s.Proxy = &policy.Proxy{} }},
		{"drains", sense.Vitals{Draining: true, InFlight: idle}, time.Minute, false, nil},
		{"past its time", sense.Vitals{Draining: true, InFlight: idle}, -time.Minute, false, nil},
		{"moved and idle", sense.Vitals{Draining: true, Moved: true, InFlight: idle}, time.Minute, true, nil},
		{"moved and busy", sense.Vitals{Draining: true, Moved: true}, time.Minute, false, nil},
		{"moved and past its time", sense.Vitals{Draining: true, Moved: true}, -time.Minute, true, nil},
	} {
		l := &Leader{LeaderConfig: LeaderConfig{Service: &policy.Service{HoldsData: true, Drain: policy.Drain{Command: []string{"move"}}}}}
		if c.change != nil {
			c.change(l.Service)
		} else {
			l.Service.Metrics.InFlight = "in_flight"
		}
		v := view{at: now, byCell: map[string]sense.Vitals{"db-1": c.vitals}, leaving: map[string]fleet.Leaving{"db-1": {Until: now.Add(c.until)}}}
		if got := l.mayGo("db-1", v, verdict{}); got != c.want {
			t.Errorf("%s: may go %t", c.name, got)
		}
		delete(v.byCell, "db-1")
		if l.mayGo("db-1", v, verdict{Dead: []string{"db-1"}}) {
			t.Errorf("%s: a dead one may go", c.name)
		}
	}
}
