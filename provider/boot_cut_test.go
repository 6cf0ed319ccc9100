package main

import (
	"os"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/cloud"
)

// A Terraform that was killed between ordering a machine and writing that down leaves
// one that no state knows, with a ticket that is good. The cell is born on the other
// one all the same; where any machine will do, it lives on the first, and that ends
// with it.
func TestOrphanedMachine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		boot   string
		orphan bool // is the cell's
	}{"awaited by its id": {"", false}, "any machine": {"any_machine = true", true}} {
		t.Run(name, func(t *testing.T) {
			b := newBootRig(t, cloud.Options{})
			cli := newCLI(t, b.rig)
			cli.write(b.config(bootOptions{Boot: c.boot}))
			cli.must("apply", "-auto-approve", "-target=terraform_data.machine")
			await(t, "the machine", func() bool { return len(b.cloud.Machines()) == 1 })
			orphan := b.only()
			await(t, "its hello", func() bool {
				return len(b.keysBelow("homeostat/boot.tickets/")) == 1 && strings.Contains(b.mails(), "/hello/")
			})
			cli.must("state", "rm", "terraform_data.machine")
			out := cli.must("apply", "-auto-approve")
			var other *cloud.Machine
			for id, m := range b.cloud.Machines() {
				if id != orphan.ID {
					other = m
				}
			}
			cell, spare := other, orphan
			if c.orphan {
				cell, spare = orphan, other
			}
			await(t, "the end of the one that isn't the cell", spare.Off)
			if m := b.member("web-1"); m == nil || m.Machine != cell.ID {
				t.Errorf("registered as %+v, want on %s\n%s", m, cell.ID, out)
			}
			cli.must("destroy", "-auto-approve")
			if c.orphan {
				await(t, "the end of the machine that no state knows", orphan.Off)
			}
			if err := b.cloud.End(orphan.ID); err != nil {
				t.Error(err)
			}
			if err := b.gone(nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// mails are the names of all that machines and births have said.
func (b *bootRig) mails() string {
	b.t.Helper()
	client, err := b.consul.Client()
	if err != nil {
		b.t.Fatal(err)
	}
	keys, _, err := client.KV().Keys("homeostat/boot.joins/", "", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Join(keys, "\n")
}

// A birth that was cut, and of which a cell has come, is removed: the cell leaves
// before its machine goes.
func TestCutBirthByBootLeaves(t *testing.T) {
	healthy := make(chan struct{})
	b := newBootRig(t, cloud.Options{Health: healthyAfter(healthy, fleet.Warning)})
	c := newCLI(t, b.rig)
	c.write(b.config(bootOptions{}))
	run := c.start("apply", "-auto-approve")
	await(t, "the cell's registration", func() bool { return b.member("web-1") != nil })
	was := b.member("web-1").Incarnation
	if err := run.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = run.wait(t) // it was cut
	close(healthy)
	await(t, "its health", func() bool { m := b.member("web-1"); return m != nil && m.Health == fleet.Passing })
	c.must("destroy", "-auto-approve")
	answer, err := b.fleet.LeaveAnswer(t.Context(), b.service, "web-1")
	if err != nil || answer == nil || answer.Phase != fleet.LeaveLeft || answer.Incarnation != was {
		t.Errorf("the cell's last word is %+v, %v", answer, err)
	}
	if err := b.gone(nil); err != nil {
		t.Error(err)
	}
}

// A Terraform that is cut in a birth leaves a machine that the next one takes up.
func TestBirthByBootIsCut(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]os.Signal{"killed": os.Kill, "interrupted": os.Interrupt} {
		t.Run(name, func(t *testing.T) {
			healthy := make(chan struct{})
			b := newBootRig(t, cloud.Options{Health: healthyAfter(healthy, fleet.Warning)})
			c := newCLI(t, b.rig)
			c.write(b.config(bootOptions{}))
			run := c.start("apply", "-auto-approve")
			await(t, "the cell's registration", func() bool { return b.member("web-1") != nil })
			was := b.member("web-1").Incarnation
			if err := run.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = run.wait(t) // it was cut
			close(healthy)
			c.must("apply", "-auto-approve", "-lock-timeout=30s")
			if m := b.member("web-1"); m == nil || m.Incarnation != was || b.cloud.Booted() != 1 {
				t.Errorf("registered as %+v, was %s; %d machines were booted", m, was, b.cloud.Booted())
			}
			c.must("plan", "-detailed-exitcode")
			c.must("destroy", "-auto-approve")
			if err := b.gone(nil); err != nil {
				t.Error(err)
			}
		})
	}
}
