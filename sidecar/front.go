package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/front"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/peer"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/proxy"
)

var frontCommand = command{
	name:    "front",
	summary: "the front server: sends clients to the cells of a service that have room",
	note: "Clients that go to a cell directly ask for the list: GET /v1/services/SERVICE.\n" +
		"Beside a sidecar, as in homeostat run -service front -- homeostat front -service api, it listens where the sidecar tells it to.",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.define(fs)
		var o frontOptions
		fs.StringVar(&o.service, "service", "", "the `service` whose cells get the clients (default: the only one that has a block front)")
		fs.StringVar(&o.listen, "listen", frontListen(), "`address` for clients; beside a sidecar it is $HOMEOSTAT_ADDRESS:$HOMEOSTAT_PORT unless given")
		fs.StringVar(&o.metrics, "metrics", "", "another `address` for /metrics; none by default")
		return func(ctx context.Context, std stdio, args []string) error {
			if len(args) > 0 {
				return misused("give no arguments: %q", args)
			}
			return s.front(ctx, std, o)
		}
	},
}

// frontOptions are the flags of front.
type frontOptions struct{ service, listen, metrics string }

// frontListen is where a sidecar beside this front has registered it.
func frontListen() string {
	if port := os.Getenv("HOMEOSTAT_PORT"); port != "" && port != "0" {
		return net.JoinHostPort(cmp.Or(os.Getenv("HOMEOSTAT_ADDRESS"), "127.0.0.1"), port)
	}
	return "127.0.0.1:8080"
}

func (s *settings) front(ctx context.Context, std stdio, o frontOptions) error {
	p, err := s.load(std)
	if err != nil {
		return err
	}
	service, err := frontedService(p, o.service)
	if err != nil {
		return err
	}
	log, err := s.logger(std.Err)
	if err != nil {
		return err
	}
	dir, err := s.dir()
	if err != nil {
		return err
	}
	keys, err := peerKeys(p, dir, log)
	if err != nil {
		return err
	}
	encrypted, err := toCells(service, dir)
	if err != nil {
		return err
	}
	c, err := connect(p, keys, log)
	if err != nil {
		return err
	}
	defer c.Close()
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listen for clients: %w", err)
	}
	registry := newRegistry()
	stopMetrics, err := serveMetrics(o.metrics, registry, log)
	if err != nil {
		_ = listener.Close() // nobody was let in
		return err
	}
	defer stopMetrics()
	log.Info("front begins", "version", version, "service", service.Name, "listen", listener.Addr().String())

	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	members := watchedCells(p, c, keys, log)
	lists := front.NewLists(watching, members)
	defer lists.Wait()
	defer stop()
	cells := members(service.Name)
	lists.Add(service.Name, cells)
	f := front.New(front.Config{
		Service: service.Name, Rule: service.Fronted(), Cells: cells, Lists: lists, TLS: encrypted,
		Registerer: registry, Log: log, Now: time.Now,
	})
	err = front.Run(ctx, f, listener)
	log.Info("front ends")
	return err
}

// siblingsOf are the other cells of a cell's service. They are looked at only while
// somebody asks for one.
func (n *node) siblingsOf(cell fleet.Cell) *front.Cells {
	cfg := cellsConfig(n.service, n.leading.fleet, n.leading.peers, n.leading.log)
	cfg.Self = cell.ID()
	return front.NewCells(cfg)
}

// watchSiblings runs what the proxy and the spool know of siblings. The function
// returned ends that.
func (n *node) watchSiblings(ctx context.Context) (stop func()) {
	if n.siblings == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // callers come until the proxy has ended
	var watching sync.WaitGroup
	watching.Go(func() { n.siblings.RunWhileWanted(ctx) })
	return func() {
		cancel()
		watching.Wait()
	}
}

// listServices has the sidecar tell the application beside it which cells the
// services of the policy have. The function returned ends that.
func (n *node) listServices(ctx context.Context) (stop func()) {
	if n.local == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the application may ask until it has ended
	lists := front.NewLists(ctx, watchedCells(n.leading.policy, n.leading.fleet, n.leading.peers, n.leading.log))
	n.local.Handle(front.ListPattern, lists)
	return func() {
		cancel()
		lists.Wait()
	}
}

// watchedCells makes what knows the cells of a service; nil for a service that
// the policy doesn't have.
func watchedCells(p *policy.Policy, c *fleet.Client, keys *peer.Keys, log *slog.Logger) func(service string) *front.Cells {
	return func(service string) *front.Cells {
		s := p.Service(service)
		if s == nil {
			return nil
		}
		return front.NewCells(cellsConfig(s, c, keys, log))
	}
}

// toCells is how a service's cells are spoken to that have TLS.
func toCells(s *policy.Service, dir string) (*tls.Config, error) {
	if s.Proxy == nil {
		return nil, nil
	}
	return proxy.TLSToCells(s.Proxy.TLS, dir)
}

func cellsConfig(s *policy.Service, c *fleet.Client, keys *peer.Keys, log *slog.Logger) front.CellsConfig {
	cfg := front.CellsConfig{Service: s.Name, Rule: s.Fronted(), Catalog: c, Sign: keys.Transport, Scheme: scheme(s.Proxy), Log: log, Now: time.Now}
	if keys != nil {
		cfg.Code = keys.Sign
	}
	return cfg
}

// frontedService is the service that a front is for.
func frontedService(p *policy.Policy, name string) (*policy.Service, error) {
	if name != "" {
		return oneService(p, name)
	}
	var found *policy.Service
	for _, s := range p.Services {
		switch {
		case s.Front == nil:
		case found != nil:
			return nil, misused("services %q and %q have a block front: name the one that this front is for with -service", found.Name, s.Name)
		default:
			found = s
		}
	}
	if found == nil {
		return nil, misused("no service has a block front: name the one that this front is for with -service: %s", names(p))
	}
	return found, nil
}

// serveMetrics shows metrics at an address, where one is given.
func serveMetrics(address string, registry *prometheus.Registry, log *slog.Logger) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are no longer shown", "error", err)
		}
	}()
	log.Info("metrics are shown", "listen", listener.Addr().String())
	return func() {
		_ = server.Close() // what is being read is of no more use
		<-ended
	}, nil
}
