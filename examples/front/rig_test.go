package front

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

const (
	checker = "health-checker"
	// gossipKey is the secret of this test's servers.
	gossipKey = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="
)

// rig is the example, laid out as in the repository, with its own first server.
type rig struct {
	dir, terraform string
	environment    []string
	consul         *testkit.ConsulServer
	servers        []string // where each is asked
	fleet          *fleet.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Consul and runs Terraform")
	}
	provider := testkit.Provider(t)
	r := &rig{dir: t.TempDir(), terraform: testkit.Terraform(t), environment: provider.Environment()}
	t.Cleanup(func() { // after all others
		if left := r.processes(t, ""); len(left) > 0 && !t.Failed() {
			t.Errorf("%d processes of cells are left", len(left))
		}
		r.kill(t, "")
	})
	r.consul = testkit.ConsulWith(t, testkit.ConsulOptions{Config: fmt.Sprintf("encrypt = %q", gossipKey)})
	binary, err := testkit.ConsulBinary(t.Context())
	must(t, err)
	port := freePorts(t, 9)
	r.servers = []string{r.consul.Addr(), address(port), address(port + 3)}
	root, err := testkit.Root()
	must(t, err)
	for _, folder := range []string{"modules", "examples/front/terraform"} {
		must(t, os.CopyFS(filepath.Join(r.dir, folder), os.DirFS(filepath.Join(root, folder))))
	}
	r.run(t, root, "go", "build", "-o", filepath.Join(r.dir, "bin", "homeostat"), "./sidecar")
	r.run(t, root, "go", "build", "-o", filepath.Join(r.dir, "bin", "web"), "./examples/ssh/web")
	policy, err := os.ReadFile("homeostat.hcl")
	must(t, err)
	r.write(t, r.policy(), []byte(strings.NewReplacer("127.0.0.1:8500", r.servers[0], "127.0.0.1:18500", r.servers[1], "127.0.0.1:18503", r.servers[2]).Replace(string(policy))))
	r.write(t, filepath.Join(r.dir, "consul.hcl"), fmt.Appendf(nil, "encrypt = %q\nlimits { http_max_conns_per_client = 2000 }\n", gossipKey))
	settings := map[string]any{
		"programs": filepath.Join(r.dir, "bin"), "policy": r.policy(), "consul_addresses": r.servers,
		"state_directory": filepath.Join(r.dir, "cells"), "environment": map[string]string{"TF_CLI_CONFIG_FILE": provider.CLIConfig},
	}
	r.settings(t, "api", settings)
	r.settings(t, "front", settings)
	settings["first_server"], settings["first_port"], settings["consul"] = r.gossip(t), port, binary
	settings["config_file"], settings["data_directory"] = filepath.Join(r.dir, "consul.hcl"), filepath.Join(r.dir, "data")
	r.settings(t, checker, settings)
	r.fleet, err = fleet.New(fleet.Config{Addresses: r.servers})
	must(t, err)
	t.Cleanup(r.fleet.Close)
	return r
}

func (r *rig) policy() string { return filepath.Join(r.dir, "examples/front/homeostat.hcl") }

func (r *rig) module(service string) string {
	return filepath.Join(r.dir, "examples/front/terraform", service)
}

func (r *rig) settings(t *testing.T, service string, settings map[string]any) {
	t.Helper()
	text, err := json.Marshal(settings)
	must(t, err)
	r.write(t, filepath.Join(r.module(service), "terraform.tfvars.json"), text)
}

func (r *rig) write(t *testing.T, path string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(path, content, 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePorts is the first of n free ports that follow each other, below those that
// the kernel gives away.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for range 100 {
		first := 15000 + rand.IntN(15000)
		var taken []net.Listener
		for port := first; port < first+n; port++ {
			if l, err := net.Listen("tcp", address(port)); err == nil {
				taken = append(taken, l)
			}
		}
		for _, l := range taken {
			must(t, l.Close())
		}
		if len(taken) == n {
			return first
		}
	}
	t.Fatalf("no %d free ports in a row", n)
	return 0
}

// gossip is where the first server listens for others.
func (r *rig) gossip(t *testing.T) string {
	t.Helper()
	client, err := r.consul.Client()
	must(t, err)
	members, err := client.Agent().Members(false)
	must(t, err)
	return net.JoinHostPort(members[0].Addr, strconv.Itoa(int(members[0].Port)))
}

func (r *rig) run(t *testing.T, dir, program string, arguments ...string) string {
	t.Helper()
	command := exec.Command(program, arguments...)
	command.Dir, command.Env = dir, r.environment
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(arguments, " "), err, output)
	}
	return string(output)
}

// homeostat runs the program once Consul takes it: while the servers vote for
// another leader it takes nothing.
func (r *rig) homeostat(t *testing.T, command string, arguments ...string) {
	t.Helper()
	err := testkit.Poll(context.WithoutCancel(t.Context()), limit, func(ctx context.Context) error {
		arguments := slices.Concat([]string{command, "-policy", r.policy()}, arguments)
		program := exec.CommandContext(ctx, filepath.Join(r.dir, "bin", "homeostat"), arguments...)
		program.Env = r.environment
		if out, err := program.CombinedOutput(); err != nil {
			return fmt.Errorf("homeostat %s: %w: %s", command, err, out)
		}
		return nil
	})
	must(t, err)
}

func (r *rig) pin(t *testing.T, service string, count int) {
	t.Helper()
	r.homeostat(t, "pin", service, strconv.Itoa(count))
}

// up makes a service as a person would, and removes it at the end.
func (r *rig) up(t *testing.T, service string) {
	t.Helper()
	r.run(t, r.module(service), r.terraform, "init", "-input=false")
	t.Cleanup(func() {
		if t.Failed() {
			r.showLogs(t)
			return
		}
		r.homeostat(t, "pause")
		r.run(t, r.module(service), r.terraform, "destroy", "-auto-approve", "-input=false", "-lock-timeout=1m")
	})
	r.run(t, r.module(service), r.terraform, "apply", "-auto-approve", "-input=false")
}

func (r *rig) output(t *testing.T, service, name string) (text string) {
	t.Helper()
	must(t, json.Unmarshal([]byte(r.run(t, r.module(service), r.terraform, "output", "-json", name)), &text))
	return text
}

// addresses are where clients reach the fronts.
func (r *rig) addresses(t *testing.T) (all []string) {
	t.Helper()
	must(t, json.Unmarshal([]byte(r.run(t, r.module("front"), r.terraform, "output", "-json", "addresses")), &all))
	if len(all) != 2 {
		t.Fatalf("the fronts are at %q", all)
	}
	return all
}

func (r *rig) showLogs(t *testing.T) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(r.dir, "cells/*/*/cell.log"))
	must(t, err)
	for _, log := range logs {
		if content, err := os.ReadFile(log); err == nil {
			lines := strings.Split(string(content), "\n")
			t.Logf("%s:\n%s", log, strings.Join(lines[max(0, len(lines)-40):], "\n"))
		}
	}
}

// awaitReady waits until a service has that many ready cells, and no order is left.
func (r *rig) awaitReady(t *testing.T, service string, want int) {
	t.Helper()
	testkit.Await(t, limit, func(ctx context.Context) error {
		s := loop.ReadStatus(ctx, r.fleet, service)
		if len(s.Unknown) > 0 || s.Ready != want || len(s.Orders) > 0 || s.Count == nil || *s.Count != want {
			return fmt.Errorf("%s: %d ready, want %d; orders %+v, unknown %v", service, s.Ready, want, s.Orders, s.Unknown)
		}
		return nil
	})
}

// life is the incarnation of a server that is a cell.
func (r *rig) life(t *testing.T, cell string) string {
	t.Helper()
	m, err := r.fleet.Member(t.Context(), checker, cell)
	must(t, err)
	return m.Incarnation
}

// awaitAnotherLife waits until a cell that was killed lives again.
func (r *rig) awaitAnotherLife(t *testing.T, cell, killed string) {
	t.Helper()
	testkit.Await(t, limit, func(ctx context.Context) error {
		m, err := r.fleet.Member(ctx, checker, cell)
		if err == nil && (m.Incarnation == killed || m.Health != fleet.Passing) {
			err = fmt.Errorf("%s is %s: %s", m.ID(), m.Health, m.Output)
		}
		return err
	})
}

// awaitVoters waits until these servers, and no others, have a say, and all are well.
func (r *rig) awaitVoters(t *testing.T, want ...string) {
	t.Helper()
	testkit.Await(t, limit, func(ctx context.Context) error {
		health, err := r.health(ctx)
		if err != nil {
			return err
		}
		var got []string
		for _, server := range health.Servers {
			if server.Voter {
				got = append(got, server.Name)
			}
		}
		slices.Sort(got)
		if !health.Healthy || !slices.Equal(got, want) {
			return fmt.Errorf("voters are %q, all well: %t; want %q", got, health.Healthy, want)
		}
		return nil
	})
}

// health is what the first server that answers says of all.
func (r *rig) health(ctx context.Context) (*api.OperatorHealthReply, error) {
	var last error
	for _, server := range r.servers {
		client, err := api.NewClient(&api.Config{Address: server, Transport: &http.Transport{DisableKeepAlives: true}})
		if err != nil {
			return nil, err
		}
		health, err := client.Operator().AutopilotServerHealth((&api.QueryOptions{}).WithContext(ctx))
		if err == nil {
			return health, nil
		}
		last = err
	}
	return nil, last
}

// nodeID is the id that a server keeps with its data.
func (r *rig) nodeID(t *testing.T, cell string) string {
	t.Helper()
	id, err := os.ReadFile(filepath.Join(r.dir, "data", cell, "node-id"))
	must(t, err)
	return string(id)
}

// keepsSecret looks for the gossip key in states, process lists and environments.
func (r *rig) keepsSecret(t *testing.T) {
	t.Helper()
	must(t, filepath.WalkDir(filepath.Join(r.dir, "examples"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if content, err := os.ReadFile(path); err == nil && bytes.Contains(content, []byte(gossipKey)) {
			t.Errorf("%s has the gossip key", path)
		}
		return nil
	}))
	for _, pid := range r.processes(t, "") {
		for _, file := range []string{"cmdline", "environ"} {
			content, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file)) // it may have ended
			if bytes.Contains(content, []byte(gossipKey)) {
				t.Errorf("%s of process %d has the gossip key", file, pid)
			}
		}
	}
}

// processes are those of a cell, or of all cells of the rig.
func (r *rig) processes(t *testing.T, cell string) (pids []int) {
	t.Helper()
	end := "\x00"
	if cell == "" {
		end = ""
	}
	entries, err := os.ReadDir("/proc")
	must(t, err)
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ")) // it may have ended
		command, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline")) // as above
		ours := bytes.Contains(environ, []byte(r.dir)) || bytes.Contains(command, []byte(r.dir))
		if ours && bytes.Contains(environ, []byte("HOMEOSTAT_CELL="+cell+end)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// kill ends all processes of a cell, as the end of a machine would, or of all cells.
func (r *rig) kill(t *testing.T, cell string) {
	t.Helper()
	// Not by the test's context, which a clean-up doesn't have any more.
	err := testkit.Poll(context.WithoutCancel(t.Context()), 30*time.Second, func(context.Context) error {
		left := r.processes(t, cell)
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended with its parent
		}
		if len(left) > 0 {
			return fmt.Errorf("%d processes of %q are left", len(left), cell)
		}
		return nil
	})
	must(t, err)
}
