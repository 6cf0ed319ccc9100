package act

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// stateServer is a server for Terraform's http backend, with locks that
// outlive their holder, as most remote backends have.
type stateServer struct {
	*httptest.Server
	mu    sync.Mutex
	state []byte
	lock  []byte
}

func newStateServer(t *testing.T) *stateServer {
	s := &stateServer{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *stateServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch req.Method {
	case "LOCK":
		if s.lock != nil {
			w.WriteHeader(http.StatusLocked)
			_, _ = w.Write(s.lock)
			return
		}
		s.lock = body
	case "UNLOCK":
		s.lock = nil
	case http.MethodPost:
		s.state = body
	case http.MethodGet:
		if s.state == nil {
			w.WriteHeader(http.StatusNoContent)
		}
		_, _ = w.Write(s.state)
	}
}

func (s *stateServer) locked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lock != nil
}

// holder is the id of the lock as the server knows it.
func (s *stateServer) holder(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var info struct{ ID string }
	if err := json.Unmarshal(s.lock, &info); err != nil {
		t.Fatal(err)
	}
	return info.ID
}

// slow has cells whose making takes as long as the file "hold" is there. Each
// writes the process id of its shell first.
const slow = `
variable "desired_count" {
  default = 1
}
resource "terraform_data" "cell" {
  count = var.desired_count
  provisioner "local-exec" {
    command = "echo $PPID > ${path.module}/pid.${count.index}; while [ -e ${path.module}/hold ]; do sleep 0.05; done; test ! -e ${path.module}/fail"
  }
}
`

func slowModule(t *testing.T, backend string) (*module, *stateServer) {
	s := newStateServer(t)
	files := map[string]string{"main.tf": slow}
	if backend == "http" {
		files["backend.tf"] = fmt.Sprintf(`terraform {
  backend "http" {
    address        = %q
    lock_address   = %q
    unlock_address = %q
  }
}`, s.URL, s.URL, s.URL)
	}
	return write(t, files), s
}

func touch(t *testing.T, m *module, name string) func() {
	t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return func() { _ = os.Remove(path) }
}

// waitFor waits for a condition, under a limit that only a broken test reaches.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// begin starts an apply of one more cell, number 1, and waits until the cell
// is being made.
func begin(ctx context.Context, t *testing.T, m *module, r *Root, s guard.Shape) <-chan error {
	t.Helper()
	p, err := r.Plan(ctx, count(2), guard.Order{Keep: keys("0"), Add: keys("1")}, s)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Apply(ctx, nil) }()
	waitFor(t, "the cell's making", func() bool { _, err := os.Stat(filepath.Join(m.dir, "pid.1")); return err == nil })
	return done
}

// terraformOf finds the terraform process that makes cell 1: the provisioner
// wrote its own parent's id.
func terraformOf(t *testing.T, m *module) int {
	t.Helper()
	var pid int
	waitFor(t, "the provisioner's process id", func() bool {
		b, err := os.ReadFile(filepath.Join(m.dir, "pid.1"))
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	return pid
}

func TestLockedByTheLiving(t *testing.T) {
	for _, backend := range []string{"local", "http"} {
		t.Run(backend, func(t *testing.T) {
			m, server := slowModule(t, backend)
			r := m.open()
			m.stand()
			s := learn(t, r, count(1))
			release := touch(t, m, "hold")
			defer release()
			done := begin(t.Context(), t, m, r, s)

			_, err := r.Plan(t.Context(), count(2), guard.Order{Keep: keys("0"), Add: keys("1")}, s)
			var locked *LockedError
			if !errors.As(err, &locked) {
				t.Fatalf("got %v, want a LockedError", err)
			}
			if backend == "http" {
				if want := server.holder(t); locked.ID != want || locked.Who != "" {
					t.Errorf("got %+v, want the holder's id %s alone", locked, want)
				}
			} else if locked.ID == "" || locked.Operation != "OperationTypeApply" || locked.Who == "" || locked.Version == "" || locked.Created.IsZero() {
				t.Errorf("fields are missing: %+v", locked)
			}
			release()
			if err := <-done; err != nil {
				t.Error(err)
			}
			leftovers(t, r)
		})
	}
}

func TestLockTimeoutWaits(t *testing.T) {
	m, _ := slowModule(t, "http")
	r := m.open()
	m.stand()
	s := learn(t, r, count(1))
	release := touch(t, m, "hold")
	defer release()
	done := begin(t.Context(), t, m, r, s)
	patient := m.open(func(c *Config) { c.LockTimeout = time.Minute })
	result := make(chan error, 1)
	go func() {
		p, err := patient.Plan(t.Context(), count(2), guard.Order{Keep: keys("0", "1")}, s)
		if err == nil {
			err = p.Discard()
		}
		result <- err
	}()
	release()
	if err := errors.Join(<-done, <-result); err != nil {
		t.Error(err)
	}
}

func TestKilledInMidApply(t *testing.T) {
	m, server := slowModule(t, "http")
	r := m.open()
	m.stand()
	s := learn(t, r, count(1))
	release := touch(t, m, "hold")
	defer release()
	done := begin(t.Context(), t, m, r, s)
	if err := syscall.Kill(terraformOf(t, m), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	release()
	err := <-done
	if !errors.Is(err, ErrKilled) {
		t.Fatalf("got %v, want ErrKilled", err)
	}
	leftovers(t, r)
	if !server.locked() {
		t.Fatal("the dead process left no lock, so this test shows nothing")
	}

	order := guard.Order{Keep: keys("0"), Add: keys("1")}
	_, err = r.Plan(t.Context(), count(2), order, s)
	var locked *LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("got %v, want a LockedError", err)
	}
	if err := r.ForceUnlock(t.Context(), locked.ID); err != nil {
		t.Fatal(err)
	}
	carryOut(t, r, count(2), order, s)
	if got := held(t, r, s); !slices.Equal(got, keys("0", "1")) {
		t.Errorf("the state holds %v", got)
	}
}

// cutShort is a context that ends while a command is being started.
type cutShort struct{ context.Context }

func (cutShort) Err() error { return context.Canceled }

// TestErrorWithoutWords has terraform-exec return the error that it has for a command
// whose context ended in the instant in which it was started or ended.
func TestErrorWithoutWords(t *testing.T) {
	r := write(t, map[string]string{"main.tf": `variable "desired_count" { default = 1 }`}).open()
	ctx, cancel := context.WithCancel(t.Context())
	err := r.run(ctx, "state pull", func(_ context.Context, tf *tfexec.Terraform) error {
		cancel()
		_, err := tf.StatePull(cutShort{context.Background()})
		return err
	})
	if !errors.Is(err, ErrInterrupted) || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want ErrInterrupted and context.Canceled", err)
	}
	t.Log(err)
}

func TestInterrupted(t *testing.T) {
	m, server := slowModule(t, "http")
	r := m.open()
	m.stand()
	s := learn(t, r, count(1))
	release := touch(t, m, "hold")
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	done := begin(ctx, t, m, r, s)
	cancel()
	if err := <-done; !errors.Is(err, ErrInterrupted) || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want ErrInterrupted and context.Canceled", err)
	}
	if server.locked() {
		t.Error("the interrupted apply kept its lock")
	}
	release()
	cells, err := r.Cells(t.Context(), s)
	if err != nil || len(cells) != 2 || cells[0].Tainted || !cells[1].Tainted || cells[1].Whole() {
		t.Fatalf("cells %+v, %v: want the second tainted", cells, err)
	}
	// Kept, the half-made cell stands in the way; ordered, it is made again.
	_, err = r.Plan(t.Context(), count(2), guard.Order{Keep: keys("0", "1")}, s)
	if err == nil || !strings.Contains(err.Error(), "its making was cut short") {
		t.Errorf("got %v", err)
	}
	carryOut(t, r, count(2), guard.Order{Keep: keys("0"), Add: keys("1")}, s)
	if got := held(t, r, s); !slices.Equal(got, keys("0", "1")) {
		t.Errorf("the state holds %v", got)
	}
}

func TestTimeout(t *testing.T) {
	m, _ := slowModule(t, "local")
	r := m.open()
	m.stand()
	s := learn(t, r, count(1))
	defer touch(t, m, "hold")()
	p, err := r.Plan(t.Context(), count(2), guard.Order{Keep: keys("0"), Add: keys("1")}, s)
	if err != nil {
		t.Fatal(err)
	}
	r.cfg.Timeout = 2 * time.Second // however slow the machine, the making lasts longer
	if err := p.Apply(t.Context(), nil); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v, want ErrTimeout", err)
	}
	leftovers(t, r)
}

func TestFailingBirth(t *testing.T) {
	m, _ := slowModule(t, "local")
	r := m.open()
	m.stand()
	s := learn(t, r, count(1))
	defer touch(t, m, "fail")()
	p, err := r.Plan(t.Context(), count(2), guard.Order{Keep: keys("0"), Add: keys("1")}, s)
	if err != nil {
		t.Fatal(err)
	}
	var errored []guard.Key
	err = p.Apply(t.Context(), func(e Event) {
		if e.Kind == EventErrored {
			errored = append(errored, e.Cell)
		}
	})
	var failed *CommandError
	if !errors.As(err, &failed) || len(failed.Diagnostics) == 0 || !strings.Contains(err.Error(), "local-exec provisioner error") {
		t.Errorf("got %v, want a CommandError with Terraform's diagnostics", err)
	}
	if !slices.Equal(errored, keys("1")) {
		t.Errorf("errored cells: %v", errored)
	}
	if err := p.Apply(t.Context(), nil); !errors.Is(err, ErrUsed) {
		t.Errorf("a second apply of a plan: %v", err)
	}
}

func TestStalePlan(t *testing.T) {
	m := write(t, bare)
	r := m.open()
	m.stand("-var", "desired_count=1")
	s := learn(t, r, count(1))
	p, err := r.Plan(t.Context(), count(2), guard.Order{Keep: keys("0"), Add: keys("1")}, s)
	if err != nil {
		t.Fatal(err)
	}
	m.stand("-var", "desired_count=1", "-var", "salt=c")
	if err := p.Apply(t.Context(), nil); !errors.Is(err, ErrStale) {
		t.Errorf("got %v, want ErrStale", err)
	}
	leftovers(t, r)
}

func TestBrokenModules(t *testing.T) {
	m := write(t, bare)
	r := m.open()
	m.stand("-var", "desired_count=1")
	s := learn(t, r, count(1))
	order := guard.Order{Keep: keys("0"), Add: keys("1")}
	for _, c := range []struct {
		name, old, text string
		want            error
	}{
		{"an undeclared reference", "terraform_data.cell[*].id\n}\nresource", "terraform_data.cells[*].id\n}\nresource", ErrModule},
		{"a syntax error", `resource "terraform_data" "other"`, `resource "terraform_data" "other`, ErrModule},
		{"a module that isn't installed", `resource "terraform_data" "other"`, `module "more" {
  source = "./network"
}
resource "terraform_data" "other"`, ErrNotInitialised},
		{"a provider that isn't installed", `resource "terraform_data" "other"`, `resource "null_resource" "x" {}
resource "terraform_data" "other"`, ErrNotInitialised},
		{"another backend", `variable "salt"`, `terraform {
  backend "local" {
    path = "other.tfstate"
  }
}
variable "salt"`, ErrNotInitialised},
		{"a newer Terraform is required", `variable "salt"`, `terraform {
  required_version = ">= 99.0"
}
variable "salt"`, ErrModule},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, err := os.ReadFile(filepath.Join(m.dir, "main.tf"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = os.WriteFile(filepath.Join(m.dir, "main.tf"), before, 0o644) }()
			m.edit(c.old, c.text)
			if _, err := r.Plan(t.Context(), count(2), order, s); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			leftovers(t, r)
		})
	}
}

func TestInitKeepsTheLockFile(t *testing.T) {
	m := write(t, map[string]string{"main.tf": `
variable "desired_count" {}
resource "null_resource" "cell" {
  count = var.desired_count
}`})
	m.cfg.Binary = terraform(t)
	// An empty directory in the place of a registry: the provider is nowhere.
	m.cfg.Env = map[string]string{"TF_CLI_CONFIG_FILE": filepath.Join(m.dir, "cli.rc")}
	if err := os.WriteFile(filepath.Join(m.dir, "cli.rc"), []byte(fmt.Sprintf("provider_installation {\n filesystem_mirror {\n path = %q\n }\n}\n", t.TempDir())), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Open(m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Init(t.Context()); !errors.Is(err, ErrProvider) {
		t.Errorf("got %v, want ErrProvider", err)
	}
	if _, err := os.Stat(filepath.Join(m.dir, ".terraform.lock.hcl")); err == nil {
		t.Error("init wrote a lock file")
	}
}

func TestWorkspaceMustExist(t *testing.T) {
	m := write(t, bare)
	m.cfg.Binary = terraform(t)
	m.cfg.Workspace = "shard-1"
	r, err := Open(m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Init(t.Context()); err == nil || !strings.Contains(err.Error(), "terraform workspace new") {
		t.Errorf("got %v, want the next step", err)
	}
}
