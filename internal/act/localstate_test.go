package act

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMendState cuts a local state as a kill in the middle of a write does.
func TestMendState(t *testing.T) {
	const whole, before = `{"serial": 5}`, `{"serial": 4}`
	tests := map[string]struct {
		state, backup string // "-" for no such file
		want          string
		mended, fails bool
	}{
		"whole":                    {state: whole, backup: before, want: whole},
		"emptied":                  {state: "", backup: before, want: before, mended: true},
		"in half":                  {state: `{"serial": 5, "resources": [{"mode"`, backup: before, want: before, mended: true},
		"empty since the first":    {state: "", backup: "-", want: ""},
		"in half without a backup": {state: `{"ser`, backup: "-", want: `{"ser`, fails: true},
		"both in half":             {state: `{"ser`, backup: `{"s`, want: `{"ser`, fails: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, path := withState(t, tt.state)
			if tt.backup != "-" {
				put(t, path+".backup", tt.backup)
			}
			mended, err := r.MendState()
			if mended != tt.mended || (err != nil) != tt.fails {
				t.Errorf("mended %t, error %v", mended, err)
			}
			if got, _ := os.ReadFile(path); string(got) != tt.want {
				t.Errorf("the state is %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMendStateOfABackendThatWritesWholeStates(t *testing.T) {
	r, path := withState(t, "")
	put(t, path+".backup", `{}`)
	r.module.Backend = "consul"
	if mended, err := r.MendState(); mended || err != nil {
		t.Errorf("mended %t, error %v", mended, err)
	}
}

// withState is a root module whose local state has that content.
func withState(t *testing.T, state string) (*Root, string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "terraform.tfstate")
	put(t, path, state)
	return &Root{cfg: Config{Dir: dir}, module: Module{Backend: "local"}}, path
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestLocalStateLock holds the assumption that Terraform locks a local state by
// the very file: a lock taken here keeps it out.
func TestLocalStateLock(t *testing.T) {
	m := write(t, map[string]string{"main.tf": `variable "desired_count" { default = 1 }
resource "terraform_data" "cell" { count = var.desired_count }`})
	r := m.open()
	path := filepath.Join(m.dir, "terraform.tfstate")
	put(t, path, "")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Learn(t.Context(), Desired{}); err == nil {
		t.Error("Terraform planned though its state was locked")
	}
}

// TestStateWrittenOutInFull has a leader come to a local state that the module
// names in full: Terraform takes it for another than its default one, and would
// empty it.
func TestStateWrittenOutInFull(t *testing.T) {
	names := map[string]func(dir string) string{
		"the default":      func(string) string { return "terraform.tfstate" },
		"in full":          func(dir string) string { return filepath.Join(dir, "terraform.tfstate") },
		"with a dot":       func(string) string { return "./terraform.tfstate" },
		"by a link":        func(dir string) string { return symlink(t, dir, "dir") + "/terraform.tfstate" },
		"by a linked file": func(dir string) string { return symlink(t, filepath.Join(dir, "terraform.tfstate"), "state") },
		"elsewhere":        func(dir string) string { return filepath.Join(dir, "else.tfstate") },
	}
	for name, path := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := write(t, map[string]string{"main.tf": `variable "desired_count" { default = 1 }
resource "terraform_data" "cell" { count = var.desired_count }`})
			put(t, filepath.Join(m.dir, "backend.tf"), fmt.Sprintf("terraform {\n  backend \"local\" {\n    path = %q\n  }\n}\n", path(m.dir)))
			m.terraform("init")
			m.terraform("apply", "-auto-approve")
			r := m.open(func(c *Config) { c.DataDir = filepath.Join(t.TempDir(), "leader") })
			if err := r.Init(t.Context()); err != nil {
				t.Fatal(err)
			}
			held, err := r.resources(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(held) != 1 {
				t.Errorf("the state holds %v", held)
			}
		})
	}
}

// symlink is a new symbolic link to a path.
func symlink(t *testing.T, to, name string) string {
	t.Helper()
	from := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(to, from); err != nil {
		t.Fatal(err)
	}
	return from
}
