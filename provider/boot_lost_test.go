package main

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/cloud"
)

// The cell alone is replaced, though its ticket was used by the life before.
func TestTicketOfAnotherLife(t *testing.T) {
	b := newBootRig(t, cloud.Options{})
	config := b.config(bootOptions{})
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: b.gone,
		Steps: []resource.TestStep{
			{Config: config},
			{
				Config: config, Taint: []string{cellAddress},
				ExpectError: inTurn([]string{"the machine that came with this ticket was this cell, and has left or was removed", "terraform apply -replace='ADDRESS'"}),
			},
			{Config: config},
		},
	})
	if n := b.cloud.Booted(); n != 2 {
		t.Errorf("%d machines were booted, want 2", n)
	}
}

// Nothing is published any more, as after Consul has lost its data: a cell that lives
// is planned from its own birth's values, and only a new ticket is refused.
func TestBootedCellOutlivesWhatIsPublished(t *testing.T) {
	b := newBootRig(t, cloud.Options{})
	config := b.config(bootOptions{})
	client, err := b.consul.Client()
	if err != nil {
		t.Fatal(err)
	}
	lose := func() {
		if _, err := client.KV().DeleteTree("homeostat/"+b.service+"/", nil); err != nil {
			t.Fatal(err)
		}
		if p, err := b.fleet.Published(t.Context(), b.service); p != nil || err != nil {
			t.Fatalf("published %+v, %v", p, err)
		}
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: b.gone,
		Steps: []resource.TestStep{
			{Config: config},
			{PreConfig: lose, Config: config, PlanOnly: true},
			{Config: config, Taint: []string{joinAddress}, PlanOnly: true, ExpectError: spaced("nothing is published for " + b.service)},
		},
	})
}

// Whoever can't leave by order doesn't keep its machine from being destroyed; but
// a cell that lives is not destroyed in silence.
func TestBootedCellDoesNotLeave(t *testing.T) {
	b := newBootRig(t, cloud.Options{Leaves: func(fleet.Cell) bool { return false }})
	config := b.config(bootOptions{Cell: `timeouts = { delete = "2s" }`})
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: b.gone,
		Steps: []resource.TestStep{
			{Config: config},
			{Config: config, Destroy: true, ExpectError: spaced("it took longer than timeouts.delete = 2s, and it is still passing in Consul")},
			{PreConfig: func() { b.cloud.Remove(b.only().ID) }, Config: b.config(bootOptions{Cell: `timeouts = { delete = "30s" }`})},
		},
	})
	if ts, err := b.fleet.Tombstones(t.Context(), b.service); err != nil || len(ts) == 0 {
		t.Errorf("tombstones %+v, %v", ts, err)
	}
}

// Consul has lost what it knew of tickets: a cell that lives keeps its machine.
func TestTicketLost(t *testing.T) {
	b := newBootRig(t, cloud.Options{})
	config := b.config(bootOptions{})
	client, err := b.consul.Client()
	if err != nil {
		t.Fatal(err)
	}
	lose := func() {
		for _, key := range b.keysBelow("homeostat/boot.tickets/") {
			if _, err := client.KV().Delete(key, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: b.gone,
		Steps: []resource.TestStep{
			{Config: config},
			{PreConfig: lose, Config: config, PlanOnly: true},
			{
				// Silence alone is no reason to replace a machine.
				PreConfig: func() {
					if keys := b.keysBelow("homeostat/boot.tickets/"); len(keys) != 1 {
						t.Fatalf("the plan has noted %v, want the ticket", keys)
					}
					lose()
					b.cloud.Remove(b.only().ID)
					await(t, "the cell's silence", func() bool { m := b.member("web-1"); return m != nil && m.Silent })
				},
				Config: config, PlanOnly: true,
			},
			{
				PreConfig: func() {
					if err := b.fleet.Deregister(t.Context(), b.member("web-1").ID()); err != nil {
						t.Fatal(err)
					}
				},
				Config: config, PlanOnly: true, ExpectNonEmptyPlan: true,
			},
		},
	})
}

// A cell that its leader found dead is not waited for.
func TestDeadBootedCellIsNotWaitedFor(t *testing.T) {
	var dead atomic.Bool
	b := newBootRig(t, cloud.Options{
		Leaves: func(fleet.Cell) bool { return false },
		Health: func(fleet.Cell) fleet.Health {
			if dead.Load() {
				return fleet.Critical
			}
			return fleet.Passing
		},
	})
	config := b.config(bootOptions{Cell: `timeouts = { delete = "1h" }`})
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: b.gone,
		Steps: []resource.TestStep{
			{Config: config},
			{PreConfig: func() {
				dead.Store(true)
				await(t, "the cell is critical", func() bool { return b.member("web-1").Health == fleet.Critical })
				b.record(fleet.Record{Names: []string{}, Orders: []fleet.Order{{
					ID: "1", Reason: "a test", Placed: time.Now(), Remove: []string{"web-1"}, Dead: []string{b.member("web-1").ID()},
				}}})
			}, Config: config, Destroy: true},
		},
	})
}
