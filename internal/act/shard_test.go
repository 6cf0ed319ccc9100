package act

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// spreadable has checks, whose results Terraform gives in another order each time.
const spreadable = `
check "one" {
  assert {
    condition     = length(var.cell_names) < 1000
    error_message = "There are too many."
  }
}
check "two" {
  assert {
    condition     = length(var.cell_names) < 2000
    error_message = "There are too many."
  }
}
check "three" {
  assert {
    condition     = length(var.cell_names) < 3000
    error_message = "There are too many."
  }
}
check "four" {
  assert {
    condition     = length(var.cell_names) < 4000
    error_message = "There are too many."
  }
}
check "five" {
  assert {
    condition     = length(var.cell_names) < 5000
    error_message = "There are too many."
  }
}
variable "desired_count" { type = number }
variable "cell_names" { type = list(string) }
module "cells" {
  source   = "./cell"
  for_each = toset(var.cell_names)
  name     = each.key
}
`

const spreadableCell = `
variable "name" { type = string }
resource "terraform_data" "disk" { input = var.name }
resource "terraform_data" "machine" {
  count = 2
  input = terraform_data.disk.id
}
`

// spreadModule is a module of cells that are modules themselves.
func spreadModule(t *testing.T, more string) *module {
	t.Helper()
	return write(t, map[string]string{"main.tf": spreadable + more, "cell/main.tf": spreadableCell})
}

// shard opens a shard or fails the test.
func shard(t *testing.T, r *Root, n int, there bool) *Root {
	t.Helper()
	s, err := r.Shard(t.Context(), n, there, 1)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestShards has a root module work in three workspaces, each with cells of its own,
// and finds them again.
func TestShards(t *testing.T) {
	m := spreadModule(t, "")
	r := m.open()
	shape := learn(t, r, names())
	carryOut(t, r, names("pod-1"), guard.Order{Add: keys("pod-1")}, shape)
	for n, name := range map[int]string{1: "pod-2", 7: "pod-3"} {
		s := shard(t, r, n, false)
		carryOut(t, s, names(name), guard.Order{Add: keys(name)}, shape)
		leftovers(t, s)
	}
	found, err := r.Shards(t.Context())
	if err != nil || !slices.Equal(found, []int{1, 7}) {
		t.Fatalf("shards %v, %v", found, err)
	}

	again := m.open()
	for n, want := range map[int]string{1: "pod-2", 7: "pod-3"} {
		s := shard(t, again, n, true)
		if err := s.Selects(t.Context()); err != nil {
			t.Error(err)
		}
		if got := held(t, s, shape); !slices.Equal(got, keys(want)) {
			t.Errorf("shard %d holds %v, want %s", n, got, want)
		}
	}
	if got := held(t, again, shape); !slices.Equal(got, keys("pod-1")) {
		t.Errorf("shard 0 holds %v", got)
	}
	shard(t, again, 7, false) // whoever makes it a second time finds it
}

// TestSelectsTellsAnother has the file in which the workspace stands say another.
func TestSelectsTellsAnother(t *testing.T) {
	m := spreadModule(t, "")
	s := shard(t, m.open(), 1, false)
	if err := os.WriteFile(filepath.Join(s.cfg.DataDir, "environment"), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Selects(t.Context()); !errors.Is(err, ErrBackend) {
		t.Errorf("Selects: %v", err)
	}
}

func TestShardWorkspaces(t *testing.T) {
	for own, want := range map[string]string{"": "shard-3", "default": "shard-3", "prod": "prod-shard-3"} {
		r := &Root{cfg: Config{Workspace: own}}
		if got := r.cfg.shardWorkspace(3); got != want {
			t.Errorf("workspace %q: %s, want %s", own, got, want)
		}
		for name, n := range map[string]int{want: 3, "shard-x": -1, "shard-03": -1, "stage-shard-3": -1, "shard-": -1} {
			if got, ours := r.ShardOf(name); ours != (n > 0) || ours && got != n {
				t.Errorf("workspace %q: %q is shard %d, %t", own, name, got, ours)
			}
		}
	}
	for own, name := range map[string]string{"": "default", "prod": "prod"} {
		if n, ours := (&Root{cfg: Config{Workspace: own}}).ShardOf(name); n != 0 || !ours {
			t.Errorf("%q is shard %d, %t, want 0", name, n, ours)
		}
	}
}

func TestUnspreadable(t *testing.T) {
	for name, c := range map[string]struct {
		module Module
		shape  guard.Shape
		others []string
		want   string
	}{
		"nothing but cells":   {module: Module{Named: true, Backend: "s3"}},
		"a bare count":        {module: Module{Backend: "local"}, want: "cell_names"},
		"no workspaces":       {module: Module{Named: true, Backend: "http"}, want: "no workspaces"},
		"with a dependent":    {module: Module{Named: true, Backend: "pg"}, shape: guard.Shape{Dependents: []guard.Dependent{{Address: "aws_lb.front"}}}, want: "aws_lb.front"},
		"null is its default": {module: Module{Named: true, Backend: "s3", Variables: map[string]Variable{NamesVariable: {HasDefault: true, NeverNull: true}}}, want: "nullable"},
		"null is refused":     {module: Module{Named: true, Backend: "s3", Variables: map[string]Variable{NamesVariable: {NeverNull: true}}}},
		"with something else": {module: Module{Named: true, Backend: "local"}, others: []string{"aws_vpc.net"}, want: "aws_vpc.net"},
	} {
		t.Run(name, func(t *testing.T) {
			got := (&Root{module: c.module}).Unspreadable(c.shape, c.others)
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestMoveCells moves cells out of one state into two others, and back: no plan has
// anything to do afterwards, the ids are the same, and what the states were is kept.
func TestMoveCells(t *testing.T) {
	m := spreadModule(t, "resource \"terraform_data\" \"other\" { input = 1 }\n")
	r := m.open()
	r.cfg.OnForeignChange = ForeignHold
	m.cfg.Variable = "desired_count"
	all := names("pod-1", "pod-2", "pod-3", "pod-4")
	if _, _, err := r.WriteVariables(all); err != nil {
		t.Fatal(err)
	}
	m.stand()
	shape := learn(t, r, all)
	before := states(t, r)
	backup := filepath.Join(t.TempDir(), "moved")
	one, two := shard(t, r, 1, false), shard(t, r, 2, false)
	move := func(from, to *Root, list ...string) {
		t.Helper()
		if _, err := MoveCells(t.Context(), from, to, shape, list, backup, unhindered); err != nil {
			t.Fatal(err)
		}
	}
	move(r, one, "pod-3", "pod-4")
	move(r, one, "pod-3", "pod-4") // again: nothing is left to do
	move(one, two, "pod-4")
	for root, want := range map[*Root]Desired{r: names("pod-1", "pod-2"), one: names("pod-3"), two: names("pod-4")} {
		if got := held(t, root, shape); !slices.Equal(got, want.Keys()) {
			t.Errorf("%s holds %v, want %v", root.shardName(), got, want.Names)
		}
		if root == r {
			plans(t, root, want, shape)
		}
	}
	if diff := cmp.Diff(before, states(t, r, one, two)); diff != "" {
		t.Errorf("what the states say has changed: %s", diff)
	}
	move(two, one, "pod-4")
	move(one, r, "pod-3", "pod-4")
	if diff := cmp.Diff(before, states(t, r)); diff != "" {
		t.Errorf("what the state says has changed on the way back: %s", diff)
	}
	plans(t, r, all, shape)
	if kept, _ := filepath.Glob(filepath.Join(backup, "*.tfstate")); len(kept) < 5 {
		t.Errorf("kept: %v", kept)
	}
}

// plans fails the test if a plan for the cells has anything to do.
func plans(t *testing.T, r *Root, d Desired, shape guard.Shape) {
	t.Helper()
	p, err := r.Plan(t.Context(), d, guard.Order{Keep: d.Keys()}, shape)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Empty() {
		t.Errorf("%s: %+v", r.shardName(), p.Changes)
	}
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
}

// states maps the addresses in all of the states to what they say there.
func states(t *testing.T, roots ...*Root) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, r := range roots {
		s, err := r.pull(t.Context(), filepath.Join(t.TempDir(), "pulled"))
		if err != nil {
			t.Fatal(err)
		}
		for _, res := range s.resources {
			for _, i := range res.instances {
				at := addressOf(res.fields, i)
				if all[at] != "" {
					t.Errorf("%s is in two states", at)
				}
				all[at] = string(i)
			}
		}
	}
	if len(all) < 12 {
		t.Fatalf("the states hold %d: %v", len(all), all)
	}
	return all
}

// TestMoveCutBetween has a move cut after its first half: the cells are in both
// states, and the same call finishes it. One that differs there is told of.
func TestMoveCutBetween(t *testing.T) {
	m := spreadModule(t, "")
	r := m.open()
	all := names("pod-1", "pod-2")
	if _, _, err := r.WriteVariables(all); err != nil {
		t.Fatal(err)
	}
	m.stand()
	shape := learn(t, r, all)
	one := shard(t, r, 1, false)
	backup := t.TempDir()
	half := func(change string) {
		t.Helper()
		source, err := r.pull(t.Context(), backup)
		if err != nil {
			t.Fatal(err)
		}
		target, err := one.pull(t.Context(), backup)
		if err != nil {
			t.Fatal(err)
		}
		target.begin(source)
		taken := source.take(shape, map[guard.Key]bool{"pod-2": true})
		for i := range taken {
			taken[i].content = []byte(strings.ReplaceAll(string(taken[i].content), "pod-2", change))
		}
		if _, err := target.add(taken); err != nil {
			t.Fatal(err)
		}
		if err := one.push(t.Context(), target); err != nil {
			t.Fatal(err)
		}
	}
	half("pod-2")
	if _, err := MoveCells(t.Context(), r, one, shape, []string{"pod-2"}, backup, unhindered); err != nil {
		t.Fatal(err)
	}
	if a, b := held(t, r, shape), held(t, one, shape); !slices.Equal(a, keys("pod-1")) || !slices.Equal(b, keys("pod-2")) {
		t.Errorf("%v and %v", a, b)
	}

	if _, err := MoveCells(t.Context(), one, r, shape, []string{"pod-2"}, backup, unhindered); err != nil {
		t.Fatal(err)
	}
	half("another")
	begun, err := MoveCells(t.Context(), r, one, shape, []string{"pod-2"}, backup, unhindered)
	if !errors.Is(err, ErrBackend) || !begun || !strings.Contains(fmt.Sprint(err), "is in both states and differs") {
		t.Errorf("MoveCells: %v", err)
	}
}

// unhindered lets a move go on.
func unhindered(context.Context) error { return nil }

// TestMoveHeedsProof has a move found not to be allowed any more: before anything was
// written, and between the states. It is gone on with from there.
func TestMoveHeedsProof(t *testing.T) {
	m := spreadModule(t, "")
	r := m.open()
	if _, _, err := r.WriteVariables(names("pod-1", "pod-2")); err != nil {
		t.Fatal(err)
	}
	m.stand()
	shape := learn(t, r, names("pod-1", "pod-2"))
	one, backup, paused := shard(t, r, 1, false), t.TempDir(), errors.New("paused")
	for asked, want := range [][]guard.Key{nil, keys("pod-2")} {
		times := 0
		begun, err := MoveCells(t.Context(), r, one, shape, []string{"pod-2"}, backup, func(context.Context) error {
			if times++; times > asked {
				return paused
			}
			return nil
		})
		if !errors.Is(err, paused) || begun != (asked > 0) {
			t.Errorf("MoveCells: %v, begun %t", err, begun)
		}
		if a, b := held(t, r, shape), held(t, one, shape); !slices.Equal(a, keys("pod-1", "pod-2")) || !slices.Equal(b, want) {
			t.Errorf("after %d writes: %v and %v", asked, a, b)
		}
	}
	if _, err := MoveCells(t.Context(), r, one, shape, []string{"pod-2"}, backup, unhindered); err != nil {
		t.Fatal(err)
	}
	if a, b := held(t, r, shape), held(t, one, shape); !slices.Equal(a, keys("pod-1")) || !slices.Equal(b, keys("pod-2")) {
		t.Errorf("%v and %v", a, b)
	}
}

// TestMoveOfALockedState has the second state, then the first one be locked by somebody
// else: nothing is moved by either.
func TestMoveOfALockedState(t *testing.T) {
	m := spreadModule(t, "")
	r := m.open()
	if _, _, err := r.WriteVariables(names("pod-1", "pod-2")); err != nil {
		t.Fatal(err)
	}
	m.stand()
	shape := learn(t, r, names("pod-1", "pod-2"))
	one, backup := shard(t, r, 1, false), t.TempDir()
	second := filepath.Join(m.dir, "terraform.tfstate.d", "shard-1", "terraform.tfstate")
	put(t, second, "")
	for _, path := range []string{second, filepath.Join(m.dir, "terraform.tfstate")} {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
			t.Fatal(err)
		}
		begun, err := MoveCells(t.Context(), r.Hasty(), one.Hasty(), shape, []string{"pod-2"}, backup, unhindered)
		var locked *LockedError
		if !errors.As(err, &locked) || begun {
			t.Errorf("%s: begun %t, %v", path, begun, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := held(t, r, shape), held(t, one, shape); !slices.Equal(a, keys("pod-1", "pod-2")) || len(b) > 0 {
		t.Errorf("%v and %v", a, b)
	}
}

// TestMoveIntoAStateThatWasEmpty has somebody make cells in the second state, in which
// there were none when it was read: Terraform would write over them.
func TestMoveIntoAStateThatWasEmpty(t *testing.T) {
	m := spreadModule(t, "")
	r := m.open()
	if _, _, err := r.WriteVariables(names("pod-1")); err != nil {
		t.Fatal(err)
	}
	m.stand()
	shape := learn(t, r, names("pod-1"))
	one := shard(t, r, 1, false)
	begun, err := MoveCells(t.Context(), r, one, shape, []string{"pod-1"}, t.TempDir(), func(context.Context) error {
		carryOut(t, one, names("pod-9"), guard.Order{Add: keys("pod-9")}, shape)
		return nil
	})
	if !errors.Is(err, ErrBackend) || begun || !strings.Contains(fmt.Sprint(err), "written by another") {
		t.Errorf("MoveCells: %v, begun %t", err, begun)
	}
	if a, b := held(t, r, shape), held(t, one, shape); !slices.Equal(a, keys("pod-1")) || !slices.Equal(b, keys("pod-9")) {
		t.Errorf("%v and %v", a, b)
	}
}

// TestPushIsRefused has somebody write the state between reading and writing it.
func TestPushIsRefused(t *testing.T) {
	m := spreadModule(t, "")
	r := m.open()
	if _, _, err := r.WriteVariables(names("pod-1")); err != nil {
		t.Fatal(err)
	}
	m.stand()
	for _, writes := range []int{1, 2} {
		s, err := r.pull(t.Context(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		for i := range writes {
			if _, _, err := r.WriteVariables(names("pod-1", fmt.Sprintf("pod-%d-%d", writes, i))); err != nil {
				t.Fatal(err)
			}
			m.stand()
		}
		s.resources = nil
		if err := r.push(t.Context(), s); err == nil {
			t.Errorf("written over %d writes of another", writes)
		}
	}
}
