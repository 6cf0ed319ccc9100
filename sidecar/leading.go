package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/peer"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// leading is what makes a leader of this process, whichever service it leads.
type leading struct {
	policy     *policy.Policy
	dir        string // of the policy file
	home       string // of the operator's policy file, and of what no bundle holds
	goesBy     string // the bundle that is led from, empty where nothing is published
	policyFile string // its name there; for those who make bundles
	fleet      *fleet.Client
	peers      *peer.Keys // nil: siblings are asked without a signature
	holder     fleet.Holder
	generation int
	host       birth.Host
	metrics    *loop.Metrics
	log        *slog.Logger
}

// newLeading wires a process that leads without a cell of its own.
func newLeading(p *policy.Policy, dir string, c *fleet.Client, reg prometheus.Registerer, log *slog.Logger) (*leading, error) {
	host, err := birth.ThisHost()
	if err != nil {
		return nil, err
	}
	return &leading{
		policy: p, dir: dir, home: dir, fleet: c, host: host, log: log,
		holder:  fleet.Holder{Host: host.Name, PID: os.Getpid()},
		metrics: loop.NewMetrics(reg, time.Now),
	}, nil
}

// leader makes the leader of one service. The function returned lets go of
// what it holds open.
func (n *leading) leader(s *policy.Service, lease *fleet.Lease, yield func([]fleet.Member) bool) (*loop.Leader, func(), error) {
	src, closeSources, err := sources(n.policy, s, n.host, n.peers)
	if err != nil {
		return nil, nil, fmt.Errorf("lead %s: %w", s.Name, err)
	}
	pid, started, err := birth.Self()
	if err != nil {
		closeSources()
		return nil, nil, fmt.Errorf("lead %s: %w", s.Name, err)
	}
	return loop.NewLeader(loop.LeaderConfig{
		Service: s, Behind: behind(n.policy, s), Front: loop.InFront(n.policy, s), Bundle: n.goesBy, Fleet: n.fleet, Holder: n.holder, Generation: n.generation,
		Open:    func() (*act.Root, error) { return n.open(s) },
		Self:    loop.Process{Machine: n.host.Machine, Boot: n.host.Boot, Host: n.host.Name, PID: pid, Started: started},
		Feeders: loop.Feeders(n.policy, s),
		Sources: src, Metrics: n.metrics, Log: n.log,
		YieldTo:     yield,
		Guests:      loop.HasGuests(n.policy, s.Name),
		PauseFile:   filepath.Join(n.home, "homeostat.paused"),
		Incarnation: incarnation,
		Jitter:      mrand.Float64,
		Now:         time.Now,
	}, lease), closeSources, nil
}

// behind are the services that one needs.
func behind(p *policy.Policy, s *policy.Service) []*policy.Service {
	var all []*policy.Service
	for _, name := range s.Needs {
		all = append(all, p.Service(name))
	}
	return all
}

// incarnation names a new life of a cell.
func incarnation() string {
	// crypto/rand's reader never fails: it ends the program first.
	name, _ := birth.NewIncarnation(time.Now(), rand.Reader)
	return name
}

// open opens a service's root module with a data directory of this process's
// own, so that two sidecars never share Terraform's.
func (n *leading) open(s *policy.Service) (*act.Root, error) {
	t := s.Terraform
	data, err := n.dataDir(s)
	if err != nil {
		return nil, err
	}
	if err := act.SweepBeside(data); err != nil {
		n.log.Warn("plans that a dead leader left may lie about", "service", s.Name, "error", err)
	}
	return act.Open(act.Config{
		Dir: n.resolve(t.Dir), DataDir: data, Variable: t.Variable, Binary: t.Binary, Workspace: t.Workspace,
		Parallelism: t.Parallelism, Timeout: t.Timeout, LockTimeout: t.LockTimeout,
		VarFiles: t.VarFiles, EphemeralVars: t.EphemeralVars, BackendConfig: t.BackendConfig, Env: n.terraformEnv(s),
		MayChange: t.MayChange, OnForeignChange: t.OnForeignChange,
		Limits: guard.Limits{Destroys: s.Limits.DestroysPerApply},
		Log:    n.log.With("service", s.Name),
	})
}

// resolve makes a path of the policy absolute.
func (n *leading) resolve(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(n.dir, path)
}

// dataDir is where Terraform keeps its own data for this process: beside the
// root module, under the name of the cell or of this process's host.
func (n *leading) dataDir(s *policy.Service) (string, error) {
	name := n.holder.Cell
	if name == "" {
		name = "alone-" + n.host.Name
	}
	dir := filepath.Join(n.resolve(s.Terraform.Dir), ".terraform", "homeostat", name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make a folder for Terraform's data: %w", err)
	}
	return dir, nil
}

// lead leads until ctx ends, the lease is lost, or the leader steps down.
func (n *leading) lead(ctx context.Context, s *policy.Service, lease *fleet.Lease, yield func([]fleet.Member) bool) error {
	l, done, err := n.leader(s, lease, yield)
	if err != nil {
		return err
	}
	defer done()
	return l.Run(ctx)
}
