package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTerraformFails breaks the root module, has Terraform hang, and kills it in
// the middle of an apply. Each is told, in the log and in `status`, and mended
// without help when its cause is gone.
func TestTerraformFails(t *testing.T) {
	h := faulty(t, houseOptions{})
	h.write("terraform", fmt.Sprintf("#!/bin/sh\n[ \"$1\" = plan ] && [ -e '%s/hang' ] && exec sleep 600\nexec '%s' \"$@\"\n", h.dir, h.terraform))
	h.run("chmod", "+x", filepath.Join(h.dir, "terraform"))
	h.edit("homeostat.hcl", `lock_timeout = "2s"`, fmt.Sprintf("lock_timeout = \"2s\"\n    timeout      = \"45s\"\n    binary       = %q", filepath.Join(h.dir, "terraform")))
	h.apply()
	h.settled(1, patience)

	mend := h.edit("pod/main.tf", `module "cells" {`, `module "cells" {{`)
	h.succeed("pin", "pod", "2")
	h.hears("the order was not carried out", "read the root module", "main.tf:")
	h.reads("trouble", "read the root module", "main.tf:")
	mend()
	h.settled(2, patience)

	h.write("hang", "")
	h.succeed("pin", "pod", "3")
	h.hears("the order was not carried out", "terraform ran longer than its time limit")
	h.reads("trouble", "terraform ran longer than its time limit")
	h.remove("hang")
	h.settled(3, patience)

	h.write("fault", "hold")
	h.succeed("pin", "pod", "4")
	newborn := h.newborn()
	born := h.pidOf(newborn)
	terraform := kill{house: h, victim: "terraform"}
	h.kill(terraform.awaited())
	h.hears("the order was not carried out", "killed by a signal")
	h.remove("fault")
	h.settled(4, patience)
	if now := h.sidecar(newborn); now != born {
		t.Errorf("%s is process %d, was %d: it was born twice", newborn, now, born)
	}
}

// TestVariableFile has a person write into the variable file, take it away, and
// set the count in a file that Terraform loads after ours.
func TestVariableFile(t *testing.T) {
	const ours = "homeostat.auto.tfvars.json"
	h := faulty(t, houseOptions{})
	h.apply()
	h.settled(1, patience)
	h.succeed("pin", "pod", "2")
	h.settled(2, patience)
	before, lives := h.file(ours), h.lives()
	putBack := func() {
		h.await("the variable file put back", func(context.Context) error {
			if now := h.file(ours); now != before {
				return errors.New(now)
			}
			return nil
		})
	}
	h.write("pod/"+ours, `{"desired_count": 1, "cell_names": ["pod-1"]}`)
	h.hears("the variable file didn't say what the record says: put right", "count=2")
	putBack()
	h.remove("pod/" + ours)
	putBack()

	h.write("pod/prod.auto.tfvars", "desired_count = 1\n")
	out, code := h.homeostat("validate")
	if code != exitError || !strings.Contains(out, "also sets desired_count") {
		t.Errorf("validate: exit %d\n%s", code, out)
	}
	out, code = h.run(h.terraform, "apply", "-no-color", "-auto-approve")
	if code == 0 || !strings.Contains(out, "desired_count and cell_names disagree") {
		t.Errorf("a person's apply beside prod.auto.tfvars: exit %d\n%s", code, out)
	}
	h.settled(2, patience)
	h.sameLives(lives)
	h.succeed("pin", "pod", "3")
	h.settled(3, patience)
}

// TestPersonApplies has a person apply while orders run, and from a second clone
// of the root module without the variable file: nothing comes of it. A lock that
// a person holds is told of and waited for, and a cell that a person destroys is
// replaced.
func TestPersonApplies(t *testing.T) {
	h := faulty(t, houseOptions{})
	h.rewrite("pod/main.tf", func(text string) string {
		return fmt.Sprintf("terraform {\n  backend \"local\" {\n    path = %q\n  }\n}\n", filepath.Join(h.module(), "terraform.tfstate")) + text
	})
	h.write("clone/main.tf", h.file("main.tf"))
	h.apply()
	h.settled(1, patience)
	h.applyIn("clone")

	for _, n := range []string{"4", "2"} {
		h.succeed("pin", "pod", n)
		for range 3 {
			out, code := h.run(h.terraform, "-chdir="+h.dir+"/clone", "apply", "-no-color", "-auto-approve", "-lock-timeout=30s")
			t.Logf("a person's apply beside the order for %s cells: exit %d: %s", n, code, summary(out))
		}
		h.settled(int(n[0]-'0'), patience)
	}
	lives := h.lives()
	out, code := h.run(h.terraform, "-chdir="+h.dir+"/clone", "apply", "-no-color", "-auto-approve")
	if code != 0 || !strings.Contains(out, "No changes.") {
		t.Errorf("a person's apply from the clone: exit %d\n%s", code, out)
	}
	h.settled(2, patience)
	h.sameLives(lives)

	answer := h.asksToDestroy()
	h.succeed("pin", "pod", "3")
	h.hears("Terraform's state is locked", "it is left alone", "so a person or a pipeline holds it")
	h.reads("trouble", "the state is locked by", "a person or a pipeline holds it")
	answer("no")
	h.settled(3, patience)

	victim := h.followers()[0]
	if out, code := h.run(h.terraform, "destroy", "-no-color", "-auto-approve", "-target", fmt.Sprintf("module.cells.homeostat_cell.cell[%q]", victim)); code != 0 {
		t.Fatalf("destroy %s: exit %d\n%s", victim, code, out)
	}
	h.hears("cell is dead", "cell="+victim, "removed by an apply that was no order of ours")
	h.settled(3, patience)
}

// summary is the line of Terraform's output that says what it did.
func summary(out string) string {
	for line := range strings.Lines(out) {
		if strings.Contains(line, "Apply complete!") || strings.HasPrefix(line, "Error: ") {
			return strings.TrimSpace(line)
		}
	}
	return strings.TrimSpace(out)
}

// TestForeignChanges changes the root module outside the cells and in them. What
// lies outside is told of and left alone while the scaling goes on; what would
// change living cells is refused, with address and action.
func TestForeignChanges(t *testing.T) {
	h := faulty(t, houseOptions{})
	other := "resource \"terraform_data\" \"other\" {\n  input = \"kept\"\n}\n"
	h.rewrite("pod/main.tf", func(text string) string { return text + other })
	h.apply()
	h.settled(1, patience)

	h.rewrite("pod/main.tf", func(text string) string { return strings.Replace(text, other, "", 1) })
	h.succeed("pin", "pod", "2")
	h.hears("drift outside the cells, left alone", "address=terraform_data.other", "action=delete")
	h.settled(2, patience)
	h.reads("drift", "terraform_data.other: delete")
	if out, _ := h.run(h.terraform, "state", "list"); !strings.Contains(out, "terraform_data.other") {
		t.Errorf("it was destroyed:\n%s", out)
	}

	lives := h.lives()
	mend := h.edit("pod/main.tf", "  timeouts ", "  drain = { grace = \"7s\" }\n  timeouts ")
	h.succeed("pin", "pod", "3")
	h.hears("the plan was refused", `module.cells.homeostat_cell.cell[\"pod-1\"]`, "action=update")
	h.reads("trouble", `module.cells.homeostat_cell.cell["pod-1"]: update`)
	h.sameLives(lives)
	mend()
	h.settled(3, patience)
}

// asksToDestroy has a person run terraform destroy, which holds the state's lock
// while it waits for an answer.
func (h *house) asksToDestroy() (answer func(string)) {
	h.t.Helper()
	person := h.prompt("destroy", "-no-color")
	h.await("Terraform doesn't ask", func(context.Context) error {
		if !strings.Contains(person.said(), "Enter a value:") {
			return errors.New(person.said())
		}
		return nil
	})
	return func(text string) {
		h.t.Helper()
		person.answer(text)
		select {
		case <-person.ended:
		case <-time.After(patience):
			h.t.Fatalf("terraform destroy goes on after %q:\n%s", text, person.said())
		}
	}
}
