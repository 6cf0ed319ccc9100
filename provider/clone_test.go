package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// orders puts an order into the record that web-1 be born as the incarnation,
// which must be the test's own: processes are told apart by it.
func (r *rig) orders(incarnation string) {
	r.t.Helper()
	r.record(fleet.Record{Count: 1, Names: []string{"web-1"}, Next: 2, Orders: []fleet.Order{{
		ID: "1-1", Add: []fleet.Newborn{{Name: "web-1", Incarnation: incarnation, Generation: 1}},
	}}})
}

// refused fails the test unless an apply is, for that reason, and leaves the
// state without a cell.
func (c *cli) refused(want string) {
	c.t.Helper()
	out, code := c.terraform("apply", "-auto-approve")
	if code == 0 || !spaced(want).MatchString(out) {
		c.t.Errorf("the apply ends with %d and doesn't say %q:\n%s", code, want, out)
	}
	if out, code := c.terraform("state", "list"); code == 0 && strings.TrimSpace(out) != "" {
		c.t.Errorf("the state has %q", out)
	}
}

// lost takes away the state, as if Terraform had been killed before it wrote it.
func (c *cli) lost() {
	c.t.Helper()
	if err := os.Remove(filepath.Join(c.root, "terraform.tfstate")); err != nil {
		c.t.Fatal(err)
	}
}

// untouched fails the test unless exactly these processes run.
func (c *cli) untouched(want []int) {
	c.t.Helper()
	if got := c.processes(); !slices.Equal(got, want) {
		c.t.Errorf("processes %v, want %v", got, want)
	}
}

func (c *cli) destroyAll() {
	c.t.Helper()
	c.must("destroy", "-auto-approve")
	if err := c.nothingLeft(nil); err != nil {
		c.t.Error(err)
	}
}

// A second clone, with a state of its own, leaves the first one's cell alone,
// even before anything has read the cell.
func TestCloneLeavesLivingCell(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]string{"other attributes": "well otherwise", "the same attributes": "well"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			a, b := newCLI(t, r), newCLI(t, r)
			a.write(r.cell("well"))
			a.must("apply", "-auto-approve")
			begun := r.processes()
			b.write(r.cell(kind))
			b.refused("belongs to a Terraform state: apply where that state is, or give this one another name; if no state holds it, import it with 'terraform import ADDRESS " + r.service + "/web-1'")
			b.untouched(begun)
			b.must("destroy", "-auto-approve")
			b.untouched(begun)
			a.must("plan", "-detailed-exitcode")
			b.refused("belongs to a Terraform state")
			a.untouched(begun)
			a.destroyAll()
		})
	}
}

// Whether a state was written isn't told to the provider, so a person whose
// Terraform was killed just then says by an import that the cell is theirs.
func TestCloneImportsAfterCut(t *testing.T) {
	c := newCLI(t, newRig(t))
	c.write(c.cell("well"))
	c.must("apply", "-auto-approve")
	begun := c.processes()
	c.lost()
	c.refused("if no state holds it, import it with")
	c.must("import", cellAddress, c.service+"/web-1")
	c.must("plan", "-detailed-exitcode")
	c.untouched(begun)
	c.destroyAll()
}

// An order takes up the very life that it names, and no other that lives.
func TestCloneByOrder(t *testing.T) {
	t.Parallel()
	t.Run("the same life", func(t *testing.T) {
		c := newCLI(t, newRig(t))
		c.orders("01samea")
		c.write(c.cell("well"))
		c.must("apply", "-auto-approve")
		begun := c.processes()
		c.lost()
		c.must("apply", "-auto-approve")
		c.must("plan", "-detailed-exitcode")
		c.untouched(begun)
		c.destroyAll()
	})
	t.Run("the same life with other attributes", func(t *testing.T) {
		r := newRig(t)
		a, b := newCLI(t, r), newCLI(t, r)
		a.orders("01othera")
		a.write(a.cell("well"))
		a.must("apply", "-auto-approve")
		begun := a.processes()
		b.write(b.cell("well otherwise"))
		b.refused("as the leader's order names it, but with another command, environment or directory than these")
		b.untouched(begun)
		a.destroyAll()
	})
	t.Run("another life while the old one lives", func(t *testing.T) {
		r := newRig(t)
		a, b := newCLI(t, r), newCLI(t, r)
		a.orders("01livesa")
		a.write(a.cell("well"))
		a.must("apply", "-auto-approve")
		begun := a.processes()
		b.orders("01livesb")
		b.write(b.cell("well"))
		b.refused("it runs already on this host as web-1.01livesa, since")
		b.refused("and the leader's order names web-1.01livesb: end the one that runs with the state that holds it")
		b.untouched(begun)
		a.must("plan", "-detailed-exitcode")
		a.destroyAll()
	})
	t.Run("another life after the old one's sidecar died", func(t *testing.T) {
		c := newCLI(t, newRig(t))
		c.orders("01dieda")
		c.write(c.cell("well heir", `drain = { grace = "1s" }`))
		c.must("apply", "-auto-approve")
		await(t, "two processes", func() bool { return len(c.said()) == 2 })
		old := c.said()
		kill(t, old[0])
		await(t, "the end of the sidecar", func() bool { return !alive(old[0]) })
		c.lost()
		c.orders("01diedb")
		c.must("apply", "-auto-approve")
		if m := c.member("web-1"); m == nil || m.Incarnation != "01diedb" {
			t.Errorf("registered as %+v, want 01diedb", m)
		}
		for _, pid := range old {
			if alive(pid) {
				t.Errorf("process %d of the old life is left", pid)
			}
		}
		c.destroyAll()
	})
}

// What outlived its sidecar may still serve: a person's apply doesn't end it.
func TestCloneLeavesOrphans(t *testing.T) {
	r := newRig(t)
	a, b := newCLI(t, r), newCLI(t, r)
	a.write(a.cell("well heir", `drain = { grace = "1s" }`))
	a.must("apply", "-auto-approve")
	await(t, "two processes", func() bool { return len(a.said()) == 2 })
	all := a.said()
	kill(t, all[0])
	await(t, "the end of the sidecar", func() bool { return !alive(all[0]) })
	b.write(b.cell("well"))
	b.refused("belongs to a Terraform state")
	for _, pid := range all[1:] {
		if !alive(pid) {
			t.Errorf("process %d was ended", pid)
		}
	}
	a.destroyAll()
}
