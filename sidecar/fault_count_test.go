package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// foreignCount is somebody else's root module: two resources a cell, a count,
// and something that isn't a cell.
const foreignCount = `
variable "desired_count" {
  type    = number
  default = 1
}
resource "terraform_data" "disk" {
  count = var.desired_count
}
resource "terraform_data" "machine" {
  count            = var.desired_count
  input            = terraform_data.disk[count.index].id
}
resource "terraform_data" "targets" {
  input = terraform_data.machine[*].id
}
`

// TestForeignCount scales a bare count of somebody else's, whose cells can't
// register: those that the state holds count, and the highest index leaves.
func TestForeignCount(t *testing.T) {
	h := faulty(t, houseOptions{Module: foreignCount, Policy: `
  members = "state"
  drain { timeout = "0s" }
`})
	h.apply()
	h.alone()
	h.hears("no record in Consul: made from Terraform's state", "count=1")
	for _, n := range []int{4, 2, 3} {
		h.succeed("pin", "pod", fmt.Sprint(n))
		h.counts(n, "machine", "disk")
	}
	if targets := h.instances("targets"); targets != 1 {
		t.Errorf("the state holds %d of what is no cell", targets)
	}
	h.reads("3 cells ordered, 3 ready")

	// A person destroys one, and with it what depends on it and is no cell: that
	// isn't ours to make, which is told.
	if out, code := h.run(h.terraform, "destroy", "-no-color", "-auto-approve", "-target", "terraform_data.machine[1]"); code != 0 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	h.succeed("pin", "pod", "4")
	h.counts(4, "machine", "disk")
	h.reads("what depends on the cells is looked at again", "terraform_data.targets: create")
	if targets := h.instances("targets"); targets != 0 {
		t.Errorf("the state holds %d of what a person destroyed", targets)
	}
}

// counts waits until record and state hold n cells, each whole, and no order is
// left.
func (h *house) counts(n int, resources ...string) {
	h.t.Helper()
	h.await(fmt.Sprintf("%d cells by count", n), func(ctx context.Context) error {
		record, _, err := h.fleet.Record(ctx, "pod")
		if err != nil {
			return err
		}
		if record.Count != n || len(record.Orders) > 0 {
			return fmt.Errorf("record: %d cells, orders %+v", record.Count, record.Orders)
		}
		for _, resource := range resources {
			if held := h.instances(resource); held != n {
				return fmt.Errorf("the state holds %d of %s", held, resource)
			}
		}
		return nil
	})
}

// instances is how many of a resource the state file holds.
func (h *house) instances(name string) int {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.module(), "terraform.tfstate"))
	h.must(err)
	var state struct {
		Resources []struct {
			Name      string
			Instances []struct{}
		}
	}
	if json.Unmarshal(b, &state) != nil {
		return -1 // it is just being written
	}
	n := 0
	for _, r := range state.Resources {
		if r.Name == name {
			n += len(r.Instances)
		}
	}
	return n
}

// countedCells are cells of ours under a bare count.
const countedCells = `
terraform {
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
  }
}
provider "homeostat" {
  consul          = { address = %q }
  state_directory = %q
}
variable "desired_count" {
  type    = number
  default = 1
}
resource "homeostat_cell" "cell" {
  count    = var.desired_count
  service  = "pod"
  name     = "pod-${count.index}"
  process  = { command = ["sh", %q] }
  timeouts = { create = "30s", delete = "30s" }
}
`

// TestLeadersOwnCellGoes lets the count fall so that the leader's own cell,
// which has the highest index, is the one to go: it hands the lock over first.
func TestLeadersOwnCellGoes(t *testing.T) {
	h := faulty(t, houseOptions{Module: "# written below\n", Policy: `drain { timeout = "0s" }`})
	h.write("pod/main.tf", fmt.Sprintf(countedCells, h.consul.Addr(), filepath.Join(h.dir, "cells"), filepath.Join(h.dir, "cell.sh")))
	h.apply()
	h.counts(1, "cell")
	h.succeed("pin", "pod", "2")
	h.counts(2, "cell")

	// The lower one dies and is made again under its index; the higher leads.
	first := h.lives()["pod-0"]
	h.killCell("pod-0")
	h.await("pod-1 leads and pod-0 lives again", func(ctx context.Context) error {
		holder, err := h.fleet.Leader(ctx, "pod")
		if err == nil && (holder.Cell != "pod-1" || h.lives()["pod-0"] == "" || h.lives()["pod-0"] == first) {
			err = fmt.Errorf("%s leads, passing %v", holder.Cell, h.lives())
		}
		return err
	})
	h.counts(2, "cell")

	h.succeed("pin", "pod", "1")
	h.hears("no longer leading", "its own cell pod-1 is the one to go")
	h.counts(1, "cell")
	h.await("pod-0 alone, leading", func(ctx context.Context) error {
		holder, err := h.fleet.Leader(ctx, "pod")
		if err == nil && (holder.Cell != "pod-0" || len(h.processes()) != 1) {
			err = fmt.Errorf("%s leads %v", holder.Cell, h.processes())
		}
		return err
	})
}

// TestCellsByTheStateAlone kills a cell whose health nobody may judge: the next
// plan's refresh misses it, which is proof enough to make it anew.
func TestCellsByTheStateAlone(t *testing.T) {
	h := faulty(t, houseOptions{Module: "# written below\n", Policy: `
  members = "state"
  drain { timeout = "0s" }
`})
	h.write("pod/main.tf", fmt.Sprintf(countedCells, h.consul.Addr(), filepath.Join(h.dir, "cells"), filepath.Join(h.dir, "cell.sh")))
	h.apply()
	h.succeed("pin", "pod", "3")
	h.counts(3, "cell")
	first := h.lives()
	victim := h.followers()[0]
	h.killCell(victim)
	h.succeed("pin", "pod", "4")
	h.counts(4, "cell")
	h.await("four cells live, one of them anew", func(context.Context) error {
		if now := h.lives(); len(now) != 4 || now[victim] == first[victim] {
			return fmt.Errorf("passing %v, before %v", now, first)
		}
		return nil
	})
}

// TestLeadersOwnCellIsUnwell has the only cell's application fail for good while
// its sidecar leads. Nobody else can lead, so the newcomer is born first; then
// the leader hands over, and the newcomer takes its cell away.
func TestLeadersOwnCellIsUnwell(t *testing.T) {
	h := faulty(t, houseOptions{Command: faultyApplication, Policy: `
  drain { timeout = "0s" }
  replace { after = "2s" }
`})
	h.apply()
	h.settled(1, patience)
	h.failApplication("pod-1", h.lives()["pod-1"])
	h.hears("cell is dead", "cell=pod-1", "its own sidecar says the same")
	h.hears("no longer leading", "its own cell pod-1 is the one to go")
	h.settled(1, patience)
	if lives := h.lives(); lives["pod-2"] == "" {
		t.Errorf("passing: %v, want pod-2", lives)
	}
	if _, err := h.fleet.Member(t.Context(), "pod", "pod-1"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("pod-1 is still registered: %v", err)
	}
}

// faultyApplication is one that can be made to fail for good.
var faultyApplication = []string{"sh", "-c", `'test "$HOMEOSTAT_INCARNATION" != "$(cat "$OUTBREAK" 2>/dev/null)" || exit 7; exec sleep 100000'`}

// failApplication has the application of a cell's life end, each time it begins.
func (h *house) failApplication(cell, incarnation string) {
	h.t.Helper()
	h.write("outbreak", incarnation)
	for _, p := range h.marked() {
		if p.Cell == cell && p.Command[0] == "sleep" {
			h.kill(p.PID)
		}
	}
}
