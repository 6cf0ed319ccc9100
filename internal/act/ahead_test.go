package act

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// aheadOf plans ahead or fails the test. What it returns is discarded with it.
func aheadOf(t *testing.T, r *Root, d Desired, o guard.Order, s guard.Shape) *Plan {
	t.Helper()
	p, err := r.PlanAhead(t.Context(), d, o, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Discard(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// twoCells is a module of two cells with a variable file beside ours.
func twoCells(t *testing.T) (*module, *Root, guard.Shape) {
	t.Helper()
	m := write(t, bare)
	if err := os.WriteFile(filepath.Join(m.dir, "more.json"), []byte(`{"salt": "a"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	r := m.open(func(c *Config) { c.VarFiles = []string{"more.json"} })
	m.stand("-var", "desired_count=2")
	return m, r, learn(t, r, count(2))
}

var thirdCell = guard.Order{Keep: keys("0", "1"), Add: keys("2")}

// A plan made ahead is applied as it is, and nobody but us may read it meanwhile.
func TestPlanAhead(t *testing.T) {
	_, r, s := twoCells(t)
	p := aheadOf(t, r, count(3), thirdCell, s)
	if why := p.Outdated(count(3), thirdCell, s); why != "" {
		t.Fatalf("outdated at once: %s", why)
	}
	for path, mode := range map[string]os.FileMode{p.dir: 0o700, filepath.Join(p.dir, "plan"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if err := p.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := held(t, r, s); !slices.Equal(got, keys("0", "1", "2")) {
		t.Errorf("the state holds %v", got)
	}
	leftovers(t, r)
}

// Whatever a plan ahead was made from may move on before its order comes.
func TestPlanAheadIsOutdated(t *testing.T) {
	same := sameOrderAfter
	tests := []struct {
		name, want string
		change     func(t *testing.T, m *module, p *Plan) (Desired, guard.Order, guard.Shape)
	}{
		{"another count", MovedOrder, func(_ *testing.T, _ *module, p *Plan) (Desired, guard.Order, guard.Shape) {
			return count(4), guard.Order{Keep: keys("0", "1"), Add: keys("2", "3")}, p.shape
		}},
		{"a cell that is lost", MovedOrder, func(_ *testing.T, _ *module, p *Plan) (Desired, guard.Order, guard.Shape) {
			o := thirdCell
			o.Lost = keys("1")
			return count(3), o, p.shape
		}},
		{"another shape", MovedShape, func(_ *testing.T, _ *module, p *Plan) (Desired, guard.Order, guard.Shape) {
			s := p.shape
			s.Count++
			return count(3), thirdCell, s
		}},
		{"the module edited", MovedModule, same(func(_ *testing.T, m *module, _ *Plan) { m.edit(`default = "a"`, `default = "b"`) })},
		{"the module broken", MovedModule, same(func(_ *testing.T, m *module, _ *Plan) { m.edit(`variable "salt" {`, `variable "salt {`) })},
		{"a variable file edited", MovedModule, same(func(t *testing.T, m *module, _ *Plan) {
			if err := os.WriteFile(filepath.Join(m.dir, "more.json"), []byte(`{"salt": "b"}`), 0o644); err != nil {
				t.Fatal(err)
			}
		})},
		{"the state changed by a person", MovedState, same(func(_ *testing.T, m *module, _ *Plan) {
			m.terraform("taint", "terraform_data.other")
			m.terraform("untaint", "terraform_data.other")
		})},
		{"the state gone", MovedState, same(func(t *testing.T, m *module, _ *Plan) {
			if err := os.Remove(filepath.Join(m.dir, "terraform.tfstate")); err != nil {
				t.Fatal(err)
			}
		})},
		{"another plan in its file", MovedPlan, same(func(t *testing.T, _ *module, p *Plan) {
			if err := os.WriteFile(filepath.Join(p.dir, "plan"), []byte("another"), 0o600); err != nil {
				t.Fatal(err)
			}
		})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, r, s := twoCells(t)
			p := aheadOf(t, r, count(3), thirdCell, s)
			d, o, shape := test.change(t, m, p)
			if why := p.Outdated(d, o, shape); why != test.want {
				t.Errorf("outdated by %q, want %q", why, test.want)
			}
		})
	}
}

// sameOrderAfter makes a change that leaves the order as it is.
func sameOrderAfter(change func(*testing.T, *module, *Plan)) func(*testing.T, *module, *Plan) (Desired, guard.Order, guard.Shape) {
	return func(t *testing.T, m *module, p *Plan) (Desired, guard.Order, guard.Shape) {
		change(t, m, p)
		return count(3), thirdCell, p.shape
	}
}

// Where the state's serial can't be read from here, Terraform itself refuses a plan
// that the state has left behind.
func TestStalePlanAheadIsRefusedByTerraform(t *testing.T) {
	m, _ := slowModule(t, "http")
	r := m.open()
	m.stand()
	s := learn(t, r, count(1))
	o := guard.Order{Keep: keys("0"), Add: keys("1")}
	p := aheadOf(t, r, count(2), o, s)
	m.terraform("taint", "terraform_data.cell[0]")
	m.terraform("untaint", "terraform_data.cell[0]")
	if why := p.Outdated(count(2), o, s); why != "" {
		t.Errorf("outdated by %s, which can't be known", why)
	}
	if err := p.Apply(t.Context(), nil); !errors.Is(err, ErrStale) {
		t.Errorf("applied: %v", err)
	}
	leftovers(t, r)
}

// A plan ahead takes no lock: neither does it wait for a person's, nor a person for it.
func TestPlanAheadTakesNoLock(t *testing.T) {
	m, server := slowModule(t, "http")
	r := m.open(func(c *Config) { c.LockTimeout = time.Second })
	m.stand()
	s := learn(t, r, count(1))
	server.mu.Lock()
	server.lock = []byte(`{"ID": "a-person", "Who": "somebody@elsewhere"}`)
	server.mu.Unlock()
	o := guard.Order{Keep: keys("0"), Add: keys("1")}
	if _, err := r.Plan(t.Context(), count(2), o, s); err == nil {
		t.Error("a plan of an order doesn't mind the lock")
	}
	aheadOf(t, r, count(2), o, s)
	if id := server.holder(t); id != "a-person" {
		t.Errorf("the lock is now of %s", id)
	}
}

// The guard judges a plan ahead like any other, and one that it refuses is gone.
func TestPlanAheadIsRefused(t *testing.T) {
	m, r, s := twoCells(t)
	m.edit(`default = "a"`, `default = "b"`)
	if err := os.WriteFile(filepath.Join(m.dir, "more.json"), []byte(`{"salt": "b"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	var refused *RefusedError
	if _, err := r.PlanAhead(t.Context(), count(3), thirdCell, s); !errors.As(err, &refused) {
		t.Errorf("another's change beside the order: %v", err)
	}
	if _, err := r.PlanAhead(t.Context(), count(2), guard.Order{Keep: keys("0", "1")}, s); err == nil {
		t.Error("planned ahead for nothing")
	}
	leftovers(t, r)
}

// What leaders under other names have left on this host is swept, and nothing else.
func TestSweepBeside(t *testing.T) {
	ended := exec.CommandContext(t.Context(), "true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	above, dead := t.TempDir(), ended.Process.Pid
	folders := map[string]bool{ // whether it stays
		fmt.Sprintf("pod-1/plan-%d-%s-1", dead, hostTag()):         false,
		fmt.Sprintf("pod-2/plan-%d-%s-1", dead, hostTag()):         false,
		fmt.Sprintf("pod-1/shard-3/plan-%d-%s-1", dead, hostTag()): false,
		fmt.Sprintf("pod-1/shard-3/plan-%d-elsewhere-1", dead):     true,
		fmt.Sprintf("pod-1/plan-%d-%s-1", os.Getpid(), hostTag()):  true,
		fmt.Sprintf("pod-1/plan-%d-elsewhere-1", dead):             true,
		"pod-1/providers": true,
	}
	for name := range folders {
		if err := os.MkdirAll(filepath.Join(above, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	folders["moved"] = true // where states are kept as they were before cells moved
	err := os.Mkdir(filepath.Join(above, "moved"), 0o700)
	for _, file := range []string{"pod.next", "moved/shard-1-lineage-4.tfstate"} {
		err = errors.Join(err, os.WriteFile(filepath.Join(above, file), []byte("4"), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := SweepBeside(filepath.Join(above, "pod-2")); err != nil {
		t.Fatal(err)
	}
	for name, stays := range folders {
		if _, err := os.Stat(filepath.Join(above, name)); (err == nil) != stays {
			t.Errorf("%s: %v, stays %v", strings.ReplaceAll(name, hostTag(), "HERE"), err, stays)
		}
	}
}

// What is given anew at the apply doesn't lie about with the plan.
func TestPlanAheadKeepsNoEphemeralVariables(t *testing.T) {
	const secret = "s3cr3t-of-the-day"
	m := write(t, map[string]string{"main.tf": `
variable "desired_count" {
  default = 1
}
variable "token" {
  type      = string
  ephemeral = true
}
resource "terraform_data" "cell" {
  count = var.desired_count
  provisioner "local-exec" {
    command     = "test \"$TOKEN\" = ` + secret + `"
    environment = { TOKEN = var.token }
  }
}`})
	r := m.open(func(c *Config) {
		c.EphemeralVars = map[string]string{"token": "CELL_TOKEN"}
		c.Environ = append(c.Environ, "CELL_TOKEN="+secret)
	})
	s := learn(t, r, count(0))
	p := aheadOf(t, r, count(1), guard.Order{Add: keys("0")}, s)
	files, err := os.ReadDir(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(filepath.Join(p.dir, f.Name())); err != nil || strings.Contains(string(b), secret) {
			t.Errorf("%s holds the variable, or can't be read: %v", f.Name(), err)
		}
	}
	if err := p.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	leftovers(t, r)
}
