package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestOnlyCellDies kills the only cell of a service, its sidecar with it: the
// sidecar of another service takes the lock as a guest, has a cell born and
// gives the lock back. Then every cell of that service dies at once.
func TestOnlyCellDies(t *testing.T) {
	h := faulty(t, houseOptions{Policy: `drain { timeout = "0s" }`})
	h.second("aux")
	h.apply()
	h.settled(1, patience)
	h.applyIn("aux")
	h.leaderOf("aux")
	h.mended(1, "pod-1")

	h.killCell("pod-1")
	h.hears("leading", "service=pod", "guest=true")
	h.hears("cell is dead", "service=pod", "cell=pod-1", "its process is gone")
	h.mended(1, "pod-2")
	h.hears("no longer leading", "service=pod", "a sidecar of pod is back")

	h.succeed("pin", "pod", "3")
	h.mended(3)
	for _, cell := range h.cellsOf("pod") {
		h.killCell(cell)
	}
	h.mended(3)
	h.await("pod isn't led by one of its own cells", h.ledByItself)
}

// dataPolicy is of a service whose cells keep their names and their data.
const dataPolicy = `
  holds_data = true
  replace { after = "2s" }
  birth {
    backoff_min = "500ms"
    backoff_max = "5s"
  }
`

// twoHouses lays out pod with one cell, which may be no more, and aux, whose
// sidecar is the guest.
func twoHouses(t *testing.T, o houseOptions) *house {
	t.Helper()
	o.Max = 1
	h := faulty(t, o)
	h.second("aux")
	h.apply()
	h.settled(1, patience)
	h.applyIn("aux")
	h.await("no record of aux, which a guest needs", func(ctx context.Context) error {
		_, _, err := h.fleet.Record(ctx, "aux")
		return err
	})
	h.mended(1, "pod-1")
	return h
}

// TestReplacementCutBeforeItIsNoted kills the guest that made the only cell of a
// service anew, after Terraform has ended and before the record says so. The
// newborn leads, finds the order, and stays as it is.
func TestReplacementCutBeforeItIsNoted(t *testing.T) {
	h := twoHouses(t, houseOptions{Policy: dataPolicy})
	h.write("fault", "hold")
	h.killCell("pod-1")
	h.exists("held-pod-1")
	h.signal("aux-1", syscall.SIGSTOP)
	h.remove("fault")
	h.await("the newborn passes and Terraform has ended", func(context.Context) error {
		terraform := kill{house: h, victim: "terraform"}
		if lives, pid := h.lives(), terraform.find(); lives["pod-1"] == "" || pid != 0 {
			return fmt.Errorf("passing %v, Terraform is process %d", lives, pid)
		}
		return nil
	})
	newborn := h.lives()
	record, _, err := h.fleet.Record(t.Context(), "pod")
	h.must(err)
	if len(record.Orders) != 1 || len(record.Orders[0].Replace) != 1 {
		t.Log("the newborn has closed the order already, since its birth took longer than the guest's session")
	}
	h.killCell("aux-1")
	h.mended(1, "pod-1")
	h.await("pod is led by its own cell", h.ledByItself)
	h.sameLives(newborn)
}

// TestOnlyCellHangs has the application of the only cell fail for good, while
// its sidecar leads and no second cell may be born. It leaves the lock to a
// guest, which makes the cell anew.
func TestOnlyCellHangs(t *testing.T) {
	h := twoHouses(t, houseOptions{Command: faultyApplication, Policy: dataPolicy})
	before := h.lives()["pod-1"]
	h.failApplication("pod-1", before)
	h.hears("no longer leading", "its own cell pod-1 is the one to go")
	h.hears("leading", "service=pod", "guest=true")
	h.mended(1, "pod-1")
	h.await("pod is led by its own cell", h.ledByItself)
	if now := h.lives()["pod-1"]; now == before || now == "" {
		t.Errorf("pod-1 lives as %q, did as %q", now, before)
	}
}

// TestGuestAtRestYields has a guest lead that does nothing: paused by a file, or
// with a root module that it can't read. When a person has made the cell anew,
// the guest gives the lock to its sidecar.
func TestGuestAtRestYields(t *testing.T) {
	t.Parallel()
	for name, rest := range map[string]func(*house){
		"paused":    func(h *house) { h.write("homeostat.paused", "") },
		"not ready": func(h *house) { h.write("nowhere/main.tf", "this is no module"); h.restartGuest() },
	} {
		t.Run(name, func(t *testing.T) {
			h := twoHouses(t, houseOptions{Policy: `drain { timeout = "0s" }`})
			rest(h)
			h.killCell("pod-1")
			h.await("the guest leads", func(ctx context.Context) error {
				leader, err := h.fleet.Leader(ctx, "pod")
				if err == nil && leader.Service != "aux" {
					err = errors.New("it is led by " + leader.String())
				}
				return err
			})
			h.apply()
			h.await("pod is led by its own cell", h.ledByItself)
			h.hears("no longer leading", "service=pod", "a sidecar of pod is back")
			if orders := h.logLines("order placed", "service=pod"); len(orders) > 0 {
				t.Errorf("ordered by one that was to rest: %v", orders)
			}
		})
	}
}

// restartGuest gives the guest's sidecar a policy by which pod's root module is
// the one in nowhere.
func (h *house) restartGuest() {
	h.t.Helper()
	h.write("policy-of-aux-2", h.policyText(`"pod"
    lock`, `"nowhere"
    lock`))
	h.killCell("aux-1")
	h.await("aux-2", func(ctx context.Context) error {
		_, err := h.fleet.Member(ctx, "aux", "aux-2")
		return err
	})
}

// ledByItself returns an error unless a cell of pod leads pod.
func (h *house) ledByItself(ctx context.Context) error {
	leader, err := h.fleet.Leader(ctx, "pod")
	if err == nil && leader.Service != "pod" {
		err = errors.New("it is led by " + leader.String())
	}
	return err
}

// second adds a service beside pod, with a root module and a state of its own.
func (h *house) second(name string) {
	h.t.Helper()
	h.write(name+"/main.tf", strings.ReplaceAll(h.file("main.tf"), `service       = "pod"`, fmt.Sprintf("service       = %q", name)))
	h.rewrite("homeostat.hcl", func(text string) string {
		service := text[strings.Index(text, `service "pod"`):]
		return text + strings.NewReplacer(`service "pod"`, fmt.Sprintf("service %q", name), `= "pod"`, fmt.Sprintf("= %q", name)).Replace(service)
	})
}

// applyIn is a person's apply in another root module.
func (h *house) applyIn(dir string) {
	h.t.Helper()
	for _, command := range [][]string{{"init", "-no-color"}, {"apply", "-no-color", "-auto-approve"}} {
		if out, code := h.run(h.terraform, append([]string{"-chdir=" + h.dir + "/" + dir}, command...)...); code != 0 {
			h.t.Fatalf("terraform %v in %s: exit %d\n%s", command, dir, code, out)
		}
	}
}

// cellsOf are the running cells of one service.
func (h *house) cellsOf(service string) []string {
	return slices.DeleteFunc(h.processes(), func(name string) bool { return !strings.HasPrefix(name, service+"-") })
}

// mended waits until pod has n passing cells that run and are all that the
// record and Consul know, those named among them, where another service's cells
// run beside them.
func (h *house) mended(n int, names ...string) {
	h.t.Helper()
	h.await(fmt.Sprintf("%d cells of pod", n), func(ctx context.Context) error {
		record, _, err := h.fleet.Record(ctx, "pod")
		if err != nil {
			return err
		}
		running, lives := h.cellsOf("pod"), h.lives()
		for _, name := range record.Names {
			if !slices.Contains(running, name) || lives[name] == "" {
				return fmt.Errorf("%s of the record: running %v, passing %v", name, running, lives)
			}
		}
		for _, name := range names {
			if !slices.Contains(record.Names, name) {
				return fmt.Errorf("%s is not in the record: %v", name, record.Names)
			}
		}
		if len(record.Orders) > 0 || len(record.Names) != n || len(running) != n || len(lives) != n {
			return fmt.Errorf("record %v, orders %+v, running %v, passing %v", record.Names, record.Orders, running, lives)
		}
		return nil
	})
}
