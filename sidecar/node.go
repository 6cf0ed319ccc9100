package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/cell"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/front"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/local"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/pairing"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/peer"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// node is one running sidecar.
type node struct {
	leading *leading
	service *policy.Service // as it was last read; nobody but who leads looks at it after the start
	// began and own are the policy and the service that the cell began with. What runs
	// beside the application goes by them: a signal changes only what leads.
	began    *policy.Policy
	own      *policy.Service
	registry *prometheus.Registry
	listener net.Listener
	cell     *cell.Cell       // nil for a leader alone
	app      *application     // nil for a leader alone
	database *sense.Postgres  // that the cell is; nil for one that is none
	partner  *pairing.Partner // of the cell; nil for one that is paired with none
	local    *local.Listener  // for the application; nil for a leader alone
	spool    *spooling        // nil where the policy has none
	adopter  *adopter         // of others' spools; nil where the cell has none itself
	proxy    *ownProxy        // nil where the policy has no proxy
	siblings *front.Cells     // of the cell; nil where it has no proxy
	machine  *install.Machine // that the cell was made of; nil for a process among others
	// closePartner lets go of connections to partners.
	closePartner func()
	// ended has room for all that can end by itself: the application that can't be
	// run, the cell that has left, and the proxy's two listeners.
	ended chan error
}

// newNode checks everything that can be checked before anything is started.
func (s *settings) newNode(ctx context.Context, std stdio, o runOptions) (*node, error) {
	p, err := s.load(std)
	if err != nil {
		return nil, err
	}
	service, err := oneService(p, o.service)
	if err != nil {
		return nil, err
	}
	if o.cell == "" && len(o.command) > 0 {
		return nil, fmt.Errorf("a command was given but no cell: name it with -cell or HOMEOSTAT_CELL")
	}
	for name, port := range map[string]int{"port": o.port, "app-port": o.appPort} {
		if port < 0 || port > 65535 {
			return nil, fmt.Errorf("-%s %d is no port", name, port)
		}
	}
	log, err := s.logger(std.Err)
	if err != nil {
		return nil, err
	}
	dir, err := s.dir()
	if err != nil {
		return nil, err
	}
	keys, err := peerKeys(p, dir, log)
	if err != nil {
		return nil, err
	}
	c, err := connect(p, keys, log)
	if err != nil {
		return nil, err
	}
	n := &node{service: service, began: p, own: service, registry: newRegistry(), ended: make(chan error, 4)}
	if n.leading, err = newLeading(p, dir, c, n.registry, log); err != nil {
		return nil, err
	}
	n.leading.peers = keys
	n.leading.policyFile = filepath.Base(s.path())
	if n.listener, err = net.Listen("tcp", o.listen); err != nil {
		return nil, fmt.Errorf("listen for vitals: %w", err)
	}
	if err := checkListen(n.listener.Addr(), keys); err != nil {
		return nil, errors.Join(err, n.listener.Close())
	}
	if o.cell == "" {
		return n, nil
	}
	return n, n.makeCell(ctx, std, o)
}

// makeCell wires the cell and the application beside this sidecar.
func (n *node) makeCell(ctx context.Context, std stdio, o runOptions) error {
	identity, err := n.identity(o)
	if err != nil {
		return err
	}
	if n.local, err = local.Listen(ctx, o.local); err != nil {
		return err
	}
	if n.service.Proxy != nil {
		n.siblings = n.siblingsOf(identity)
		if n.proxy, err = n.newProxy(&identity, o); err != nil {
			return err
		}
	}
	if n.app, err = newApplication(n.service, &identity, n.proxy, o, n.local.URL(), std.Err, n.leading.log); err != nil {
		return err
	}
	// A front, or any other of our commands beside this sidecar, goes by its policy.
	n.app.Environment = append(n.app.Environment, "HOMEOSTAT_POLICY="+filepath.Join(n.leading.home, n.leading.policyFile))
	n.leading.holder.Service, n.leading.holder.Cell = n.service.Name, identity.Name
	n.leading.holder.Incarnation, n.leading.holder.Vitals = identity.Incarnation, identity.Vitals
	n.leading.generation = identity.Generation
	claim, err := n.madeOf(identity)
	if err != nil {
		return err
	}
	if n.machine != nil {
		// Machines of one image may have one id, and a leader that takes a cell for
		// one of its own machine takes it for dead where it doesn't find its process.
		n.leading.host.Machine = identity.Address + "/" + n.leading.host.Machine
		identity.Machine = n.leading.host.Machine
	}
	cfg := cell.Config{
		Service: n.service, Identity: identity, Fleet: n.leading.fleet, App: n.app,
		Version: o.version, Log: n.leading.log, Now: time.Now,
	}
	n.partner, n.closePartner = newPartner(n.service, identity, n.leading)
	if n.database, err = database(n.service, identity); err != nil {
		return err
	}
	if n.database != nil {
		cfg.Database = n.database.Look
	}
	if command := n.service.Drain.Command; len(command) > 0 {
		cfg.Move = func(ctx context.Context) error { return runMove(ctx, command, n.app.Environment, n.leading.log) }
	}
	if n.machine != nil {
		cfg.Leave = func(ctx context.Context, o fleet.LeaveOrder) error {
			n.leading.peers.MayGo() // birth has brought the file
			return n.machine.Leave(ctx, o.ID(), o.Reuse)
		}
		cfg.Reusable, cfg.Door = claim.Reuse && claim.Door != nil, n.door
	}
	if n.proxy != nil {
		cfg.Proxy = n.proxy
	}
	n.cell = cell.New(cfg)
	return n.openSpool(ctx)
}

// door is what to say of the access by which the birth got into the machine.
func (n *node) door() string {
	c, err := n.machine.Claim()
	if err != nil || c == nil || c.Door == nil {
		return ""
	}
	if shut, err := door.IsShut(*c.Door); err != nil || !shut {
		return fleet.DoorOpen
	}
	return fleet.DoorShut
}

// madeOf finds the machine that this very cell was made of, with what it says of
// that; nil for a cell that is a process among others.
func (n *node) madeOf(identity fleet.Cell) (*install.Claim, error) {
	m := install.This(n.leading.log)
	c, err := m.Claim()
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil // whose sidecar isn't root is none that a birth put there
	}
	if err != nil || c == nil || c.Service != identity.Service || c.ID() != identity.ID() {
		return nil, err
	}
	n.machine = m
	return c, nil
}

// identity is who the cell is: what its birth put into the environment, and
// what this process knows of itself.
func (n *node) identity(o runOptions) (fleet.Cell, error) {
	pid, started, err := birth.Self()
	if err != nil {
		return fleet.Cell{}, err
	}
	generation, _ := strconv.Atoi(os.Getenv("HOMEOSTAT_GENERATION")) // 0 where a person applied
	bornAt, err := time.Parse(time.RFC3339Nano, os.Getenv("HOMEOSTAT_BORN_AT"))
	if err != nil {
		bornAt = time.Now()
	}
	return fleet.Cell{
		Service: n.service.Name, Name: o.cell,
		Incarnation: cmp.Or(os.Getenv("HOMEOSTAT_INCARNATION"), incarnation()),
		Address:     o.address, Port: o.port, Vitals: vitalsURL(n.listener, o.address),
		Parent: os.Getenv("HOMEOSTAT_PARENT"), Generation: generation, Reason: os.Getenv("HOMEOSTAT_REASON"),
		BornAt: bornAt,
		Bundle: os.Getenv("HOMEOSTAT_BUNDLE"), Genome: os.Getenv("HOMEOSTAT_GENOME"),
		Machine: n.leading.host.Machine, PID: pid, Started: started,
		TTL: n.service.Health.TTL,
	}, nil
}

// vitalsURL is where others reach this sidecar: at the address it listens on,
// or, where that is every address, at the application's.
func vitalsURL(listener net.Listener, address string) string {
	at := netip.MustParseAddrPort(listener.Addr().String())
	host := at.Addr().String()
	if at.Addr().IsUnspecified() {
		host = address
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(int(at.Port())))
}

// standers are what this sidecar stands for: its own service at once, others
// as a guest.
func (n *node) standers() []*loop.Stander {
	if n.machine != nil && !n.hasTerraform() {
		n.leading.log.Info("this cell's machine has no Terraform: the cell stands for no lock, and others lead")
		return nil
	}
	all := []*loop.Stander{n.stander(n.service, false)}
	for _, s := range loop.MayLead(n.leading.policy, n.service.Name) {
		all = append(all, n.stander(s, true))
	}
	return all
}

// hasTerraform reports whether the service's Terraform is on this machine. A cell
// gets it only with a genome that means the cell to lead.
func (n *node) hasTerraform() bool {
	_, err := exec.LookPath(cmp.Or(n.service.Terraform.Binary, "terraform"))
	return err == nil
}

func (n *node) stander(s *policy.Service, guest bool) *loop.Stander {
	var g *leading
	return &loop.Stander{
		Service: s.Name, Guest: guest, Fleet: n.leading.fleet, Holder: n.leading.holder,
		SessionTTL: n.leading.policy.Consul.SessionTTL,
		Log:        n.leading.log, Now: time.Now,
		Ready: func(ctx context.Context) (err error) {
			g, err = n.leading.ground(ctx, s)
			return err
		},
		Unready: func(why string) {
			if n.cell != nil {
				n.cell.Unready(s.Name, why)
			}
		},
		Lead: func(ctx context.Context, lease *fleet.Lease, yield func([]fleet.Member) bool) error {
			if err := g.current(ctx, s.Name); err != nil {
				return err
			}
			return g.lead(ctx, g.policy.Service(s.Name), lease, yield)
		},
	}
}

// verifier guards what only peers may ask; nil where there is no key.
func (n *node) verifier() *peer.Verifier {
	if n.leading.peers == nil {
		return nil
	}
	return peer.NewVerifier(n.leading.peers, time.Now)
}

func (n *node) close(ctx context.Context) {
	n.closeSpool()
	n.proxy.close()
	n.closeDatabase(context.WithoutCancel(ctx))
	if n.closePartner != nil {
		n.closePartner()
	}
	n.leading.fleet.Close()
}
