package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/proxy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/supervise"
)

// loopback is where an application listens that has a proxy before it.
const loopback = "127.0.0.1"

// lastRequests is how long requests may take that are still in flight when the cell's
// drain is over.
const lastRequests = 5 * time.Second

// ownProxy is the proxy before the application, with what it listens at.
type ownProxy struct {
	*proxy.Proxy
	listener net.Listener
	crawlers net.Listener // nil without a port of their own
	appPort  int
	public   string // URL by which callers reach the cell
	log      *slog.Logger
	once     sync.Once
}

// newProxy opens the cell's address and port, which go into its identity, and picks
// the application's port on loopback.
func (n *node) newProxy(identity *fleet.Cell, o runOptions) (*ownProxy, error) {
	p, s := n.service.Proxy, n.service
	b := &ownProxy{appPort: o.appPort, log: n.leading.log}
	var err error
	if len(o.command) > 0 {
		b.appPort, err = supervise.FreePort(o.appPort)
	} else if o.appPort == 0 {
		err = errors.New("without a command the application's own port behind the proxy must be given: -app-port or HOMEOSTAT_APP_PORT")
	}
	if err != nil {
		return nil, err
	}
	if err := b.listen(p, identity.Address, o.port); err != nil {
		return nil, err
	}
	address, ok := b.listener.Addr().(*net.TCPAddr)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the proxy listens at %s, which has no port", b.listener.Addr()), b.listener.Close())
	}
	identity.Port = address.Port
	b.public = scheme(p) + "://" + net.JoinHostPort(identity.Address, strconv.Itoa(identity.Port))
	cfg := proxy.Config{
		Policy: p, Siblings: n.siblings, Application: net.JoinHostPort(loopback, strconv.Itoa(b.appPort)), Dir: n.leading.dir, Log: n.leading.log,
	}
	if s.Latency != nil {
		cfg.Upper, cfg.Quantile = s.Latency.Upper, s.Latency.Quantile
	}
	if b.Proxy, err = proxy.New(cfg); err != nil {
		b.close()
		return nil, err
	}
	n.registry.MustRegister(b.Proxy)
	return b, nil
}

func scheme(p *policy.Proxy) string {
	if p != nil && p.TLS != nil {
		return "https"
	}
	return "http"
}

func (b *ownProxy) listen(p *policy.Proxy, address string, port int) (err error) {
	host := cmp.Or(p.Listen, address)
	if b.listener, err = listenAt(host, port); err != nil || p.Crawlers.Port == 0 {
		return err
	}
	if b.crawlers, err = listenAt(host, p.Crawlers.Port); err != nil {
		return errors.Join(err, b.listener.Close())
	}
	return nil
}

func listenAt(host string, port int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		err = fmt.Errorf(`%w: callers reach the cell by an address that this machine doesn't have. Set listen = "0.0.0.0" in the policy's block proxy`, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen before the application: %w", err)
	}
	return l, nil
}

// serve answers callers. The function returned lets what is in flight end; it may be
// called again.
func (b *ownProxy) serve(ctx context.Context, failed func(error)) (stop func()) {
	if b == nil {
		return func() {}
	}
	var served sync.WaitGroup
	run := func(l net.Listener, c proxy.Class) {
		served.Go(func() {
			if err := b.Serve(l, c); err != nil {
				failed(err)
			}
		})
	}
	run(b.listener, proxy.Client)
	if b.crawlers != nil {
		run(b.crawlers, proxy.Crawler)
	}
	return func() {
		b.once.Do(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastRequests)
			defer cancel()
			if err := b.Shutdown(ctx); err != nil {
				b.log.Warn("the proxy ended", "error", err)
			}
			served.Wait()
		})
	}
}

// close closes what was opened and is not served.
func (b *ownProxy) close() {
	if b == nil {
		return
	}
	for _, l := range []net.Listener{b.listener, b.crawlers} {
		if l != nil {
			_ = l.Close() // closed already where it was served
		}
	}
}
