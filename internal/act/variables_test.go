package act

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func openOnly(t *testing.T, m *module) *Root {
	t.Helper()
	m.cfg.Binary = terraform(t)
	r, err := Open(m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWriteVariables(t *testing.T) {
	m := write(t, nested)
	r := openOnly(t, m)
	path := filepath.Join(m.dir, VariableFile)
	for _, c := range []struct {
		desired Desired
		changed bool
		want    map[string]any
	}{
		{names(), true, map[string]any{"desired_count": 0., "cell_names": []any{}}},
		{names("a-1", `b"${x}`), true, map[string]any{"desired_count": 2., "cell_names": []any{"a-1", `b"${x}`}}},
		{names("a-1", `b"${x}`), false, map[string]any{"desired_count": 2., "cell_names": []any{"a-1", `b"${x}`}}},
	} {
		got, changed, err := r.WriteVariables(c.desired)
		if err != nil || got != path || changed != c.changed {
			t.Fatalf("%v: %s %v %v", c.desired, got, changed, err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var values map[string]any
		if err := json.Unmarshal(b, &values); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, values); diff != "" {
			t.Error("(-want +got)\n" + diff)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestWriteVariablesChangedByHand(t *testing.T) {
	m := write(t, bare)
	r := openOnly(t, m)
	m2 := filepath.Join(m.dir, VariableFile)
	if err := os.WriteFile(m2, []byte(`{"desired_count": 99, "own": "idea"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, changed, err := r.WriteVariables(count(2)); err != nil || !changed {
		t.Fatal(changed, err)
	}
	b, err := os.ReadFile(m2)
	if err != nil || string(b) != "{\n  \"desired_count\": 2\n}\n" {
		t.Errorf("%s %v", b, err)
	}
}

func TestWriteVariablesRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		files   map[string]string
		desired Desired
		want    string
	}{
		"negative":        {bare, count(-1), "a count of -1"},
		"names unasked":   {bare, names("a"), "doesn't declare cell_names"},
		"names missing":   {nested, count(1), "no names are given"},
		"too few names":   {nested, Desired{Count: 2, Names: []string{"a"}}, "1 names for a count of 2"},
		"a name twice":    {nested, names("a", "a"), "given twice"},
		"a name is empty": {nested, names(""), "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			m := write(t, c.files)
			_, _, err := openOnly(t, m).WriteVariables(c.desired)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(m.dir, VariableFile)); !errors.Is(err, os.ErrNotExist) {
				t.Error("a file was written")
			}
		})
	}
}

// TestWriteVariablesOnAFullDisk mounts a disk of a few kilobytes under the
// module and fills it.
func TestWriteVariablesOnAFullDisk(t *testing.T) {
	m := write(t, bare)
	r := openOnly(t, m)
	if err := syscall.Mount("tmpfs", m.dir, "tmpfs", 0, "size=16k"); err != nil {
		testkit.NotRun(t, "a full disk under the variable file", "no file system can be mounted: "+err.Error())
	}
	defer func() {
		if err := syscall.Unmount(m.dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	if _, _, err := r.WriteVariables(count(2)); err != nil {
		t.Fatal(err)
	}
	err := os.WriteFile(filepath.Join(m.dir, "filler"), make([]byte, 64<<10), 0o644)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk did not fill: %v", err)
	}
	_, changed, err := r.WriteVariables(count(3))
	if !errors.Is(err, syscall.ENOSPC) || changed || !strings.Contains(err.Error(), VariableFile) || !strings.Contains(err.Error(), "check free space") {
		t.Errorf("got %v %v, want object, cause and next step", changed, err)
	}
	b, err := os.ReadFile(filepath.Join(m.dir, VariableFile))
	if err != nil || !strings.Contains(string(b), `"desired_count": 2`) {
		t.Errorf("the old file is not intact: %q %v", b, err)
	}
	entries, err := os.ReadDir(m.dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestAnotherFileSetsTheCount(t *testing.T) {
	files := map[string]string{"prod.auto.tfvars": "desired_count = 1\n", "base.tfvars": "desired_count = 7\nsalt = \"a\"\n"}
	for k, v := range bare {
		files[k] = v
	}
	m := write(t, files)
	r := m.open(func(c *Config) { c.VarFiles = []string{"base.tfvars"} })
	m.stand()
	s := learn(t, r, count(1))
	if _, _, err := r.WriteVariables(count(3)); err != nil {
		t.Fatal(err)
	}
	carryOut(t, r, count(3), guard.Order{Keep: keys("0"), Add: keys("1", "2")}, s)
	if n := strings.Count(m.stateSays(), "terraform_data.cell"); n != 3 {
		t.Errorf("%d cells, want 3", n)
	}
}

func TestEphemeralVariables(t *testing.T) {
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
	p, err := r.Plan(t.Context(), count(1), guard.Order{Add: keys("0")}, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{p.dir, filepath.Join(p.dir, "plan"), filepath.Join(p.dir, "ephemeral.tfvars.json")} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v %v", name, info.Mode(), err)
		}
	}
	if err := p.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	leftovers(t, r)

	r = m.open(func(c *Config) { c.EphemeralVars = map[string]string{"token": "NOT_THERE"} })
	if _, err := r.Plan(t.Context(), count(1), guard.Order{Keep: keys("0")}, s); err == nil || !strings.Contains(err.Error(), "NOT_THERE") {
		t.Errorf("got %v, want the variable's name", err)
	}
}
