package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// movable is a house whose root module and all that it calls lie in its folder, so
// that they can be led from elsewhere too.
func movable(t *testing.T) *house {
	t.Helper()
	o := publishing
	o.Min, o.Max = 3, 6
	h := faulty(t, o)
	root, err := testkit.Root()
	h.must(err)
	h.must(os.CopyFS(filepath.Join(h.dir, "modules", "local-cells"), os.DirFS(filepath.Join(root, "modules", "local-cells"))))
	h.edit("pod/main.tf", fmt.Sprintf("%q", filepath.Join(root, "modules", "local-cells")), `"../modules/local-cells"`)
	return h
}

// hup has all sidecars of cells read their policy again.
func (h *house) hup() {
	h.t.Helper()
	for _, cell := range h.processes() {
		h.signal(cell, syscall.SIGHUP)
	}
}

// Two bundles, old and new, lie beside different sidecars: all go by the one that
// is published, and what merely lies there counts for nothing.
func TestTwoBundles(t *testing.T) {
	h := movable(t)
	h.state = filepath.Join(h.dir, "pod.tfstate")
	h.edit("pod/main.tf", "terraform {", fmt.Sprintf("terraform {\n  backend \"local\" {\n    path = %q\n  }", h.state))
	h.apply()
	h.settled(3, time.Minute)
	for _, name := range []string{"pod/main.tf", "pod/.terraform.lock.hcl", "homeostat.hcl", "pod.genome.hcl", "modules/local-cells/main.tf"} {
		b, err := os.ReadFile(filepath.Join(h.dir, name))
		if !os.IsNotExist(err) || !strings.HasSuffix(name, "genome.hcl") && !strings.HasSuffix(name, "lock.hcl") {
			h.must(err)
			h.write("old/"+name, string(b))
		}
	}
	h.edit("old/homeostat.hcl", `bundle = "bundles"`, `bundle = "../bundles"`)
	h.edit("old/homeostat.hcl", "min  = 3", "min  = 1")
	h.renewed(h.publish("one"))

	// A policy that isn't published isn't led by, though the sidecars read it.
	h.edit("homeostat.hcl", "min  = 3", "min  = 5")
	h.hup()
	h.hears("leading from what the store holds", "differs=homeostat.hcl")
	h.succeed("pin", "pod", "4") // somebody leads
	h.settled(4, time.Minute)
	h.succeed("unpin", "pod")
	h.publish("one") // nobody need tell the sidecars
	h.settled(5, time.Minute)

	// Only the one with the old files is left.
	h.aloneWith(filepath.Join(h.dir, "old", "homeostat.hcl"))
	h.await("old files", func(context.Context) error { return h.logged("alone-pod.log", "leading from what the store holds") })
	for _, cell := range h.processes() {
		h.killCell(cell)
	}
	h.await("a leader alone", func(ctx context.Context) error {
		holder, err := h.fleet.Leader(ctx, "pod")
		if err == nil && holder.Cell != "" {
			err = fmt.Errorf("%s leads", holder.Cell)
		}
		return err
	})
	h.settled(5, 2*time.Minute)
	p, err := h.fleet.Published(t.Context(), "pod")
	h.must(err)
	h.exists(filepath.Join("old/pod/.terraform/homeostat/bundles/bundle", p.Bundle, "pod/homeostat.auto.tfvars.json"))
	if _, err := os.Stat(filepath.Join(h.dir, "old/pod/homeostat.auto.tfvars.json")); !os.IsNotExist(err) {
		t.Errorf("it was led from the old files: %v", err)
	}
	h.edit("homeostat.hcl", "min  = 5", "min  = 6")
	h.publish("one")
	h.settled(6, time.Minute)
	h.succeed("pause")
	h.destroy()
}

// logged returns an error unless a log holds a text.
func (h *house) logged(name, text string) error {
	b, err := os.ReadFile(filepath.Join(h.dir, name))
	if err == nil && !strings.Contains(string(b), text) {
		err = fmt.Errorf("%s doesn't say %q", name, text)
	}
	return err
}

// Where the state lies beside the root module, a leader can't go elsewhere: it
// stands for the lock when what is published lies there again, or what lies there
// is published.
func TestUnpublishedWhereTheStateIs(t *testing.T) {
	h := movable(t)
	h.apply()
	h.settled(3, time.Minute)
	h.renewed(h.publish("one"))
	lives := h.lives()
	undo := h.edit("pod/main.tf", "terraform {", "# not published\nterraform {")
	h.hup()
	h.hears("not standing for the lock; trying again", "pod/main.tf", "its state is kept there", "run homeostat publish pod there, or put the published files back")
	h.await("nobody leads", func(ctx context.Context) error {
		if holder, err := h.fleet.Leader(ctx, "pod"); err == nil {
			return fmt.Errorf("%s leads", holder.Cell)
		}
		return nil
	})
	undo()
	h.succeed("pin", "pod", "4")
	h.settled(4, time.Minute)
	h.edit("pod/main.tf", "terraform {", "# published\nterraform {")
	h.publish("one")
	h.succeed("pin", "pod", "5")
	h.settled(5, time.Minute)
	for name, life := range lives {
		if now := h.lives()[name]; now != life {
			t.Errorf("%s was %s and is %s", name, life, now)
		}
	}
	h.succeed("pause")
	h.destroy()
}
