package loop

import (
	"log/slog"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// TestScheduleOverADay leads a service beat by beat through a day on which the
// clocks are put forward. Cells that take two minutes to be born are there at
// 8:00, and are released when the window is over.
func TestScheduleOverADay(t *testing.T) {
	p, diags := policy.Parse("homeostat.hcl", []byte(`
service "api" {
  min = 2
  max = 6
  terraform { dir = "api" }
  requests { arrived = "requests_total" }
  birth { time = "3m" }
  schedule "day" {
    cron      = "0 8 * * *"
    for       = "10h"
    time_zone = "Europe/Berlin"
    min       = 8
    max       = 12
  }
}`))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	l := NewLeader(LeaderConfig{Service: p.Services[0], Log: slog.New(slog.DiscardHandler)}, nil)
	born := guard.Key("api-1")
	l.memory.Book.Ordered(born, time.Unix(0, 0))
	l.memory.Book.Landed(born, time.Unix(120, 0))
	day := time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC)
	begins, ends := day.Add(6*time.Hour), day.Add(16*time.Hour) // in UTC, already in summer time
	ordered, rose, fell := 2, time.Time{}, time.Time{}
	for at := day.Add(5 * time.Hour); at.Before(day.Add(17 * time.Hour)); at = at.Add(p.Services[0].Beat) {
		l.seen.at = at
		obs := balance.Observation{At: at, Ordered: ordered, Ready: ordered, BirthMedian: reading.Of(120, at),
			Offered: reading.Of(100, at), Served: reading.Of(100, at), BusyMax: reading.Of(0.5, at)}
		l.memory.Law, l.last = balance.Decide(LawConfig(l.Service, l.bounds()), l.memory.Law, obs)
		switch d := l.last; {
		case d.Desired >= 8 && rose.IsZero():
			rose = at
			if d.CappedBy != `min of schedule "day"` {
				t.Errorf("capped by %q: %s", d.CappedBy, d.Reason)
			}
		case d.Desired < 8 && !rose.IsZero() && fell.IsZero():
			fell = at
		case at.After(begins) && at.Before(ends) && d.Desired < 8:
			t.Fatalf("%d at %s: %s", d.Desired, at, d.Reason)
		}
		ordered = l.last.Desired
	}
	if early := begins.Sub(rose); early < 2*time.Minute || early > 2*time.Minute+2*l.Service.Beat {
		t.Errorf("ordered %s before it begins, a birth takes 2m", early)
	}
	if late := fell.Sub(ends); late < 0 || late > time.Minute {
		t.Errorf("released %s after its end", late)
	}
}

// TestBoundsOfANeighbour has a max by the clock count for those who ask this service
// for cells, and for whom it asks to hold back, too.
func TestBoundsOfANeighbour(t *testing.T) {
	p, diags := policy.Parse("homeostat.hcl", []byte(`
service "api" {
  min = 2
  max = 20
  terraform { dir = "api" }
  schedule "night" {
    cron = "0 0 * * *"
    for  = "6h"
    min  = 1
    max  = 4
  }
}`))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for hour, want := range map[int]policy.Bounds{3: {Min: 1, Max: 4}, 12: {Min: 2, Max: 20}} {
		got := boundsAt(p.Services[0], time.Date(2026, 3, 2, hour, 0, 0, 0, time.UTC))
		if got.Min != want.Min || got.Max != want.Max {
			t.Errorf("at %d h: %+v, want %+v", hour, got, want)
		}
	}
}
