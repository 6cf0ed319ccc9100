package act

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// bare is somebody's module with a count, a target list and something else.
var bare = map[string]string{"main.tf": `
variable "desired_count" {
  type    = number
  default = 1
}
variable "salt" {
  default = "a"
}
resource "terraform_data" "cell" {
  count = var.desired_count
  input = "cell-${count.index}"
}
resource "terraform_data" "targets" {
  input = terraform_data.cell[*].id
}
resource "terraform_data" "other" {
  triggers_replace = [var.salt]
}
data "terraform_remote_state" "network" {
  backend = "local"
  config  = { path = "${path.module}/network/terraform.tfstate" }
}
output "ids" {
  value = terraform_data.cell[*].id
}
`, "network/terraform.tfstate": `{"version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": "n",
"outputs": {"net": {"value": "10.0.0.0/8", "type": "string"}}, "resources": []}`}

// nested has cells keyed by name, two resources each, in a module of their own.
var nested = map[string]string{
	"main.tf": `
variable "desired_count" {
  type = number
}
variable "cell_names" {
  type = list(string)
}
module "cells" {
  source   = "./cell"
  for_each = toset(var.cell_names)
  name     = each.key
}
resource "terraform_data" "targets" {
  input = [for c in module.cells : c.id]
}
`,
	"cell/main.tf": `
variable "name" {}
resource "terraform_data" "disk" {
  count = 2
  input = "${var.name}-${count.index}"
}
resource "terraform_data" "machine" {
  input            = terraform_data.disk[*].id
  triggers_replace = terraform_data.disk[*].id
  lifecycle {
    create_before_destroy = true
  }
}
output "id" {
  value = terraform_data.machine.id
}
`,
}

func TestBareCount(t *testing.T) {
	m := write(t, bare)
	r := m.open()
	m.stand("-var", "desired_count=2")
	s := learn(t, r, count(2))
	want := guard.Shape{
		Digest: s.Digest, Patterns: []string{"terraform_data.cell[*]"}, Count: 2, Removals: true,
		Dependents: []guard.Dependent{{Address: "terraform_data.targets", Kinds: []string{"update"}, Attributes: []string{"input", "output"}}},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error("shape (-want +got)\n" + diff)
	}
	if _, err := os.Stat(filepath.Join(m.dir, VariableFile)); !errors.Is(err, os.ErrNotExist) {
		t.Error("learning wrote the variable file")
	}

	p, events := carryOut(t, r, count(4), guard.Order{Keep: keys("0", "1"), Add: keys("2", "3")}, s)
	if p.Targeted || len(p.Drift) > 0 {
		t.Errorf("targeted %v, drift %v", p.Targeted, p.Drift)
	}
	for _, k := range keys("2", "3") {
		for _, kind := range []string{EventStart, EventComplete} {
			if !slices.ContainsFunc(events, func(e Event) bool { return e.Cell == k && e.Kind == kind && e.Action == "create" && !e.At.IsZero() }) {
				t.Errorf("no %s event of cell %s in %v", kind, k, events)
			}
		}
	}
	carryOut(t, r, count(4), guard.Order{Keep: keys("0", "2", "3"), Replace: keys("1")}, s)
	carryOut(t, r, count(1), guard.Order{Keep: keys("0"), Remove: keys("1", "2", "3")}, s)
	carryOut(t, r, count(0), guard.Order{Remove: keys("0")}, s)
	carryOut(t, r, count(1), guard.Order{Add: keys("0")}, s)
	if got := held(t, r, s); !slices.Equal(got, keys("0")) {
		t.Errorf("the state holds %v", got)
	}
	leftovers(t, r)
}

func TestNamedCellsInNestedModule(t *testing.T) {
	m := write(t, nested)
	r := m.open()
	if _, _, err := r.WriteVariables(names("crawler-1", "crawler-2")); err != nil {
		t.Fatal(err)
	}
	m.stand()
	s := learn(t, r, names("crawler-1", "crawler-2"))
	want := []string{`module.cells["*"].terraform_data.disk[0]`, `module.cells["*"].terraform_data.disk[1]`, `module.cells["*"].terraform_data.machine`}
	if diff := cmp.Diff(want, s.Patterns); diff != "" || !s.Named {
		t.Errorf("named %v, patterns (-want +got)\n%s", s.Named, diff)
	}
	o := guard.Order{Keep: keys("crawler-2"), Add: keys("crawler-3"), Remove: keys("crawler-1")}
	carryOut(t, r, names("crawler-2", "crawler-3"), o, s)
	o = guard.Order{Keep: keys("crawler-3"), Replace: keys("crawler-2")}
	_, events := carryOut(t, r, names("crawler-2", "crawler-3"), o, s)
	if !slices.ContainsFunc(events, func(e Event) bool { return e.Cell == "crawler-2" && e.Action == "delete" && e.Kind == EventComplete }) {
		t.Errorf("no deletion of the replaced cell in %v", events)
	}
	if got := held(t, r, s); !slices.Equal(got, keys("crawler-2", "crawler-3")) {
		t.Errorf("the state holds %v", got)
	}
}

func TestIndexEqualToAnInnerKey(t *testing.T) {
	m := write(t, map[string]string{
		"main.tf": `
variable "desired_count" {
  default = 1
}
module "cell" {
  source = "./cell"
  count  = var.desired_count
}`,
		"cell/main.tf": `
resource "terraform_data" "disk" {
  count = 2
}`,
	})
	r := m.open()
	m.stand()
	s := learn(t, r, count(1))
	want := []string{"module.cell[*].terraform_data.disk[0]", "module.cell[*].terraform_data.disk[1]"}
	if diff := cmp.Diff(want, s.Patterns); diff != "" {
		t.Error("patterns (-want +got)\n" + diff)
	}
}

func TestOthersChangeIsLeftOut(t *testing.T) {
	m := write(t, bare)
	r := m.open()
	m.stand("-var", "desired_count=2")
	m.edit(`default = "a"`, `default = "b"`)
	s := learn(t, r, count(2))
	if len(s.Dependents) != 1 || s.Dependents[0].Address != "terraform_data.targets" {
		t.Errorf("drift entered the shape: %+v", s.Dependents)
	}
	o := guard.Order{Keep: keys("0", "1"), Add: keys("2")}

	hold := m.open(func(c *Config) { c.OnForeignChange = ForeignHold })
	_, err := hold.Plan(t.Context(), count(3), o, s)
	var refused *RefusedError
	if !errors.As(err, &refused) || !refused.Verdict.Elsewhere {
		t.Fatalf("on hold the plan was not refused: %v", err)
	}
	leftovers(t, hold)

	p, _ := carryOut(t, r, count(3), o, s)
	if !p.Targeted || len(p.Drift) != 1 || p.Drift[0].Address != "terraform_data.other" || p.Drift[0].Action != "replace" {
		t.Errorf("targeted %v, drift %v", p.Targeted, p.Drift)
	}
	if got := held(t, r, s); !slices.Equal(got, keys("0", "1", "2")) {
		t.Errorf("the state holds %v", got)
	}
}

// TestOnlyOthersChange looks without an order where nothing depends on the cells:
// there is nothing to do, and what others changed is told of. On hold it waits.
func TestOnlyOthersChange(t *testing.T) {
	m := write(t, bare)
	m.edit("input = terraform_data.cell[*].id", `input = "none"`)
	r := m.open()
	m.stand("-var", "desired_count=2")
	s := learn(t, r, count(2))
	if len(s.Dependents) > 0 {
		t.Fatalf("something depends on the cells: %+v", s.Dependents)
	}
	m.edit(`default = "a"`, `default = "b"`)
	o := guard.Order{Keep: keys("0", "1")}
	p, err := r.Plan(t.Context(), count(2), o, s)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Empty() || p.Partial || len(p.Drift) != 1 || p.Drift[0].Address != "terraform_data.other" {
		t.Errorf("empty %t, partial %t, drift %v", p.Empty(), p.Partial, p.Drift)
	}
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
	hold := m.open(func(c *Config) { c.OnForeignChange = ForeignHold })
	var refused *RefusedError
	if _, err := hold.Plan(t.Context(), count(2), o, s); !errors.As(err, &refused) {
		t.Errorf("on hold the plan was not refused: %v", err)
	}
}

// TestLostCellsAreMendedOneByOne replaces two lost cells in two orders. In the
// first, what depends on all cells is left for later, on hold too.
func TestLostCellsAreMendedOneByOne(t *testing.T) {
	m := write(t, bare)
	r := m.open(func(c *Config) { c.OnForeignChange = ForeignHold })
	m.stand("-var", "desired_count=3")
	s := learn(t, r, count(3))
	m.terraform("taint", "terraform_data.cell[0]")
	m.terraform("taint", "terraform_data.cell[1]")
	for _, c := range []struct {
		order     guard.Order
		targeted  bool
		addresses []string
	}{
		{guard.Order{Replace: keys("0"), Keep: keys("1", "2")}, true, []string{"terraform_data.cell[0]"}},
		{guard.Order{Replace: keys("1"), Keep: keys("0", "2")}, false, []string{"terraform_data.cell[1]", "terraform_data.targets"}},
	} {
		p, _ := carryOut(t, r, count(3), c.order, s)
		var changed []string
		for _, change := range p.Changes {
			if change.Effective() && change.Mode == "managed" {
				changed = append(changed, change.Address)
			}
		}
		slices.Sort(changed)
		if p.Targeted != c.targeted || p.Partial != c.targeted || len(p.Drift) > 0 || !slices.Equal(changed, c.addresses) {
			t.Errorf("replacing %v: targeted %t, drift %v, changed %v", c.order.Replace, p.Targeted, p.Drift, changed)
		}
	}
	if got := held(t, r, s); !slices.Equal(got, keys("0", "1", "2")) {
		t.Errorf("the state holds %v", got)
	}
}

func TestRefused(t *testing.T) {
	m := write(t, bare)
	r := m.open()
	m.stand("-var", "desired_count=3")
	s := learn(t, r, count(3))
	for _, c := range []struct {
		name    string
		desired Desired
		order   guard.Order
		edit    [2]string
		want    string
	}{
		{"one cell more than ordered", count(5), guard.Order{Keep: keys("0", "1", "2"), Add: keys("3")}, [2]string{}, "terraform_data.cell[4]: create: the order doesn't name"},
		{"one cell fewer than ordered", count(1), guard.Order{Keep: keys("0", "1"), Remove: keys("2")}, [2]string{}, "terraform_data.cell[1]: delete: the order keeps"},
		{"the wrong way", count(2), guard.Order{Keep: keys("0", "1", "2"), Add: keys("3")}, [2]string{}, "terraform_data.cell[2]: delete: the order keeps"},
		{"nothing is planned", count(3), guard.Order{Keep: keys("0", "1", "2"), Add: keys("3")}, [2]string{}, `the order makes cell "3", but the plan doesn't`},
		{"living cells would change", count(4), guard.Order{Keep: keys("0", "1", "2"), Add: keys("3")}, [2]string{`"cell-${count.index}"`, `"node-${count.index}"`}, "terraform_data.cell[0]: update: the order keeps"},
		{"the cells are renamed", count(4), guard.Order{Keep: keys("0", "1", "2"), Add: keys("3")}, [2]string{`resource "terraform_data" "cell"`, `resource "terraform_data" "cell" {
  count = 0
}
resource "terraform_data" "machine"`}, "terraform_data.cell[0]: delete"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.edit[0] != "" {
				before, err := os.ReadFile(filepath.Join(m.dir, "main.tf"))
				if err != nil {
					t.Fatal(err)
				}
				m.edit(c.edit[0], c.edit[1])
				defer func() {
					if err := os.WriteFile(filepath.Join(m.dir, "main.tf"), before, 0o644); err != nil {
						t.Fatal(err)
					}
				}()
			}
			_, err := r.Plan(t.Context(), c.desired, c.order, s)
			var refused *RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a refusal with %q", err, c.want)
			}
			leftovers(t, r)
		})
	}
	if n := strings.Count(m.stateSays(), "terraform_data.cell"); n != 3 {
		t.Errorf("%d cells are left of 3", n)
	}
}

func TestUnlearnableModules(t *testing.T) {
	for _, c := range []struct{ name, main, want string }{
		{"the variable does nothing", `
variable "desired_count" {
  default = 1
}
resource "terraform_data" "cell" {
  count = 1
}`, "one cell more makes nothing"},
		{"living cells list their siblings", `
variable "desired_count" {
  default = 1
}
resource "terraform_data" "cell" {
  count = var.desired_count
  input = var.desired_count
}`, "terraform_data.cell[0]: update: living cells would change"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := write(t, map[string]string{"main.tf": c.main})
			r := m.open()
			m.stand()
			_, err := r.Learn(t.Context(), count(1))
			var unshaped *guard.ShapeError
			if !errors.As(err, &unshaped) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a ShapeError with %q", err, c.want)
			}
			leftovers(t, r)
		})
	}
}

func TestWhatComesWithTheFirstCell(t *testing.T) {
	m := write(t, map[string]string{"main.tf": `
variable "desired_count" {
  default = 1
}
resource "terraform_data" "cell" {
  count = var.desired_count
}
resource "terraform_data" "balancer" {
  count = var.desired_count > 0 ? 1 : 0
  input = terraform_data.cell[*].id
}`})
	r := m.open()
	m.stand()
	s := learn(t, r, count(1))
	carryOut(t, r, count(2), guard.Order{Keep: keys("0"), Add: keys("1")}, s)
	if _, err := r.Plan(t.Context(), count(0), guard.Order{Keep: keys("0"), Remove: keys("1")}, s); err == nil {
		t.Error("the balancer may go only with the last cell")
	}
	carryOut(t, r, count(0), guard.Order{Remove: keys("0", "1")}, s)
	carryOut(t, r, count(1), guard.Order{Add: keys("0")}, s)
}

func TestMoved(t *testing.T) {
	m := write(t, bare)
	r := m.open()
	m.stand("-var", "desired_count=2")
	m.edit(`resource "terraform_data" "cell"`, `moved {
  from = terraform_data.cell
  to   = terraform_data.machine
}
moved {
  from = terraform_data.other
  to   = terraform_data.another
}
resource "terraform_data" "machine"`)
	m.edit(`"terraform_data" "other"`, `"terraform_data" "another"`)
	for range 2 {
		m.edit(`terraform_data.cell[*]`, `terraform_data.machine[*]`)
	}
	s := learn(t, r, count(2))
	if !slices.Equal(s.Patterns, []string{"terraform_data.machine[*]"}) {
		t.Fatalf("patterns %v", s.Patterns)
	}
	carryOut(t, r, count(3), guard.Order{Keep: keys("0", "1"), Add: keys("2")}, s)
	if got := held(t, r, s); !slices.Equal(got, keys("0", "1", "2")) {
		t.Errorf("the state holds %v", got)
	}
	m.edit("from = terraform_data.cell\n  to   = terraform_data.machine", "from = terraform_data.machine[2]\n  to   = terraform_data.machine[7]")
	_, err := r.Plan(t.Context(), count(2), guard.Order{Keep: keys("0", "1"), Remove: keys("2")}, s)
	if err == nil || !strings.Contains(err.Error(), `terraform_data.machine[7]: delete: it would move from cell "2" to cell "7"`) {
		t.Errorf("a move across cells was not refused: %v", err)
	}
}
