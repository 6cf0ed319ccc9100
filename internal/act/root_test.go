package act

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// terraform is the real binary; tests that need it can't do without.
func terraform(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("short: it runs terraform")
	}
	return testkit.Terraform(t)
}

// cleanEnviron is the environment of the machine's tests without a CLI
// configuration of its own.
func cleanEnviron() []string {
	var lines []string
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "TF_") {
			lines = append(lines, line)
		}
	}
	return append(lines, "CHECKPOINT_DISABLE=1")
}

// module is a root module in a directory of its own.
type module struct {
	t   *testing.T
	dir string
	cfg Config
}

// write makes a module of files, given as name and content.
func write(t *testing.T, files map[string]string) *module {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &module{t: t, dir: dir, cfg: Config{
		Dir: dir, DataDir: filepath.Join(t.TempDir(), "data"), Variable: "desired_count", Environ: cleanEnviron(),
	}}
}

// open opens and initialises the module.
func (m *module) open(change ...func(*Config)) *Root {
	m.t.Helper()
	cfg := m.cfg
	if cfg.Binary == "" {
		cfg.Binary = terraform(m.t)
	}
	for _, f := range change {
		f(&cfg)
	}
	r, err := Open(cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := r.Init(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	return r
}

// terraform runs the binary itself, as a person does.
func (m *module) terraform(args ...string) string {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), terraform(m.t), args...)
	cmd.Dir = m.dir
	cmd.Env = append(cleanEnviron(), "TF_DATA_DIR="+m.cfg.DataDir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("terraform %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// stand applies the module by hand.
func (m *module) stand(args ...string) {
	m.t.Helper()
	m.terraform(append([]string{"apply", "-auto-approve", "-no-color"}, args...)...)
}

// edit puts another text in the place of one in main.tf.
func (m *module) edit(old, text string) {
	m.t.Helper()
	path := filepath.Join(m.dir, "main.tf")
	b, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		m.t.Fatalf("main.tf doesn't contain %q", old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), old, text, 1)), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func count(n int) Desired { return Desired{Count: n} }

func names(list ...string) Desired {
	return Desired{Count: len(list), Names: append([]string{}, list...)}
}

func keys(list ...string) []guard.Key {
	var out []guard.Key
	for _, k := range list {
		out = append(out, guard.Key(k))
	}
	return out
}

// learn learns the shape or fails the test.
func learn(t *testing.T, r *Root, d Desired) guard.Shape {
	t.Helper()
	s, err := r.Learn(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// carryOut plans and applies an order or fails the test.
func carryOut(t *testing.T, r *Root, d Desired, o guard.Order, s guard.Shape) (*Plan, []Event) {
	t.Helper()
	p, err := r.Plan(t.Context(), d, o, s)
	if err != nil {
		t.Fatal(err)
	}
	var events []Event
	if err := p.Apply(t.Context(), func(e Event) { events = append(events, e) }); err != nil {
		t.Fatal(err)
	}
	return p, events
}

// held lists the keys of the whole cells in the state.
func held(t *testing.T, r *Root, s guard.Shape) []guard.Key {
	t.Helper()
	cells, err := r.Cells(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	var out []guard.Key
	for _, c := range cells {
		if !c.Whole() {
			t.Errorf("cell %s is not whole: %+v", c.Key, c)
		}
		out = append(out, c.Key)
	}
	return out
}

// leftovers fails the test if plans lie about.
func leftovers(t *testing.T, r *Root) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(r.cfg.DataDir, scratchPrefix+"*"))
	if err != nil || len(found) > 0 {
		t.Errorf("left in the data directory: %v %v", found, err)
	}
}

// stateSays lists the state's addresses, as an independent witness.
func (m *module) stateSays() string {
	m.t.Helper()
	return m.terraform("state", "list")
}
