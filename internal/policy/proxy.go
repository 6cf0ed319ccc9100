package policy

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Proxy has the sidecar stand before the application: it listens at the cell's
// address and port, and the application at a free port of the loopback interface.
// Clients come first, crawlers get what clients leave. The vitals of the cell, its
// rates and its latency included, are then the proxy's.
type Proxy struct {
	// Listen is the address of this machine to listen at, such as "0.0.0.0"; empty
	// for the one by which the cell is registered. The port is the cell's.
	Listen string `policy:"listen"`
	// Redirect says how clients get to a sibling with room while this cell is over
	// its bound: `307` tells them to go there, `proxy` forwards them, `off` keeps them.
	Redirect string `policy:"redirect" default:"307" one:"307|proxy|off"`
	// Hot is the share of the concurrency limit from which on clients are sent to a
	// sibling: as many as need more than that.
	Hot float64 `policy:"hot" default:"0.9" within:"(0,1]"`
	// SlowStart is over how long the limit of a cell rises to its whole once the
	// application has begun to answer, after a restart too. 0s for at once.
	SlowStart time.Duration `policy:"slow_start" default:"10s" within:"[0s,1h]"`
	// RetryAfter is after how long who was refused is to come again, give or take
	// half of it at random. It is told in whole seconds.
	RetryAfter time.Duration `policy:"retry_after" default:"2s" within:"[1s,1h]"`
	// RetryMemory is how long a refused request is remembered by the header
	// Homeostat-Request, so that the same one again isn't counted as new load.
	RetryMemory time.Duration `policy:"retry_memory" default:"30s" within:"[0s,1h]"`
	// Trusted are networks of proxies before this one, such as "10.0.0.0/8". What
	// others say in X-Forwarded-For, -Host, -Proto and Forwarded is dropped.
	Trusted []string `policy:"trusted"`

	Crawlers    ProxyCrawlers    `policy:"crawlers"`
	Concurrency ProxyConcurrency `policy:"concurrency"`
	Wait        ProxyWait        `policy:"wait"`
	Bounds      ProxyBounds      `policy:"bounds"`
	TLS         *ProxyTLS        `policy:"tls"`
}

// The values of Proxy.Redirect.
const (
	Redirect307   = "307"
	RedirectProxy = "proxy"
	RedirectOff   = "off"
)

// ProxyCrawlers tells crawlers from clients: who matches any of these is one. A
// header is the word of the caller; port, paths and certificates are not.
type ProxyCrawlers struct {
	// Header is a header that crawlers send; empty for none.
	Header string `policy:"header" default:"Homeostat-Crawler"`
	// Value is what that header has to say; empty for anything.
	Value string `policy:"value"`
	// Paths are the beginnings of paths that only crawlers ask for: "/pages" stands
	// for /pages and all below it.
	Paths []string `policy:"paths"`
	// Port is a second port to listen at, for crawlers alone; 0 for none.
	Port int `policy:"port" default:"0" within:"[0,65535]"`
	// Certificates are the DNS names, or else the common names, in the client
	// certificates of crawlers. They need `tls.client_ca_file`.
	Certificates []string `policy:"certificates"`
}

// ProxyConcurrency bounds how many requests the application works on at once. The
// bound is found from the gradient of the latency: it grows while answers are not
// slower than without load, give or take the tolerance, and shrinks else.
type ProxyConcurrency struct {
	// Initial is the limit to begin with.
	Initial int `policy:"initial" default:"20" within:"[1,1000000]"`
	// Min is the lowest limit.
	Min int `policy:"min" default:"4" within:"[1,1000000]"`
	// Max is the highest limit.
	Max int `policy:"max" default:"2000" within:"[1,1000000]"`
	// Tolerance is how many times as long as without load an answer may take before
	// the limit shrinks.
	Tolerance float64 `policy:"tolerance" default:"1.5" within:"[1,10]"`
	// Harmless is the share of `latency.upper` up to which an answer of the application
	// is quick enough whatever it takes without load: the limit shrinks by no answer
	// below it.
	Harmless float64 `policy:"harmless" default:"0.5" within:"[0,1)"`
	// Smoothing is the weight of a new estimate of the limit.
	Smoothing float64 `policy:"smoothing" default:"0.2" within:"(0,1]"`
	// Window is the shortest time over which latency is taken together.
	Window time.Duration `policy:"window" default:"100ms" within:"[1ms,1m]"`
	// Samples is the fewest answers that make a window.
	Samples int `policy:"samples" default:"30" within:"[1,100000]"`
	// Probe is how often, while the limit is used, it is lowered for two windows to
	// learn what an answer takes without load.
	Probe time.Duration `policy:"probe" default:"15s" within:"[1s,1h]"`
	// ProbeShare is to which share of what the application needs it is lowered then.
	ProbeShare float64 `policy:"probe_share" default:"0.75" within:"(0,1)"`
	// ClientReserve is the share of the limit that crawlers leave free at least, for
	// clients yet to come.
	ClientReserve float64 `policy:"client_reserve" default:"0.1" within:"[0,1]"`
	// DemandWindow is over how long the clients' demand is taken together, for what
	// crawlers leave free and for how many clients go to a sibling.
	DemandWindow time.Duration `policy:"demand_window" default:"1s" within:"[10ms,5m]"`
}

// ProxyWait bounds how long clients wait for their turn. Crawlers never wait.
type ProxyWait struct {
	// Max is the longest that a client waits. It isn't longer either than what is
	// left of `latency.upper` beside the time that an answer takes.
	Max time.Duration `policy:"max" default:"250ms" within:"[0s,1m]"`
	// Standing is the longest while the queue is a standing one.
	Standing time.Duration `policy:"standing" default:"100ms" within:"[0s,1m]"`
	// Interval is after how long without having been empty a queue is a standing
	// one, if it is also longer than what has a turn in time. Then the newest client is
	// served first.
	Interval time.Duration `policy:"interval" default:"100ms" within:"[1ms,1m]"`
	// Length is the most clients that wait. For one more the oldest is refused.
	Length int `policy:"length" default:"1000" within:"[0,1000000]"`
}

// ProxyBounds bounds what a caller may take of the sidecar.
type ProxyBounds struct {
	// HeaderBytes is the most bytes of a request's line and headers.
	HeaderBytes int `policy:"header_bytes" default:"32768" within:"[1024,16777216]"`
	// HeaderTime is how long they may take to come.
	HeaderTime time.Duration `policy:"header_time" default:"5s" within:"[100ms,5m]"`
	// BodyBytes is the most bytes of a request's body.
	BodyBytes int `policy:"body_bytes" default:"16777216" within:"[0,2147483647]"`
	// Grace is how long a body, or a piece of an answer, may take beside what it
	// takes at the lowest rate.
	Grace time.Duration `policy:"grace" default:"10s" within:"[100ms,10m]"`
	// Rate is the lowest rate of bodies and answers, in bytes per second: slower
	// senders and readers are cut.
	Rate int `policy:"rate" default:"1024" within:"[1,1000000000]"`
	// Buffer is the most bytes of an answer that are read ahead of a caller who takes it
	// more slowly than the application gives it. Once that has given all, its place is
	// free for another request.
	Buffer int `policy:"buffer" default:"1048576" within:"[0,1073741824]"`
	// Buffers is the most bytes that are read ahead for all callers; where they are in
	// use, an answer keeps its place for as long as its caller takes.
	Buffers int `policy:"buffers" default:"67108864" within:"[0,1099511627776]"`
	// Answer is how long the application may take to begin its answer.
	Answer time.Duration `policy:"answer" default:"30s" within:"[10ms,1h]"`
	// Idle is how long a caller's connection is kept without a request.
	Idle time.Duration `policy:"idle" default:"2m" within:"[1s,1h]"`
	// KeepAlive is how long a connection to the application is kept without one.
	// It must be shorter than the application keeps them.
	KeepAlive time.Duration `policy:"keep_alive" default:"4s" within:"[100ms,1h]"`
	// Connections is the most connections of callers.
	Connections int `policy:"connections" default:"10000" within:"[1,1000000]"`
	// ConnectionsPerAddress is the most of one address, or of one /64 of IPv6;
	// `trusted` ones are bound in all only.
	ConnectionsPerAddress int `policy:"connections_per_address" default:"1000" within:"[1,1000000]"`
}

// ProxyTLS has the proxy speak TLS. A changed certificate is read again by itself, the
// authorities at the sidecar's next start.
type ProxyTLS struct {
	// CertFile is a PEM file of the certificate and those above it, relative to the
	// policy.
	CertFile string `policy:"cert_file,required"`
	// KeyFile is a PEM file of its private key.
	KeyFile string `policy:"key_file,required"`
	// ClientCAFile is a PEM file of the authorities that sign client certificates;
	// empty: none is asked for.
	ClientCAFile string `policy:"client_ca_file"`
	// CAFile is a PEM file of the authorities that sign the cells' certificates, for
	// fronts and siblings that go to a cell; empty: those of the machine.
	CAFile string `policy:"ca_file"`
	// ServerName is the name in the cells' certificates that fronts and siblings
	// expect; empty: the cell's address.
	ServerName string `policy:"server_name"`
}

// proxy checks the block proxy of a service.
func (d *decoder) proxy(s *Service) {
	p := s.Proxy
	if p == nil {
		return
	}
	if p.Listen != "" {
		if _, err := netip.ParseAddr(p.Listen); err != nil {
			d.refuse("Not an address", &p.Listen, "is %q. Write an IP address of the machine without a port, "+
				`such as "0.0.0.0" for all of them; the port is the cell's.`, p.Listen)
		}
	}
	for _, network := range p.Trusted {
		if _, err := netip.ParsePrefix(network); err != nil {
			d.refuse("Not a network", &p.Trusted, `has %q in it. Write networks such as "10.0.0.0/8", or "10.1.2.3/32" for one address.`, network)
		}
	}
	d.crawlers(p)
	c := &p.Concurrency
	d.inOrderCounts(&c.Min, &c.Initial)
	d.inOrderCounts(&c.Initial, &c.Max)
	d.inOrder(&p.Wait.Standing, &p.Wait.Max)
}

func (d *decoder) crawlers(p *Proxy) {
	c := &p.Crawlers
	d.match(&c.Header, headerName)
	if slices.Contains([]string{"connection", "host", "content-length", "transfer-encoding"}, strings.ToLower(c.Header)) {
		d.refuse("Not a header", &c.Header, "is %q, which has a meaning of its own. Name another.", c.Header)
	}
	for _, path := range c.Paths {
		if !strings.HasPrefix(path, "/") {
			d.refuse("Not a path", &c.Paths, "has %q in it: a path begins with /.", path)
		}
	}
	if len(c.Certificates) > 0 && (p.TLS == nil || p.TLS.ClientCAFile == "") {
		d.refuse("No authority", &c.Certificates, "names certificates, but nothing says who signs them. "+
			"Add client_ca_file to the block tls in proxy.")
	}
}

// inOrderCounts refuses a number that is above one which must not be below it.
func (d *decoder) inOrderCounts(low, high *int) {
	if d.sound(low, high) && *low > *high {
		d.add("Bounds the wrong way round", d.at(low, high), "%s is %d%s and must not be above %s, which is %d%s.",
			d.names[low], *low, d.unsaid(low), d.names[high], *high, d.unsaid(high))
	}
}
