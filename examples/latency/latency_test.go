// Package latency holds the test of the example as a whole: real Terraform and
// Consul, the provider and the sidecar built from this tree.
package latency

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	bound = 250 * time.Millisecond // as in homeostat.hcl
	limit = 4 * time.Minute        // for anything awaited, on a busy machine
)

// rig is the example, laid out as in the repository, with its own Consul.
type rig struct {
	dir, module, terraform string
	environment            []string
	consul                 *testkit.ConsulServer
	fleet                  *fleet.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Consul and runs Terraform")
	}
	provider := testkit.Provider(t)
	r := &rig{dir: t.TempDir(), terraform: testkit.Terraform(t), consul: testkit.Consul(t)}
	r.module = filepath.Join(r.dir, "examples/latency/terraform/server")
	r.environment = append(provider.Environment(), "CONSUL_HTTP_ADDR="+r.consul.Addr())
	root, err := testkit.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"modules", "examples/latency/terraform"} {
		if err := os.CopyFS(filepath.Join(r.dir, folder), os.DirFS(filepath.Join(root, folder))); err != nil {
			t.Fatal(err)
		}
	}
	r.run(t, root, "go", "build", "-o", filepath.Join(r.dir, "bin")+"/", "./examples/latency/server", "./examples/latency/load")
	r.run(t, root, "go", "build", "-o", filepath.Join(r.dir, "bin", "homeostat"), "./sidecar")
	source, err := os.ReadFile("homeostat.hcl")
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, r.policy(), []byte(strings.ReplaceAll(string(source), "127.0.0.1:8500", r.consul.Addr())))
	settings, err := json.Marshal(map[string]any{
		"programs": filepath.Join(r.dir, "bin"), "policy": r.policy(), "consul_address": r.consul.Addr(),
		"state_directory": filepath.Join(r.dir, "cells"),
		"environment":     map[string]string{"TF_CLI_CONFIG_FILE": provider.CLIConfig},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, filepath.Join(r.module, "terraform.tfvars.json"), settings)
	if r.fleet, err = fleet.New(fleet.Config{Addresses: []string{r.consul.Addr()}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.fleet.Close)
	return r
}

func (r *rig) policy() string { return filepath.Join(r.dir, "examples/latency/homeostat.hcl") }

func (r *rig) write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) run(t *testing.T, dir, program string, arguments ...string) {
	t.Helper()
	command := exec.Command(program, arguments...)
	command.Dir, command.Env = dir, r.environment
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(arguments, " "), err, output)
	}
}

// up makes the service as a person would, and removes it at the end.
func (r *rig) up(t *testing.T) {
	t.Helper()
	r.run(t, r.module, r.terraform, "init", "-input=false")
	t.Cleanup(func() {
		if t.Failed() {
			r.showLogs(t)
		}
		r.run(t, r.dir, filepath.Join(r.dir, "bin", "homeostat"), "pause", "-policy", r.policy())
		r.run(t, r.module, r.terraform, "destroy", "-auto-approve", "-input=false", "-lock-timeout=1m")
	})
	r.run(t, r.module, r.terraform, "apply", "-auto-approve", "-input=false")
}

func (r *rig) showLogs(t *testing.T) {
	logs, err := filepath.Glob(filepath.Join(r.dir, "cells/*/*/cell.log"))
	if err != nil {
		t.Error(err)
	}
	for _, log := range logs {
		if content, err := os.ReadFile(log); err == nil {
			t.Logf("%s:\n%s", log, content)
		}
	}
}

// ready counts the ready cells.
func (r *rig) ready(ctx context.Context) (int, error) {
	status := loop.ReadStatus(ctx, r.fleet, "server")
	if len(status.Unknown) > 0 {
		return 0, fmt.Errorf("unknown: %v", status.Unknown)
	}
	return status.Ready, nil
}

// load is a load generator, and the p99 of each of its seconds.
type load struct {
	mu   sync.Mutex
	p99s []time.Duration
}

// load sends at a rate until the test ends.
func (r *rig) load(t *testing.T, rate int) *load {
	t.Helper()
	l := &load{}
	command := exec.Command(filepath.Join(r.dir, "bin", "load"), "-rate", fmt.Sprint(rate))
	command.Env, command.Stderr = r.environment, t.Output()
	lines, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for scanner := bufio.NewScanner(lines); scanner.Scan(); {
			l.note(t, scanner.Text())
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		<-read
		if err := command.Wait(); err != nil {
			t.Errorf("the load generator: %v", err)
		}
	})
	return l
}

func (l *load) note(t *testing.T, line string) {
	t.Log(line)
	_, after, found := strings.Cut(line, "p99 ")
	text, _, _ := strings.Cut(after, ",")
	p99, err := time.ParseDuration(text)
	if !found || err != nil {
		t.Errorf("the load generator wrote %q", line)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.p99s = append(l.p99s, p99)
}

// awaitSeconds waits until the newest n seconds are as wanted, all but a third of
// them: a busy machine has slow seconds of its own.
func (l *load) awaitSeconds(t *testing.T, n int, what string, wanted func(p99 time.Duration) bool) {
	t.Helper()
	testkit.Await(t, limit, func(context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.p99s) < n {
			return fmt.Errorf("no %d seconds yet", n)
		}
		newest, otherwise := l.p99s[len(l.p99s)-n:], 0
		for _, p99 := range newest {
			if !wanted(p99) {
				otherwise++
			}
		}
		if 3*otherwise > n {
			return fmt.Errorf("%s: p99 is %s", what, newest)
		}
		return nil
	})
}

func within(p99 time.Duration) bool  { return p99 > 0 && p99 <= bound }
func outside(p99 time.Duration) bool { return p99 > bound }

// The offered rate doubles, p99 leaves its bound, a cell is added, p99 returns.
func TestLatencyAloneAddsACell(t *testing.T) {
	r := newRig(t)
	r.up(t)
	first := r.load(t, 16)
	first.awaitSeconds(t, 6, "before the rate doubles", within)
	before, err := r.ready(t.Context())
	if err != nil || before == 0 {
		t.Fatalf("%d ready: %v", before, err)
	}
	second := r.load(t, 16*before)
	second.awaitSeconds(t, 1, "after the rate doubled", outside)
	testkit.Await(t, limit, func(ctx context.Context) error {
		now, err := r.ready(ctx)
		if err == nil && now <= before {
			err = fmt.Errorf("%d cells are ready, as before", now)
		}
		return err
	})
	second.awaitSeconds(t, 6, "with more cells", within)
}
