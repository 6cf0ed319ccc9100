package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/boot"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/cell"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

var runCommand = command{
	name: "run", args: "[-- COMMAND ...]",
	summary: "the sidecar: keeps a cell registered, starts its application, and leads when it may",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.define(fs)
		o := runOptions{}
		fs.StringVar(&o.service, "service", os.Getenv("HOMEOSTAT_SERVICE"), "the `service` of this sidecar (default $HOMEOSTAT_SERVICE)")
		fs.StringVar(&o.cell, "cell", os.Getenv("HOMEOSTAT_CELL"), "the cell's `name` (default $HOMEOSTAT_CELL); without one it only leads")
		fs.StringVar(&o.address, "address", cmp.Or(os.Getenv("HOMEOSTAT_ADDRESS"), "127.0.0.1"), "the `address` at which others reach the application")
		fs.IntVar(&o.port, "port", envInt("HOMEOSTAT_PORT"), "the application's `port` (default $HOMEOSTAT_PORT; 0 picks a free one)")
		fs.IntVar(&o.appPort, "app-port", envInt("HOMEOSTAT_APP_PORT"), "the application's own `port` behind the policy's proxy (default $HOMEOSTAT_APP_PORT; 0 picks a free one)")
		fs.StringVar(&o.listen, "listen", cmp.Or(os.Getenv("HOMEOSTAT_LISTEN"), "127.0.0.1:0"), "`address` of the sidecar's own HTTP: vitals, drain, metrics")
		fs.StringVar(&o.local, "local", cmp.Or(os.Getenv("HOMEOSTAT_LOCAL"), "127.0.0.1:0"), "`address` of loopback at which the application finds the sidecar; it is told by HOMEOSTAT_SIDECAR")
		fs.StringVar(&o.version, "app-version", os.Getenv("HOMEOSTAT_APP_VERSION"), "the application's `version`: what is learned of it is kept by version")
		return func(ctx context.Context, std stdio, args []string) error {
			o.command = args
			return s.run(ctx, std, o)
		}
	},
}

// runOptions are the flags of run.
type runOptions struct {
	service, cell, address, listen, local, version string
	port, appPort                                  int
	command                                        []string
}

func envInt(name string) int {
	n, _ := strconv.Atoi(os.Getenv(name)) // run checks the range
	return n
}

// run starts everything and ends it in this order: the leaders let a running
// apply end and give their locks back, the cell drains, the application stops.
func (s *settings) run(ctx context.Context, std stdio, o runOptions) error {
	// From the start: unheard, the signal would end the sidecar.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	n, err := s.newNode(ctx, std, o)
	if err != nil {
		return err
	}
	defer n.close(ctx)
	minding, stopMinding := context.WithCancel(ctx)
	defer stopMinding()
	go n.keepFinishing(minding)
	defer n.adoptSpools(minding)()
	n.leading.log.Info("sidecar begins", "version", version, "service", n.service.Name, "cell", o.cell, "listen", n.listener.Addr().String())

	handler := cell.Handler(n.cell, promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{}), n.verifier().Wrap)
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, IdleTimeout: time.Minute,
	}
	served := make(chan error, 2)
	go func() { served <- fmt.Errorf("serve vitals on %s: %w", n.listener.Addr(), server.Serve(n.listener)) }()
	defer n.watchSiblings(ctx)()
	defer n.listServices(ctx)()
	defer n.serveLocal(handler, served)()
	defer func() {
		if err := server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			n.leading.log.Debug("close the sidecar's own server", "error", err)
		}
	}()

	stopLeading := n.startLeading(ctx, hup, func() (*policy.Policy, error) { return s.load(std) })
	stopCell := n.startCell(ctx, stopLeading)
	select {
	case <-ctx.Done():
		n.leading.log.Info("asked to end: letting what runs end first")
	case err = <-served:
	case err = <-n.ended:
		if errors.Is(err, cell.ErrLeft) {
			err = n.released(ctx)
		}
	}
	stopLeading()
	stopCell()
	n.leading.log.Info("sidecar ends")
	return err
}

// released makes the machine nobody's after its cell has left, and powers one off
// that was made for this cell alone: it may be one that no Terraform knows any more.
func (n *node) released(ctx context.Context) error {
	claim, err := n.machine.Claim()
	if err != nil {
		return err
	}
	err = n.machine.ReleaseCell(ctx, n.cell.Identity.ID())
	if claim == nil || !claim.PowerOff {
		return err
	}
	n.leading.log.Info("the cell's machine is powered off: it was made for this cell alone")
	return errors.Join(err, boot.PowerOff(ctx))
}

// startLeading stands for the service's own lock and, as a guest, for those of
// others. The function returned ends that, once running applies have ended.
func (n *node) startLeading(ctx context.Context, hup <-chan os.Signal, load func() (*policy.Policy, error)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if p := n.standUntilReload(ctx, hup, load); p != nil {
				n.take(p)
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// standUntilReload stands with the policy as it is until ctx ends or SIGHUP
// brings a valid one, which it returns. A policy that is refused disturbs
// nobody: the leaders go on with the old one.
func (n *node) standUntilReload(ctx context.Context, hup <-chan os.Signal, load func() (*policy.Policy, error)) *policy.Policy {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, stander := range n.standers() {
		wg.Go(func() {
			if err := stander.Run(ctx); err != nil && ctx.Err() == nil {
				n.leading.log.Error("no longer standing", "service", stander.Service, "error", err)
			}
		})
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
		}
		p, err := load()
		if err == nil && p.Service(n.service.Name) == nil {
			err = fmt.Errorf("it has no service %q any more", n.service.Name)
		}
		if err == nil {
			return p
		}
		n.leading.log.Error("the new policy is refused, the old one stays", "error", err)
	}
}

// take makes a policy the sidecar's own. Nobody leads meanwhile.
func (n *node) take(p *policy.Policy) {
	n.leading.policy, n.service = p, p.Service(n.service.Name)
	n.leading.log.Info("the policy was read again; how the application is checked, what its proxy and its spool do and how Consul is reached change at the next start",
		"digest", p.Digest[:12])
}

// newRegistry holds the sidecar's metrics, its own process's included.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}
