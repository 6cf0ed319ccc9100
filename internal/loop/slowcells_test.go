package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/cell"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// The leader's mark makes a slow cell's own sidecar call it `warning`, and its
// taking back makes it passing again.
func TestSlowCellIsSparedAndTakenBack(t *testing.T) {
	consul := runningCell(t)
	lease, err := consul.TryStand(t.Context(), "api", fleet.Holder{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lease.Release(context.WithoutCancel(t.Context())) })
	leader := NewLeader(LeaderConfig{
		Service: &policy.Service{Name: "api", Beat: 5 * time.Second, Replace: byDefault}, Fleet: consul, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}, lease)
	leader.record.Names, leader.record.Count = []string{"api-1", "api-2", "api-3", "api-4", "api-5"}, 5
	leader.held = map[string]heldCell{}
	at, paused := slowNoon, ""
	look := func(latency float64) {
		t.Helper()
		members, err := consul.Members(t.Context(), "api")
		if err != nil {
			t.Fatal(err)
		}
		marks, err := consul.Slow(t.Context(), "api")
		if err != nil {
			t.Fatal(err)
		}
		at = at.Add(2 * time.Minute)
		v := view{at: at, members: members, slow: marks, proven: true, paused: paused, byCell: map[string]sense.Vitals{}}
		for i, name := range leader.cells() {
			mean := 0.1 + float64(i)/1000
			if name == "api-1" {
				mean = latency
			}
			v.byCell[name] = sense.Vitals{Well: true, Served: reading.Of(50, at), Latency: &sense.Increase{
				Bounds: []float64{mean}, Counts: []float64{100, 0}, Span: 15 * time.Second,
			}}
		}
		leader.tellSlow(leader.watchSlow(t.Context(), v))
	}
	is := func(want fleet.Health) {
		t.Helper()
		testkit.Await(t, time.Minute, func(ctx context.Context) error {
			members, err := consul.Members(ctx, "api")
			if err != nil || len(members) != 1 {
				return errors.Join(err, fmt.Errorf("%d members", len(members)))
			}
			if members[0].Health != want {
				return fmt.Errorf("%s: %s", members[0].Health, members[0].Output)
			}
			return nil
		})
	}
	is(fleet.Passing)
	look(5)
	look(5)
	is(fleet.Warning)
	look(0.1)
	look(0.1)
	is(fleet.Passing)
	// Nothing is done while a person has paused it.
	paused = "paused"
	look(5)
	look(5)
	if marks, err := consul.Slow(t.Context(), "api"); err != nil || len(marks) != 0 {
		t.Errorf("marked while it was paused: %v, %v", marks, err)
	}
	paused = ""
	look(5)
	look(5)
	is(fleet.Warning)
	// Where the policy wants none marked any more, marks are taken back.
	leader.Service.Replace.Slow = policy.SlowOff
	look(5)
	is(fleet.Passing)
}

// runningCell runs the sidecar of api-1, and returns the Consul it registers at.
func runningCell(t *testing.T) *fleet.Client {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Consul")
	}
	consul, err := fleet.New(fleet.Config{Addresses: []string{testkit.Consul(t).Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(consul.Close)
	c := cell.New(cell.Config{
		Service:  &policy.Service{Name: "api", Beat: 100 * time.Millisecond},
		Identity: fleet.Cell{Service: "api", Name: "api-1", Incarnation: "i1", TTL: 10 * time.Second},
		Fleet:    consul, App: unmeasured{}, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = c.Run(ctx) }) // it ends with ctx
	t.Cleanup(func() { cancel(); running.Wait() })
	return consul
}
