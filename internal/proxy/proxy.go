package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/callers"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// Siblings knows the other cells of the service.
type Siblings interface {
	// WithRoom is the public base URL of a sibling that can take one request more of
	// clients, or of crawlers. It is never this cell, and none that drains. It is
	// asked for single requests and must answer at once.
	WithRoom(crawlers bool) (address string, ok bool)
}

// Config is what a proxy goes by.
type Config struct {
	Policy *policy.Proxy
	// Upper is the bound on the clients' latency, and Quantile (0 to 1) which part of
	// them has to be within it; 0 for none.
	Upper    time.Duration
	Quantile float64
	// Application is host:port of the application.
	Application string
	// Dir is where the policy lies, to which its files are relative.
	Dir string
	// Siblings are where clients go while this cell is over its bound; nil for
	// nowhere.
	Siblings Siblings
	Log      *slog.Logger
}

// Proxy stands before one application. It is an http.Handler; Serve and Shutdown run
// it behind listeners.
type Proxy struct {
	policy    *policy.Proxy
	cfg       Config
	trusted   callers.Networks
	transport *http.Transport
	links     *links
	gate      *gate
	seen      *seen
	stats     [classes]stats
	draining  atomic.Bool
	away      atomic.Bool   // the application was not there when last asked
	upgraded  atomic.Int64  // connections that speak another protocol now, and streams of events
	taking    atomic.Int64  // answers that the application has given, and the caller not yet taken
	shared    chan struct{} // holds a token for each piece of an answer that is read ahead

	connections *callers.Connections
	servers
}

// pressureSpan is the time of which Pressure speaks: the last one to two of them.
const pressureSpan = 2 * time.Second

// New returns a proxy that listens nowhere yet.
func New(cfg Config) (*Proxy, error) {
	pol := *cfg.Policy
	toSiblings, err := TLSToCells(pol.TLS, cfg.Dir)
	if err != nil {
		return nil, err
	}
	pol.Crawlers.Header = http.CanonicalHeaderKey(pol.Crawlers.Header)
	b, c, dialer := &pol.Bounds, &pol.Concurrency, &net.Dialer{Timeout: 2 * time.Second}
	p := &Proxy{
		policy: &pol, cfg: cfg,
		links: &links{address: cfg.Application, dial: dialer.DialContext, answer: b.Answer, keep: b.KeepAlive, most: c.Max},
		transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: toSiblings,
			MaxIdleConns: c.Max, MaxIdleConnsPerHost: c.Max, IdleConnTimeout: b.KeepAlive,
			ResponseHeaderTimeout: b.Answer, ExpectContinueTimeout: time.Second,
			MaxResponseHeaderBytes: 1 << 20, DisableCompression: true,
		},
		seen: newSeen(pol.RetryMemory),
	}
	if p.trusted, err = callers.ParseNetworks(pol.Trusted); err != nil {
		return nil, fmt.Errorf("read the trusted networks of the proxy: %w", err)
	}
	p.gate = newGate(gateConfig{
		rule: Rule{
			Initial: c.Initial, Min: c.Min, Max: c.Max, Tolerance: c.Tolerance, Smoothing: c.Smoothing,
			Harmless: c.Harmless * cfg.Upper.Seconds(),
			Probe:    c.Probe, ProbeShare: c.ProbeShare,
		},
		window: c.Window, samples: c.Samples, reserve: c.ClientReserve, demand: c.DemandWindow,
		waitMax: pol.Wait.Max, waitStanding: pol.Wait.Standing, waitInterval: pol.Wait.Interval, waitLength: pol.Wait.Length,
		hot: pol.Hot, slowStart: pol.SlowStart, latencyUpper: cfg.Upper, latencyMemory: pressureSpan,
	}, time.Now())
	p.shared = make(chan struct{}, b.Buffers/pieceBytes)
	p.connections = callers.NewConnections(b.Connections, b.ConnectionsPerAddress, p.trusted)
	return p, p.prepareServers()
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchange{p: p, class: classify(&p.policy.Crawlers, r), began: time.Now()}
	moved, crawler := unmark(r)
	if x.moved = moved; crawler {
		x.class = Crawler
	}
	if asked, ok := r.Header[load.Header]; ok {
		delete(r.Header, load.Header)
		if len(asked) == 1 && asked[0] == load.Ask {
			w.Header()[load.Header] = []string{p.Report().String()}
		}
	}
	if p.draining.Load() {
		// The caller's next request finds another cell: HTTP/1.1 closes the
		// connection, and HTTP/2 says GOAWAY.
		w.Header()["Connection"] = []string{"close"}
	}
	if strings.ContainsAny(r.URL.RawQuery, " \t") {
		// HTTP/2 can carry what would end the path on a line of HTTP/1.1.
		p.say(w, r, http.StatusBadRequest, "there is a space in the query")
		return
	}
	if r.URL.Opaque != "" {
		// Such as "GET http:x": there is no path in it, and x would be taken for one.
		p.say(w, r, http.StatusBadRequest, "the request names no path")
		return
	}
	if r.Method == http.MethodConnect {
		p.say(w, r, http.StatusMethodNotAllowed, "this proxy makes no tunnels")
		return
	}
	if r.ContentLength > int64(p.policy.Bounds.BodyBytes) {
		p.say(w, r, http.StatusRequestEntityTooLarge, errTooLarge.Error())
		return
	}
	x.serve(w, r)
}

// exchange is one request and what becomes of it.
type exchange struct {
	p        *Proxy
	class    Class
	began    time.Time
	entered  time.Time // when it went to the application
	inFlight int       // how many others did when it came
	moved    bool      // it was sent here by a sibling
	again    bool      // it was refused here before
	id       string
	left     bool
}

func (x *exchange) serve(w http.ResponseWriter, r *http.Request) {
	p, s := x.p, &x.p.stats[x.class]
	if ids := r.Header[RequestHeader]; len(ids) == 1 {
		x.id = ids[0]
		x.again = p.seen.take(x.id, x.began)
	}
	away := p.gate.arrive(x.class, x.began) || p.away.Load() || x.class == Client && p.draining.Load()
	if away && x.move(w, r) {
		return
	}
	v, waited := p.gate.enter(r.Context(), x.class, x.began)
	if waited > 0 {
		s.waited.add(waited)
	}
	if v != admitted && v != gone && x.move(w, r) {
		return
	}
	// Who went to a sibling is offered there, and not here.
	if x.again {
		s.again.Add(1)
	} else {
		s.offered.Add(1)
	}
	switch v {
	case admitted:
		x.entered = x.began.Add(waited)
		x.forward(w, r)
	case gone:
		s.gone.Add(1)
		panic(http.ErrAbortHandler) // or the server would say 200
	default:
		x.refuse(w, r, v)
	}
}

// refuse tells a crawler that it comes too often, and a client that there is no room.
func (x *exchange) refuse(w http.ResponseWriter, r *http.Request, v verdict) {
	if !x.again {
		x.p.stats[x.class].refused.Add(1)
	}
	x.p.seen.add(x.id, x.began)
	switch {
	case x.class == Crawler:
		x.p.refuse(w, r, http.StatusTooManyRequests, "clients need what this cell can do; come again later")
	case v == expired:
		x.p.refuse(w, r, http.StatusServiceUnavailable, "this cell is busy, and no turn came in time")
	default:
		x.p.refuse(w, r, http.StatusServiceUnavailable, "this cell is busy, and too many wait already")
	}
}

// forward has the application answer.
func (x *exchange) forward(w http.ResponseWriter, r *http.Request) {
	p, s := x.p, &x.p.stats[x.class]
	x.inFlight = int(s.inFlight.Add(1)) + int(p.stats[1-x.class].inFlight.Load())
	defer x.leave(0) // however it ends
	if isUpgrade(r) {
		x.upgrade(w, r)
		return
	}
	o := p.prepare(w, r, "http", p.cfg.Application)
	if o.request.Body != nil {
		defer func() { _ = o.body.Close() }() // has no error
	}
	if o.request.Body == nil && direct(r) {
		x.byLink(w, r, o)
		return
	}
	res, err := p.transport.RoundTrip(&o.request)
	if err != nil {
		_, bodyErr := o.bodyState()
		x.fail(w, r, err, bodyErr)
		return
	}
	defer func() { _ = res.Body.Close() }()                 // closed a second time where it was read to its end
	x.finish(w, r, o, res, func() { _ = res.Body.Close() }) // as above
}

// byLink has the application answer by one of the proxy's own connections.
func (x *exchange) byLink(w http.ResponseWriter, r *http.Request, o *outbound) {
	c, err := x.p.links.do(r.Context(), &o.request)
	if err != nil {
		x.fail(w, r, err, nil)
		return
	}
	whole := false
	defer func() { c.end(whole) }() // a caller that is gone panics
	whole = x.finish(w, r, o, c.res, c.abort)
}

// finish gives an answer that has begun to the caller, and says whether it was passed
// on whole. The place is free once the application has given all of it.
func (x *exchange) finish(w http.ResponseWriter, r *http.Request, o *outbound, res *http.Response, abort func()) bool {
	p, s := x.p, &x.p.stats[x.class]
	if res.StatusCode == http.StatusSwitchingProtocols {
		x.fail(w, r, errUnasked, nil)
		return false
	}
	needed := x.answered(o, res.StatusCode)
	taking := false
	whole := func() {
		taking = true
		p.taking.Add(1)
		x.leave(needed)
	}
	defer func() { // a caller that is gone panics
		if taking {
			p.taking.Add(-1)
		}
	}()
	if isEventStream(res) {
		x.leave(needed)
		whole, abort = nil, nil // it has no place, and no end
		p.upgraded.Add(1)
		defer p.upgraded.Add(-1)
	}
	if err := p.pass(w, r, o, res, whole, abort); err != nil {
		if r.Context().Err() == nil {
			s.broken.Add(1)
		}
		panic(http.ErrAbortHandler) // the caller has to see that it isn't whole
	}
	s.served.Add(1)
	x.leave(needed)
	return true
}

// answered notes that an answer has begun, and returns how long the application needed
// for that, or zero if that says nothing of its load: its errors are often quick, and
// would let more in, and draw more here. The time that the caller took to send the body
// is none of the application's.
func (x *exchange) answered(o *outbound, status int) (needed time.Duration) {
	at := time.Now()
	needed = at.Sub(x.started(o))
	took := x.entered.Sub(x.began) + needed
	x.p.stats[x.class].latency.add(took)
	if status >= http.StatusInternalServerError {
		return 0
	}
	if x.class == Client {
		x.p.gate.answered(at, x.inFlight, took)
	}
	return needed
}

// started is when the application had all it needed.
func (x *exchange) started(o *outbound) time.Time {
	if ended, _ := o.bodyState(); ended.After(x.entered) {
		return ended
	}
	return x.entered
}

// fail answers in the application's place.
func (x *exchange) fail(w http.ResponseWriter, r *http.Request, err, body error) {
	p, s, f := x.p, &x.p.stats[x.class], judge(r.Context(), err, body)
	took := time.Since(x.entered)
	switch {
	case f.status == 0:
		s.gone.Add(1)
		// Who gave up has waited longer than the bound allows: left out, only the
		// fast answers would count.
		if x.p.cfg.Upper > 0 && took >= x.p.cfg.Upper {
			s.latency.add(time.Since(x.began))
			x.leave(took)
		}
		panic(http.ErrAbortHandler) // or the server would say 200
	case f.away:
		p.absent(err)
		// Nothing of the request was sent yet.
		if p.policy.Redirect == policy.Redirect307 && x.move(w, r) {
			return
		}
	case f.slow:
		s.latency.add(time.Since(x.began))
		x.leave(took)
	}
	s.count(f.status)
	if f.status == http.StatusServiceUnavailable {
		p.refuse(w, r, f.status, f.cause)
		return
	}
	p.say(w, r, f.status, f.cause)
}

// leave gives the place back, once.
func (x *exchange) leave(took time.Duration) {
	if x.left {
		return
	}
	x.left = true
	x.p.stats[x.class].inFlight.Add(-1)
	x.p.gate.leave(x.class, time.Now(), took)
}

// move sends a request to a sibling with room, if it may and there is one.
func (x *exchange) move(w http.ResponseWriter, r *http.Request) bool {
	p := x.p
	if x.moved || p.cfg.Siblings == nil || p.policy.Redirect == policy.RedirectOff || r.URL.Path == "*" {
		return false
	}
	base, ok := p.cfg.Siblings.WithRoom(x.class == Crawler)
	if !ok {
		return false
	}
	scheme, host := address(base)
	if host == "" {
		p.cfg.Log.Error("a sibling's address is no base URL", "address", base)
		return false
	}
	p.stats[x.class].moved.Add(1)
	if p.policy.Redirect == policy.RedirectProxy {
		x.relay(w, r, scheme, host)
		return true
	}
	p.boundRest(w, r)
	p.boundAnswer(w)
	h := w.Header()
	h["Location"] = []string{movedTo(base, r, x.class)}
	h["Cache-Control"] = []string{"no-store"}
	w.WriteHeader(http.StatusTemporaryRedirect)
	return true
}

// relay forwards a request to a sibling, which has it answered there.
func (x *exchange) relay(w http.ResponseWriter, r *http.Request, scheme, host string) {
	p := x.p
	r.Header[movedHeader] = []string{markOf(x.class)}
	if isUpgrade(r) {
		p.upgradeTo(w, r, scheme, host, nil, func(err error) { p.relayFailed(w, r, host, err) })
		return
	}
	o := p.prepare(w, r, scheme, host)
	if o.request.Body != nil {
		defer func() { _ = o.body.Close() }() // has no error
	}
	res, err := p.transport.RoundTrip(&o.request)
	if err != nil {
		_, bodyErr := o.bodyState()
		p.relayFailed(w, r, host, errors.Join(err, bodyErr))
		return
	}
	defer func() { _ = res.Body.Close() }() // as in forward
	if p.pass(w, r, o, res, nil, nil) != nil {
		panic(http.ErrAbortHandler)
	}
}

func (p *Proxy) relayFailed(w http.ResponseWriter, r *http.Request, host string, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // as in fail
	}
	p.cfg.Log.Warn("could not forward a request to a sibling", "address", host, "error", err)
	p.refuse(w, r, http.StatusServiceUnavailable, "this cell is busy, and a sibling with room could not be reached")
}
