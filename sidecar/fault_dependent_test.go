package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// dependents are what operators have beside their cells: something that exists
// above a number of them, and lists of all of them. To make one fails while the
// file fault-of-balancer or fault-of-targets is there.
const dependents = `
locals { names = sort(module.cells.names) }
resource "terraform_data" "balancer" {
  count = length(local.names) > 2 ? 1 : 0
  input = [for name in local.names : module.cells.cells[name].port == null ? name : name]
  provisioner "local-exec" { command = "test ! -e '%[1]s/fault-of-balancer'" }
}
resource "terraform_data" "targets" {
  triggers_replace = [for name in local.names : module.cells.cells[name].incarnation]
  input            = local.names
  provisioner "local-exec" { command = "test ! -e '%[1]s/fault-of-targets'" }
}
resource "terraform_data" "zone" { input = local.names }
`

// dependingHouse lays out a house of n cells with such dependents.
func dependingHouse(t *testing.T, n int) *house {
	h := faulty(t, houseOptions{Min: n, Initial: n, Policy: `
  drain { timeout = "0s" }
  birth {
    backoff_min = "500ms"
    backoff_max = "1s"
  }
`})
	h.rewrite("pod/main.tf", func(text string) string {
		return text + fmt.Sprintf(dependents, h.dir)
	})
	h.apply()
	h.settled(n, patience)
	return h
}

// TestDependentsAfterAFailedBirth has one of two births fail: Terraform then
// leaves out what depends on all cells, though more are there than it takes for
// the balancer to exist. The next order makes up for it.
func TestDependentsAfterAFailedBirth(t *testing.T) {
	h := dependingHouse(t, 2)
	h.write("fault-of-pod-4", "exits")
	h.succeed("pin", "pod", "4")
	h.hears("the order was not carried out", "Cell not born")
	h.dependentsAreAsTheCells(4)
	if names := h.record().Names; slices.Contains(names, "pod-4") || !slices.Contains(names, "pod-3") {
		t.Errorf("the cells are %v", names)
	}
}

// TestDependentsAfterADeadLeader kills the leader and its Terraform when one of
// two cells is made: who leads next finds more cells than it takes for the
// balancer to exist, and no balancer. What it takes was learned just before.
func TestDependentsAfterADeadLeader(t *testing.T) {
	h := dependingHouse(t, 1)
	h.succeed("pin", "pod", "2")
	h.settled(2, patience)
	h.write("fault", "")
	h.write("fault-of-pod-4", "hold")
	h.succeed("pin", "pod", "4")
	h.exists("held-pod-4")
	h.await("pod-3 in the state", func(context.Context) error {
		cells, err := h.stateCells()
		if err == nil && len(cells) < 3 {
			err = fmt.Errorf("the state holds %v", cells)
		}
		return err
	})
	leader := h.leaderOf("pod")
	k := kill{house: h, victim: "terraform"}
	terraform := k.awaited()
	h.kill(leader.PID)
	h.kill(terraform)
	h.remove("fault")
	h.dependentsAreAsTheCells(4)
}

// TestDependentsThatFail can't make the list of targets. The cells land all the
// same, and others after them; the list follows when it can.
func TestDependentsThatFail(t *testing.T) {
	h := dependingHouse(t, 2)
	h.write("fault-of-targets", "")
	for _, n := range []int{3, 4} {
		h.succeed("pin", "pod", fmt.Sprint(n))
		h.await(fmt.Sprintf("%d cells", n), func(ctx context.Context) error {
			record, _, err := h.fleet.Record(ctx, "pod")
			if err == nil && (record.Count != n || len(record.Orders) > 0 || len(h.lives()) != n) {
				err = fmt.Errorf("%+v", record)
			}
			return err
		})
	}
	h.hears("what depends on the cells may not be as they are")
	h.reads("what depends on the cells is looked at again at")
	h.remove("fault-of-targets")
	h.dependentsAreAsTheCells(4)
}

// TestDependentsHalfMade leaves the balancer tainted. Orders go on without it,
// and it is made whole when it can be.
func TestDependentsHalfMade(t *testing.T) {
	h := dependingHouse(t, 2)
	h.write("fault-of-balancer", "")
	for _, n := range []int{3, 4, 3} {
		h.succeed("pin", "pod", fmt.Sprint(n))
		h.settled(n, patience)
	}
	h.remove("fault-of-balancer")
	h.dependentsAreAsTheCells(3)
}

// TestDependentsDestroyed has a person destroy one of them. It is theirs to make
// again: orders go on without it, with the other.
func TestDependentsDestroyed(t *testing.T) {
	h := dependingHouse(t, 3)
	if out, code := h.run(h.terraform, "destroy", "-no-color", "-auto-approve", "-lock-timeout=1m", "-target", "terraform_data.zone"); code != 0 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	for _, n := range []int{4, 5} {
		h.succeed("pin", "pod", fmt.Sprint(n))
		h.settled(n, patience)
		names := slices.Sorted(slices.Values(h.record().Names))
		h.await("the others", func(context.Context) error {
			return errors.Join(h.inputIs("balancer", names), h.inputIs("targets", names))
		})
	}
	h.hears("what depends on the cells may not be as they are")
	h.reads("what depends on the cells is looked at again")
	if n := h.instances("zone"); n != 0 {
		t.Errorf("the state holds %d of what a person destroyed", n)
	}
	h.apply()
	h.dependentsAreAsTheCells(5)
}

// TestDependentsFromTheThirdOn has the shape of an order learned at one cell,
// where nothing tells that a balancer comes with the third and changes above.
func TestDependentsFromTheThirdOn(t *testing.T) {
	h := dependingHouse(t, 1)
	for _, n := range []int{2, 3, 4} {
		h.succeed("pin", "pod", fmt.Sprint(n))
		h.dependentsAreAsTheCells(n)
	}
	h.succeed("pin", "pod", "1")
	h.settled(1, patience)
	h.await("the balancer goes", func(context.Context) error {
		if n := h.instances("balancer"); n != 0 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	if lines := h.logLines("the plan was refused"); len(lines) > 0 {
		t.Errorf("refused: %s", lines)
	}
}

// TestDependentsBySingleBeats has nobody lead: each `homeostat apply` is one
// beat, and one after a failure pays what that left.
func TestDependentsBySingleBeats(t *testing.T) {
	h := faulty(t, houseOptions{Module: foreignCount, Policy: `
  members = "state"
  drain { timeout = "0s" }
`})
	h.edit("pod/main.tf", `input = terraform_data.machine[*].id`, fmt.Sprintf(`input            = terraform_data.machine[*].id
  triggers_replace = terraform_data.machine[*].id
  provisioner "local-exec" { command = "test ! -e '%s'" }`, filepath.Join(h.dir, "fault-of-targets")))
	h.apply()
	h.succeed("pin", "pod", "3")
	h.write("fault-of-targets", "")
	if out, code := h.homeostat("apply", "pod"); code != 1 || !strings.Contains(out, "local-exec provisioner error") {
		t.Errorf("exit %d, want 1 and why\n%s", code, out)
	}
	h.counts(3, "machine", "disk")
	if out, code := h.homeostat("plan", "pod"); code != 2 || !strings.Contains(out, "replace terraform_data.targets") {
		t.Errorf("exit %d, want 2 and what is left to do\n%s", code, out)
	}
	h.remove("fault-of-targets")
	if out := h.succeed("apply", "pod"); !strings.Contains(out, "replace terraform_data.targets") {
		t.Errorf("it doesn't say what it changed:\n%s", out)
	}
	if out := h.succeed("plan", "pod"); !strings.Contains(out, "Nothing to do.") {
		t.Errorf("something is left to do:\n%s", out)
	}
}

// record is the service's record.
func (h *house) record() fleet.Record {
	h.t.Helper()
	r, _, err := h.fleet.Record(h.t.Context(), "pod")
	h.must(err)
	return *r
}

// dependentsAreAsTheCells waits until n cells are what everything agrees on, and
// what depends on them says the same.
func (h *house) dependentsAreAsTheCells(n int) {
	h.t.Helper()
	h.settled(n, patience)
	names := slices.Sorted(slices.Values(h.record().Names))
	h.await("what depends on the cells", func(context.Context) error {
		var balancer error
		if n > 2 {
			balancer = h.inputIs("balancer", names)
		}
		return errors.Join(balancer, h.inputIs("targets", names), h.inputIs("zone", names))
	})
}

// inputIs returns an error unless the state holds one whole resource of that
// name, with that input.
func (h *house) inputIs(resource string, want []string) error {
	b, err := os.ReadFile(filepath.Join(h.module(), "terraform.tfstate"))
	if err != nil {
		return err
	}
	var state struct {
		Resources []struct {
			Name      string
			Instances []struct {
				Status     string
				Attributes struct{ Input struct{ Value []string } }
			}
		}
	}
	if err := json.Unmarshal(b, &state); err != nil {
		return err // it is just being written
	}
	for _, r := range state.Resources {
		if r.Name == resource && len(r.Instances) == 1 && r.Instances[0].Status == "" && slices.Equal(r.Instances[0].Attributes.Input.Value, want) {
			return nil
		}
	}
	return fmt.Errorf("%s isn't of %v: %+v", resource, want, state.Resources)
}
