package front

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/callers"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// Config says what a front does.
type Config struct {
	// Service is the service whose cells get the clients, Rule its block front.
	Service string
	Rule    policy.Front
	// Cells are that service's, and Lists answers with them.
	Cells *Cells
	Lists *Lists
	// TLS is how the cells are spoken to where their addresses are https; nil for the
	// machine's authorities and the cells' addresses.
	TLS *tls.Config
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	Log        *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Front is a reverse proxy before the cells of a service.
type Front struct {
	cfg       Config
	cells     *Cells
	proxy     *httputil.ReverseProxy
	transport *transport
	metrics   *metrics
	budget    budget
	cookie    string
	trusted   callers.Networks
	conns     *callers.Connections
	inHand    atomic.Int64
	draining  atomic.Bool
}

// New makes a front. It connects to nothing; what Cells and Lists know is for
// their own Run.
func New(cfg Config) *Front {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	f := &Front{
		cfg: cfg, cells: cfg.Cells, cookie: "homeostat_" + cfg.Service,
		budget: budget{share: cfg.Rule.RetryShare, least: cfg.Rule.RetryMin},
	}
	f.trusted, _ = callers.ParseNetworks(cfg.Rule.Trusted) // The policy has checked them.
	f.conns = callers.NewConnections(cfg.Rule.Connections, cfg.Rule.ConnectionsPerAddress, f.trusted)
	f.transport = newTransport(f)
	f.metrics = newMetrics(cfg.Registerer, f)
	f.proxy = &httputil.ReverseProxy{
		Rewrite: f.rewrite, Transport: f.transport, ErrorHandler: f.refuse, BufferPool: &buffers{},
		ModifyResponse: func(answer *http.Response) error { f.remember(answer); return nil },
		ErrorLog:       log.New(httpLog{cfg.Log}, "", 0),
	}
	return f
}

// Handler answers clients, and on its own paths for itself.
func (f *Front) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch service, asked := f.listed(r); {
		case asked:
			f.bounded(w, r, func() {
				f.hurry(w)
				f.list(w, r, service)
			})
		case f.cfg.Rule.HealthPath != "" && r.URL.Path == f.cfg.Rule.HealthPath:
			f.hurry(w)
			f.health(w)
		default:
			f.bounded(w, r, func() { f.pass(w, r) })
		}
	})
}

// bounded does what answers a request, unless too many are in hand.
func (f *Front) bounded(w http.ResponseWriter, r *http.Request, answer func()) {
	defer f.inHand.Add(-1)
	if f.inHand.Add(1) > int64(f.cfg.Rule.MaxInFlight) {
		f.hurry(w)
		f.refuse(w, r, errFull)
		return
	}
	answer()
}

// hurry cuts a caller that never reads what the front itself answers.
func (f *Front) hurry(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(f.cfg.Rule.Silence)) // a writer of a test may have none
}

// pass sends a request on to a cell.
func (f *Front) pass(w http.ResponseWriter, r *http.Request) {
	v, control, silence := &visit{home: f.home(r)}, http.NewResponseController(w), f.cfg.Rule.Silence
	if v.sent = newSent(r, control, silence, f.cfg.Rule.Rate); v.sent != nil {
		r.Body = v.sent
	}
	w = &counting{ResponseWriter: w, metrics: f.metrics, control: control, silence: silence, sent: v.sent, request: r}
	f.proxy.ServeHTTP(w, r.WithContext(withVisit(r.Context(), v)))
	// For what the server still has to read and to write; after an upgrade there is none.
	_ = control.SetWriteDeadline(time.Now().Add(2 * silence))
}

// rewrite makes of a client's request the one that a cell gets.
func (f *Front) rewrite(p *httputil.ProxyRequest) {
	p.Out.Host = p.In.Host
	p.Out.URL.RawQuery = p.In.URL.RawQuery                   // byte by byte; what it means is the cell's to say
	p.Out.URL.Scheme, p.Out.URL.Host = "http", f.cfg.Service // until a cell is chosen
	callers.ForwardByReverseProxy(p, f.trusted)
	withoutCookie(p.Out.Header, f.cookie)
}

// health is 200 while this front takes clients and knows cells for them.
func (f *Front) health(w http.ResponseWriter) {
	_, told := f.cells.age()
	switch {
	case f.draining.Load():
		http.Error(w, "draining", http.StatusServiceUnavailable)
	case !told:
		http.Error(w, "Consul has not yet said which cells there are", http.StatusServiceUnavailable)
	default:
		_, _ = w.Write([]byte("well\n")) // who asks may have gone away
	}
}

// Serve answers on a listener, which must be one of TCP, until ctx ends, and then lets
// what is in hand come to its end, for the drain time at most.
func (f *Front) Serve(ctx context.Context, listener net.Listener) error {
	rule := f.cfg.Rule
	listener, err := f.conns.Bound(listener)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: f.Handler(), ReadHeaderTimeout: rule.HeaderTimeout, IdleTimeout: rule.IdleTimeout,
		MaxHeaderBytes: rule.HeaderBytes, Protocols: new(http.Protocols), ErrorLog: log.New(httpLog{f.cfg.Log}, "", 0),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	defer f.transport.close()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	f.draining.Store(true)
	f.cfg.Log.Info("asked to end: letting requests in hand end first", "requests", f.inHand.Load(), "at_most", rule.DrainTime)
	return f.drain(context.WithoutCancel(ctx), server)
}

// drain ends a server in order. Upgraded connections aren't the server's any more:
// they are waited for here, and end with the process.
func (f *Front) drain(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Rule.DrainTime)
	defer cancel()
	err := server.Shutdown(ctx)
	for tick := time.NewTicker(20 * time.Millisecond); err == nil && f.inHand.Load() > 0; {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-tick.C:
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		f.cfg.Log.Warn("requests are cut off: they took longer than the drain time", "requests", f.inHand.Load())
		return server.Close()
	}
	return err
}

// Run keeps the cells up to date and serves.
func Run(ctx context.Context, f *Front, listener net.Listener) error {
	// The cells are watched until the last request has ended.
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { f.cells.Run(watching) })
	return f.Serve(ctx, listener)
}
