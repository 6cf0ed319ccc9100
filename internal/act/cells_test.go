package act

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

func TestStateCells(t *testing.T) {
	zones := `
resource "terraform_data" "zone" {
  count = 5
}
resource "terraform_data" "region" {
  for_each = toset(["eu", "us"])
}
`
	for _, c := range []struct {
		name  string
		files map[string]string
		stand []string
		want  Desired
	}{
		{"a bare count", bare, []string{"-var", "desired_count=3"}, count(3)},
		{"a bare count beside others", map[string]string{"main.tf": bare["main.tf"] + zones, "network/terraform.tfstate": bare["network/terraform.tfstate"]}, []string{"-var", "desired_count=2"}, count(2)},
		{"no cells", bare, []string{"-var", "desired_count=0"}, count(0)},
		{"no state", bare, nil, count(0)},
		{"names", nested, []string{"-var", "desired_count=2", "-var", `cell_names=["api-3","api-11"]`}, names("api-11", "api-3")},
		{"names beside others", map[string]string{"main.tf": nested["main.tf"] + zones, "cell/main.tf": nested["cell/main.tf"]}, []string{"-var", "desired_count=1", "-var", `cell_names=["api-3"]`}, names("api-3")},
		{"no names", nested, nil, names()},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := write(t, c.files)
			r := m.open()
			if c.stand != nil {
				m.stand(c.stand...)
			}
			d, s, err := r.StateCells(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, d); diff != "" {
				t.Error("desired (-want +got)\n" + diff)
			}
			if s.Removals != (c.want.Count > 0) || len(s.Patterns) == 0 {
				t.Errorf("shape %+v", s)
			}
			if c.stand == nil {
				return // the first apply is a person's
			}
			p, err := r.Plan(t.Context(), d, guard.Order{Keep: d.Keys()}, s)
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(p.Changes, func(c guard.Change) bool { _, cell := s.CellKey(c.Address); return cell }) {
				t.Errorf("the variables found would change cells: %+v", p.Changes)
			}
			if err := p.Discard(); err != nil {
				t.Error(err)
			}
			leftovers(t, r)
		})
	}
}

func TestCellsThatMissAPart(t *testing.T) {
	m := write(t, nested)
	r := m.open()
	m.stand("-var", "desired_count=2", "-var", `cell_names=["a-1","a-2"]`)
	s := learn(t, r, names("a-1", "a-2"))
	m.terraform("state", "rm", `module.cells["a-2"].terraform_data.machine`)
	m.terraform("taint", `module.cells["a-1"].terraform_data.disk[1]`)
	got, err := r.Cells(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	want := []Cell{{Key: "a-1", Tainted: true}, {Key: "a-2", Missing: []string{`module.cells["a-2"].terraform_data.machine`}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n" + diff)
	}
	carryOut(t, r, names("a-1", "a-2"), guard.Order{Replace: keys("a-1"), Add: keys("a-2")}, s)
	if got := held(t, r, s); !slices.Equal(got, keys("a-1", "a-2")) {
		t.Errorf("the state holds %v", got)
	}
}

func TestReplacingWhatMissesAPart(t *testing.T) {
	m := write(t, nested)
	r := m.open()
	m.stand("-var", "desired_count=2", "-var", `cell_names=["a-1","a-2"]`)
	s := learn(t, r, names("a-1", "a-2"))
	m.terraform("state", "rm", `module.cells["a-2"].terraform_data.machine`)
	carryOut(t, r, names("a-1", "a-2"), guard.Order{Keep: keys("a-1"), Replace: keys("a-2")}, s)
	if got := held(t, r, s); !slices.Equal(got, keys("a-1", "a-2")) {
		t.Errorf("the state holds %v", got)
	}
}

// TestOldObjectsLeftOver cuts a replacement short: the new machine's making
// fails, so the old disk and the old machine are left over, beside the new ones.
// Replacing the cell again clears all away.
func TestOldObjectsLeftOver(t *testing.T) {
	m := write(t, map[string]string{"main.tf": `
variable "desired_count" {
  default = 2
}
resource "terraform_data" "disk" {
  count = var.desired_count
  lifecycle {
    create_before_destroy = true
  }
}
resource "terraform_data" "machine" {
  count            = var.desired_count
  triggers_replace = terraform_data.disk[count.index].id
  lifecycle {
    create_before_destroy = true
  }
  provisioner "local-exec" {
    command = "test ! -e ${path.module}/stuck"
  }
}`})
	r := m.open()
	m.stand()
	s := learn(t, r, count(2))
	order := guard.Order{Keep: keys("1"), Replace: keys("0")}
	release := touch(t, m, "stuck")
	defer release()
	p, err := r.Plan(t.Context(), count(2), order, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(t.Context(), nil); err == nil {
		t.Fatal("the new machine was made, so this test shows nothing")
	}
	release()
	cells, err := r.Cells(t.Context(), s)
	if err != nil || len(cells) != 2 || !cells[0].Tainted || cells[1].Tainted {
		t.Fatalf("the state holds %+v, %v", cells, err)
	}
	p, err = r.Plan(t.Context(), count(2), order, s)
	if err != nil {
		t.Fatal(err)
	}
	var old []string
	for _, c := range p.Changes {
		if c.Deposed != "" {
			old = append(old, c.Address)
		}
	}
	slices.Sort(old)
	if !slices.Equal(old, []string{"terraform_data.disk[0]", "terraform_data.machine[0]"}) || p.Verdict.Destroys != 3 {
		t.Errorf("old objects %v, verdict %+v", old, p.Verdict)
	}
	if err := p.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p, err = r.Plan(t.Context(), count(2), guard.Order{Keep: keys("0", "1")}, s)
	if err != nil || !p.Empty() {
		t.Fatalf("something is left to do: %+v %v", p, err)
	}
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
}

func TestLearningWithoutRemovals(t *testing.T) {
	files := maps.Clone(bare)
	files["main.tf"] = `
variable "desired_count" {
  default = 1
  validation {
    condition     = var.desired_count >= 1
    error_message = "At least one."
  }
}
resource "terraform_data" "cell" {
  count = var.desired_count
}`
	m := write(t, files)
	r := m.open()
	m.stand()
	if s := learn(t, r, count(1)); s.Removals || len(s.Patterns) != 1 {
		t.Errorf("shape %+v", s)
	}
	leftovers(t, r)
}

func TestPlansOfTheDeadAreSwept(t *testing.T) {
	m := write(t, bare)
	dead := filepath.Join(m.cfg.DataDir, scratchPrefix+"999999999-1") // above the highest process id there can be
	living := filepath.Join(m.cfg.DataDir, scratchPrefix+"1-1")
	for _, dir := range []string{dead, living} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	openOnly(t, m)
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Error("a dead process's plan is still there")
	}
	if _, err := os.Stat(living); err != nil {
		t.Error("a living process's plan was swept away")
	}
}
