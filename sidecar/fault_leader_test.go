package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// TestLeaderEndsInMidOrder kills the leader with -9 in the middle of a birth and
// of a removal, and ends one in good order in the middle of an apply. Whoever
// leads next finds what is there; no cell is born twice.
func TestLeaderEndsInMidOrder(t *testing.T) {
	h := faulty(t, houseOptions{
		Policy:  `drain { timeout = "0s" }`,
		Command: []string{"sh", "-c", "'trap : TERM; while :; do sleep 1; done'"},
	})
	h.edit("pod/main.tf", "  timeouts ", "  drain = { grace = \"4s\" }\n  timeouts ")
	h.apply()
	h.settled(1, patience)
	h.succeed("pin", "pod", "3")
	h.settled(3, patience)

	// In mid-birth: the newborn's first process runs and hasn't registered.
	h.write("fault", "hold")
	h.succeed("pin", "pod", "4")
	h.exists("held-pod-4")
	born := h.pidOf("pod-4")
	leader := h.leader()
	h.killCell(leader)
	h.remove("fault")
	h.settled(4, patience)
	if now := h.sidecar("pod-4"); now != born {
		t.Errorf("pod-4 is process %d, was %d: it was born twice", now, born)
	}
	t.Logf("leader %s killed in mid-birth; now led by %s with %v", leader, h.leader(), h.processes())

	// In mid-removal: a cell has its SIGTERM and is given time.
	h.succeed("pin", "pod", "3")
	h.await("a removal", func(ctx context.Context) error {
		tombstones, err := h.fleet.Tombstones(ctx, "pod")
		if err == nil && !slices.ContainsFunc(tombstones, func(t fleet.Tombstone) bool { return slices.Contains(h.processes(), t.Cell) }) {
			err = fmt.Errorf("none of %v runs", tombstones)
		}
		return err
	})
	leader = h.leader()
	h.killCell(leader)
	h.settled(3, patience)
	t.Logf("leader %s killed in mid-removal; now led by %s with %v", leader, h.leader(), h.processes())

	// In good order: the apply ends first, and is closed in the record.
	h.write("fault", "hold")
	h.succeed("pin", "pod", "4")
	newborn := h.newborn()
	leader = h.leader()
	h.signal(leader, syscall.SIGTERM)
	h.hears("waiting for what runs to end")
	h.remove("fault")
	h.hears("cell born", "cell="+newborn)
	h.settled(4, patience)
	if !slices.Contains(h.processes(), newborn) {
		t.Errorf("%s is not among %v: its birth wasn't let end", newborn, h.processes())
	}
}

// TestProviderEndsInMidBirth kills the provider, which leaves a newborn that no
// state knows of. The order is taken up again, and that very process adopted.
func TestProviderEndsInMidBirth(t *testing.T) {
	h := faulty(t, houseOptions{})
	h.apply()
	h.settled(1, patience)
	h.write("fault", "hold")
	h.succeed("pin", "pod", "2")
	newborn := h.newborn()
	h.exists("held-" + newborn)
	born := h.pidOf(newborn)
	provider := kill{house: h, victim: "provider"}
	h.kill(provider.awaited())
	h.hears("the order was not carried out")
	h.remove("fault")
	h.settled(2, patience)
	if now := h.sidecar(newborn); now != born {
		t.Errorf("%s is process %d, was %d: it was born twice", newborn, now, born)
	}
}

// TestLeavingCellLeads kills the leader while the only other cell is ordered
// away. That cell's sidecar leads then, can't take its own cell away, keeps it
// until another could, and then takes it back for the one that died.
func TestLeavingCellLeads(t *testing.T) {
	h := faulty(t, houseOptions{Policy: `drain { timeout = "0s" }`})
	h.apply()
	h.settled(1, patience)
	h.succeed("pin", "pod", "2")
	h.settled(2, patience)
	before := h.lives()

	answer := h.asksToDestroy() // a person holds the state's lock meanwhile
	h.succeed("pin", "pod", "1")
	h.await("the order that removes a cell", func(ctx context.Context) error {
		record, _, err := h.fleet.Record(ctx, "pod")
		if err == nil && (len(record.Orders) == 0 || len(record.Orders[0].Remove) == 0) {
			err = fmt.Errorf("%+v", record.Orders)
		}
		return err
	})
	leaving := h.followers()[0]
	h.killCell(h.leader())
	answer("no")
	h.hears("order placed", "the leader's own cell stays until another can lead")
	h.settled(1, patience)
	if now := h.lives()[leaving]; now != before[leaving] {
		t.Errorf("%s lives as %q, not as %q: %v", leaving, now, before[leaving], h.processes())
	}
}

// newborn waits for a cell that is held at its birth, and returns its name.
func (h *house) newborn() (name string) {
	h.t.Helper()
	h.await("no newborn", func(context.Context) error {
		for _, p := range h.marked() {
			if p.Cell != "" && !slices.Contains(h.processes(), p.Cell) && strings.HasSuffix(p.Command[len(p.Command)-1], "cell.sh") {
				name = p.Cell
				return nil
			}
		}
		return fmt.Errorf("among %v", h.marked())
	})
	return name
}

// pidOf is the first process of a cell, whatever program it runs now.
func (h *house) pidOf(cell string) int {
	h.t.Helper()
	for _, p := range h.marked() {
		if p.Cell == cell && strings.HasSuffix(p.Command[len(p.Command)-1], "cell.sh") {
			return p.PID
		}
	}
	h.t.Fatalf("%s doesn't run: %v", cell, h.marked())
	return 0
}

// TestFrozenLeader stops the leader's process for longer than its session lives
// and lets it go on. Another leads by then, and the first one writes nothing.
func TestFrozenLeader(t *testing.T) {
	h := faulty(t, houseOptions{Policy: `
  drain { timeout = "0s" }
  replace { after = "10m" }
`})
	h.apply()
	h.settled(1, patience)
	h.succeed("pin", "pod", "3")
	h.settled(3, patience)

	// It is frozen with an order in hand.
	frozen := h.leader()
	epoch := h.leaderOf("pod").Epoch
	h.write("fault", "hold")
	h.succeed("pin", "pod", "4")
	h.exists("held-pod-4")
	pid := h.signal(frozen, syscall.SIGSTOP)
	h.await("another leader", func(ctx context.Context) error {
		holder, err := h.fleet.Leader(ctx, "pod")
		if err == nil && holder.Cell == frozen {
			err = fmt.Errorf("it is still %s", frozen)
		}
		return err
	})
	h.remove("fault")
	h.await("the new leader's order", func(ctx context.Context) error {
		record, _, err := h.fleet.Record(ctx, "pod")
		if err == nil && (len(record.Orders) > 0 || record.Count != 4 || record.Epoch <= epoch) {
			err = fmt.Errorf("%+v", record)
		}
		return err
	})
	_, index, err := h.fleet.Record(t.Context(), "pod")
	h.must(err)
	variables, state := h.file("homeostat.auto.tfvars.json"), h.file("terraform.tfstate")

	h.must(syscall.Kill(pid, syscall.SIGCONT))
	h.hears("the lock was lost: deciding and starting nothing more")
	h.settled(4, patience)
	if _, now, err := h.fleet.Record(t.Context(), "pod"); err != nil || now != index {
		t.Errorf("the record was written after the frozen leader went on: index %d, was %d (%v)", now, index, err)
	}
	if h.file("homeostat.auto.tfvars.json") != variables || h.file("terraform.tfstate") != state {
		t.Errorf("variable file or state were written after the frozen leader went on")
	}
	if h.leader() == frozen {
		t.Errorf("%s leads again", frozen)
	}
}
