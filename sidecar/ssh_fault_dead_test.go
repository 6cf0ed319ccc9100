package main

import (
	"context"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// TestSSHMachineDies takes a machine's power away for good while its cell lives
// there. The leader finds the cell dead, and nobody waits for it to leave for as long
// as the cell's timeouts would allow: another takes its place, and the machine is
// named to the operator.
func TestSSHMachineDies(t *testing.T) {
	p := newPool(t, poolOptions{Machines: 3, User: "birth", Reuse: true})
	p.edit("pod/main.tf", `delete = "2m"`, `delete = "1h"`)
	p.succeed("publish", "pod")
	p.apply()
	p.alone()
	p.succeed("pin", "pod", "2")
	p.livesOn(2)
	dead := p.held()[0]
	lost := p.lives()
	p.must(dead.Kill())
	p.hears("cell is dead")
	p.awaitLong("two cells on other machines", func(ctx context.Context) error { return p.agreeOn(ctx, 2) })
	if contains(p.lives(), lost) {
		t.Errorf("cells %v, were %v", p.lives(), lost)
	}
	hosts, err := p.fleet.Hosts(t.Context())
	p.must(err)
	for _, h := range hosts {
		if (h.State == fleet.HostLost) != (h.Address == dead.Addr()) {
			t.Errorf("host %s is %s", h.Address, h.State)
		}
	}
}
