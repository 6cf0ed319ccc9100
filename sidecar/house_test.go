package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// needServers skips a test that needs real servers when only short tests run.
func needServers(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Consul and Terraform")
	}
}

// house is one service of real cells: local processes made by the real
// provider through the real Terraform, registered in a Consul of their own.
type house struct {
	t         testing.TB
	dir       string
	consul    *testkit.ConsulServer
	fleet     *fleet.Client
	program   string // the homeostat program
	terraform string
	state     string                 // the state's file, where it isn't in the root module
	readState func() ([]byte, error) // the state's content, where it is in no file
	env       []string
}

// houseOptions are what differs between tests.
type houseOptions struct {
	Policy  string   // inside service "pod", after terraform
	Above   string   // beside the service
	Beat    string   // 500ms by default
	Min     int      // 1 by default
	Max     int      // 8 by default
	Command []string // of the application; sleep by default
	Module  string   // main.tf; local cells by default
	Initial int      // cells that a person's first apply makes
	Address string   // another at which Consul can be reached, by which all reach it
	Consul  testkit.ConsulOptions
}

// newHouse lays out policy and root module and starts Consul. Nothing of it is
// left when the test ends.
func newHouse(t testing.TB, o houseOptions) *house {
	t.Helper()
	build := testkit.Provider(t)
	o.Consul.Also = o.Address
	h := &house{
		t: t, dir: t.TempDir(), consul: testkit.ConsulWith(t, o.Consul),
		program: testkit.Sidecar(t), terraform: testkit.Terraform(t), env: build.Environment(),
	}
	root, err := testkit.Root()
	h.must(err)
	if o.Command == nil {
		o.Command = []string{"sleep", "100000"}
	}
	if o.Module == "" {
		o.Module = h.localCells(filepath.Join(root, "modules", "local-cells"), o)
	}
	h.write("pod/main.tf", o.Module)
	h.write("homeostat.hcl", fmt.Sprintf(`
consul { address = %q }
%s
service "pod" {
  min  = %d
  max  = %d
  beat = %q
  terraform {
    dir          = "pod"
    lock_timeout = "2s"
    env          = { TF_CLI_CONFIG_FILE = %q }
  }
%s
}
`, h.consulAt(o.Address), o.Above, cmp.Or(o.Min, 1), cmp.Or(o.Max, 8), cmp.Or(o.Beat, "500ms"), build.CLIConfig, o.Policy))
	h.fleet, err = fleet.New(fleet.Config{Addresses: []string{h.consul.Addr()}})
	h.must(err)
	t.Cleanup(h.fleet.Close)
	t.Cleanup(h.clear)
	return h
}

func (h *house) localCells(module string, o houseOptions) string {
	command, err := json.Marshal(append([]string{h.program, "run", "-policy", h.policy(), "--"}, o.Command...))
	h.must(err)
	return fmt.Sprintf(`
terraform {
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
  }
}
provider "homeostat" {
  consul          = { address = %q }
  state_directory = %q
}
variable "desired_count" {
  type    = number
  default = null
}
variable "cell_names" {
  type    = list(string)
  default = null
}
module "cells" {
  source        = %q
  service       = "pod"
  desired_count = var.desired_count
  cell_names    = var.cell_names
  initial_count = %d
  command       = %s
  timeouts      = { create = "30s", delete = "30s" }
}
`, h.consul.Addr(), filepath.Join(h.dir, "cells"), module, max(o.Initial, 1), command)
}

// consulAt is Consul's address, as those reach it that are at another of this host's.
func (h *house) consulAt(host string) string {
	_, port, err := net.SplitHostPort(h.consul.Addr())
	h.must(err)
	return net.JoinHostPort(cmp.Or(host, "127.0.0.1"), port)
}

func (h *house) policy() string { return filepath.Join(h.dir, "homeostat.hcl") }
func (h *house) module() string { return filepath.Join(h.dir, "pod") }

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) write(name, content string) {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	h.must(os.MkdirAll(filepath.Dir(path), 0o755))
	h.must(os.WriteFile(path, []byte(content), 0o644))
}

// run runs a program in the root module and returns its output and exit code.
func (h *house) run(program string, args ...string) (string, int) {
	h.t.Helper()
	// An apply may wait for a machine as long as its module's timeouts say, up to 4 min.
	ctx, cancel := context.WithTimeout(h.t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = h.module(), append(h.env, "HOMEOSTAT_POLICY="+h.policy())
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("%s %v: %v", program, args, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (h *house) homeostat(args ...string) (string, int) {
	h.t.Helper()
	return h.run(h.program, args...)
}

// succeed runs homeostat and fails the test on any exit code but 0.
func (h *house) succeed(args ...string) string {
	h.t.Helper()
	out, code := h.homeostat(args...)
	if code != 0 {
		h.t.Fatalf("homeostat %v: exit %d\n%s", args, code, out)
	}
	return out
}

// apply is a person's own terraform init and apply.
func (h *house) apply() {
	h.t.Helper()
	for _, command := range [][]string{{"init", "-no-color"}, {"apply", "-no-color", "-auto-approve"}} {
		if out, code := h.run(h.terraform, command...); code != 0 {
			h.t.Fatalf("terraform %v: exit %d\n%s\n%s", command, code, out, h.logs())
		}
	}
}

// destroy is a person's own terraform destroy.
func (h *house) destroy() {
	h.t.Helper()
	if out, code := h.run(h.terraform, "destroy", "-no-color", "-auto-approve"); code != 0 {
		h.t.Fatalf("terraform destroy: exit %d\n%s\n%s", code, out, h.logs())
	}
}

// status is what `homeostat status -json` says of the service.
func (h *house) status() loop.Status {
	h.t.Helper()
	var all []loop.Status
	h.must(json.Unmarshal([]byte(h.succeed("status", "-json")), &all))
	return all[0]
}

// settled waits until everything that can be seen from outside agrees on n
// cells: the record, the state's addresses, Consul's passing members and the
// processes of this machine.
func (h *house) settled(n int, limit time.Duration) {
	h.t.Helper()
	err := testkit.PollEvery(h.t.Context(), seldom, limit, func(ctx context.Context) error { return h.agree(ctx, n) })
	if err != nil {
		h.t.Fatalf("after %s: %v\n%s", limit, err, h.logs())
	}
}

// agree returns how the four views differ. It begins with the one that costs least
// to look at.
func (h *house) agree(ctx context.Context, n int) error {
	record, _, err := h.fleet.Record(ctx, "pod")
	if err != nil {
		return err
	}
	if len(record.Names) != n || len(record.Orders) > 0 {
		return fmt.Errorf("record: %v; want %d, and no order left: %+v", record.Names, n, record.Orders)
	}
	members, err := h.fleet.Members(ctx, "pod")
	if err != nil {
		return err
	}
	var passing []string
	for _, m := range members {
		passing = append(passing, m.Name)
		if m.Health != fleet.Passing {
			return fmt.Errorf("%s is %s: %s", m.Name, m.Health, m.Output)
		}
	}
	state, err := h.stateCells()
	if err != nil {
		return err
	}
	views := map[string][]string{"record": record.Names, "Consul": passing, "state": state, "processes": h.processes()}
	for name, cells := range views {
		slices.Sort(cells)
		if len(cells) != n || !slices.Equal(cells, views["record"]) {
			return fmt.Errorf("%s: %v; want %d, the same in all of %v", name, cells, n, views)
		}
	}
	return nil
}

// stateCells reads the names of the cells from the state, as Terraform wrote it.
func (h *house) stateCells() ([]string, error) {
	read := h.readState
	if read == nil {
		read = func() ([]byte, error) {
			return os.ReadFile(cmp.Or(h.state, filepath.Join(h.module(), "terraform.tfstate")))
		}
	}
	b, err := read()
	if err != nil {
		return nil, err
	}
	var state struct {
		Resources []struct {
			Mode, Type string
			Instances  []struct {
				Attributes struct {
					Name string `json:"name"`
				} `json:"attributes"`
			} `json:"instances"`
		} `json:"resources"`
	}
	if err := json.Unmarshal(b, &state); err != nil {
		return nil, err
	}
	var names []string
	for _, r := range state.Resources {
		if r.Mode != "managed" || r.Type != "homeostat_cell" {
			continue
		}
		for _, i := range r.Instances {
			names = append(names, i.Attributes.Name)
		}
	}
	return names, nil
}

// process is one marked process of this house.
type process struct {
	PID     int
	Cell    string
	Command []string
}

// marked lists the processes of this machine that belong to this house: they
// carry its policy's path in their environment or their arguments.
func (h *house) marked() []process {
	entries, err := os.ReadDir("/proc")
	h.must(err)
	var out []process
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscanf(e.Name(), "%d", &pid); err != nil || pid == os.Getpid() {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		cmdline, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if !bytes.Contains(environ, []byte(h.dir)) && !bytes.Contains(cmdline, []byte(h.policy())) {
			continue
		}
		p := process{PID: pid, Command: strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")}
		for _, v := range bytes.Split(environ, []byte{0}) {
			if id, ok := strings.CutPrefix(string(v), "HOMEOSTAT_CELL="); ok {
				p.Cell = id
			}
		}
		if len(cmdline) > 0 { // a zombie has none
			out = append(out, p)
		}
	}
	return out
}

// sidecars are the cells' first processes.
func (h *house) sidecars() []process {
	return slices.DeleteFunc(h.marked(), func(p process) bool {
		return p.Cell == "" || len(p.Command) < 2 || p.Command[0] != h.program || p.Command[1] != "run"
	})
}

func (h *house) processes() []string {
	var names []string
	for _, p := range h.sidecars() {
		names = append(names, p.Cell)
	}
	return names
}

// sidecar is the process of one cell's sidecar.
func (h *house) sidecar(cell string) int {
	h.t.Helper()
	for _, p := range h.sidecars() {
		if p.Cell == cell {
			return p.PID
		}
	}
	h.t.Fatalf("no sidecar of %s runs: %v", cell, h.sidecars())
	return 0
}

func (h *house) kill(pid int) {
	h.t.Helper()
	if pid <= 0 {
		h.t.Fatal("the process to kill isn't there")
	}
	h.must(syscall.Kill(pid, syscall.SIGKILL))
}

// killCell ends every process of a cell at once, as a machine's end would, and
// waits until none is seen any more.
func (h *house) killCell(cell string) {
	h.t.Helper()
	testkit.Await(h.t, 10*time.Second, func(context.Context) error {
		left := 0
		for _, p := range h.marked() {
			if p.Cell == cell {
				left++
				_ = syscall.Kill(p.PID, syscall.SIGKILL) // it may have ended with its parent
			}
		}
		if left > 0 {
			return fmt.Errorf("%d processes of %s are left", left, cell)
		}
		return nil
	})
}

// clear ends what the test left, whatever state it is in.
func (h *house) clear() {
	for range 3 {
		for _, p := range h.marked() {
			_ = syscall.Kill(p.PID, syscall.SIGKILL) // it may have ended meanwhile
		}
		time.Sleep(100 * time.Millisecond)
	}
	if left := h.marked(); len(left) > 0 {
		h.t.Errorf("left behind: %v", left)
	}
}

// logs are the last lines of every sidecar, for a failure's message.
func (h *house) logs() string {
	paths, _ := filepath.Glob(filepath.Join(h.dir, "cells", "pod", "*", "*.log"))
	var b strings.Builder
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(&b, "--- %s\n%s\n", path, strings.Join(lines[max(0, len(lines)-25):], "\n"))
	}
	return b.String()
}
