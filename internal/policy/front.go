package policy

import (
	"net/netip"
	"reflect"
	"strings"
	"time"
)

// Front says how a front server, `homeostat front`, sends clients to the cells
// of the service, and how their list is ordered. All of it has defaults: a front
// needs no block, and an empty one says which service a front is for.
type Front struct {
	// Sticky is by what a client stays with its cell, while that has room:
	// `cookie` sets a cookie that names the cell, `address` goes by the client's
	// address, `header` by the value of `sticky_header`, `off` by nothing.
	Sticky string `policy:"sticky" default:"cookie" one:"cookie|address|header|off"`
	// StickyHeader is the request's header that tells clients apart, for
	// `sticky = "header"`.
	StickyHeader string `policy:"sticky_header"`
	// StickyExcess is how many times the in-flight count of a hot cell a cell may
	// have and still keep its clients.
	StickyExcess float64 `policy:"sticky_excess" default:"2" within:"[1,1000]"`

	// Choices is among how many cells, drawn at random, the best is taken.
	Choices int `policy:"choices" default:"5" within:"[1,32]"`
	// HotQuantile is the quantile of all cells' requests in flight above which a
	// cell is hot: then it is judged by that count, and else by its latency.
	HotQuantile float64 `policy:"hot_quantile" default:"0.9" within:"[0,1]"`
	// LatencyTolerance is by which share the longer of two latencies must exceed the
	// other to count as longer; else the fewer requests in flight decide.
	LatencyTolerance float64 `policy:"latency_tolerance" default:"1" within:"[0,10]"`
	// LatencyMemory is after how long the front's own measurement of a cell's
	// latency counts for 37 %, and the cell's report for the rest.
	LatencyMemory time.Duration `policy:"latency_memory" default:"5s" within:"[100ms,10m]"`
	// LoadMemory is the time over which latencies, and what a cell reports to have
	// in flight from others, are averaged.
	LoadMemory time.Duration `policy:"load_memory" default:"4s" within:"[10ms,10m]"`
	// ReportTrust is how many reports it takes for a cell's own to count half, and
	// what is usual among cells the other half.
	ReportTrust float64 `policy:"report_trust" default:"4" within:"[0,1000]"`
	// ReportAge is after how long a cell's report of its load counts no more.
	ReportAge time.Duration `policy:"report_age" default:"15s" within:"[100ms,10m]"`
	// ReportUses is for how many choices one report may serve.
	ReportUses int `policy:"report_uses" default:"16" within:"[1,100000]"`
	// Probes is how many cells a front asks for their load in a second, beside
	// what it learns from answers; it asks while it has clients.
	Probes float64 `policy:"probes" default:"20" within:"[0,10000]"`
	// ProbeTimeout limits one such question.
	ProbeTimeout time.Duration `policy:"probe_timeout" default:"1s" within:"[10ms,1m]"`

	// SlowStart is how long the share of a newcomer grows to that of the others.
	SlowStart time.Duration `policy:"slow_start" default:"30s" within:"[0s,1h]"`
	// SlowStartMin is the share it begins with.
	SlowStartMin float64 `policy:"slow_start_min" default:"0.1" within:"(0,1]"`
	// Panic is the share of the cells below which, when no more are healthy, also
	// those are tried that Consul has lost sight of, and those that failed here.
	Panic float64 `policy:"panic" default:"0.5" within:"[0,1]"`
	// EjectAfter is after how many failures in a row a cell is left alone.
	EjectAfter int `policy:"eject_after" default:"3" within:"[1,1000]"`
	// EjectTime is for how long, the first time; it doubles with each further one.
	EjectTime time.Duration `policy:"eject_time" default:"5s" within:"[10ms,1h]"`
	// EjectMax is the longest such time.
	EjectMax time.Duration `policy:"eject_max" default:"5m" within:"[10ms,24h]"`

	// Retries is how often one request may be sent again, each time to another
	// cell: one that changes nothing (GET, HEAD, OPTIONS, without a body) and that a
	// cell failed or refused, or one that never reached a cell.
	Retries int `policy:"retries" default:"2" within:"[0,10]"`
	// RetryShare is the share of the requests that may be retries.
	RetryShare float64 `policy:"retry_share" default:"0.2" within:"[0,1]"`
	// RetryMin is how many retries a second there may be in any case.
	RetryMin float64 `policy:"retry_min" default:"10" within:"[0,100000]"`

	// SilentAfter is after how long without a word from a cell that owes an answer all
	// others are taken before it. Until something comes from it, it gets one request
	// each `eject_time`.
	SilentAfter time.Duration `policy:"silent_after" default:"500ms" within:"[10ms,10m]"`

	// DialTimeout limits connecting to a cell.
	DialTimeout time.Duration `policy:"dial_timeout" default:"1s" within:"[10ms,1m]"`
	// AnswerTimeout limits the wait for the beginning of a cell's answer. What
	// follows may take as long as it does.
	AnswerTimeout time.Duration `policy:"answer_timeout" default:"1m" within:"[10ms,24h]"`
	// IdleTimeout is how long an idle connection is kept, to clients and to cells.
	IdleTimeout time.Duration `policy:"idle_timeout" default:"90s" within:"[1s,1h]"`
	// HeaderTimeout limits how long a client may take for a request's header.
	HeaderTimeout time.Duration `policy:"header_timeout" default:"10s" within:"[100ms,10m]"`
	// HeaderBytes limits a request's header.
	HeaderBytes int `policy:"header_bytes" default:"65536" within:"[1024,16777216]"`
	// Silence is how long a client may send nothing of a body that is waited for, or
	// take nothing of its answer. A body without a length that comes by HTTP/2 isn't
	// bound: both sides of such a stream may rest.
	Silence time.Duration `policy:"silence" default:"30s" within:"[100ms,1h]"`
	// Rate is the lowest rate of such a body, in bytes per second, beside `silence` in
	// all: who sends more slowly is cut.
	Rate int `policy:"rate" default:"1024" within:"[1,1000000000]"`
	// MaxInFlight is the most requests a front has in hand; more are refused.
	MaxInFlight int `policy:"max_in_flight" default:"10000" within:"[1,10000000]"`
	// Connections is the most connections of clients; more are closed at once.
	Connections int `policy:"connections" default:"10000" within:"[1,1000000]"`
	// ConnectionsPerAddress is the most of one address, or of one /64 of IPv6;
	// `trusted` ones are bound in all only.
	ConnectionsPerAddress int `policy:"connections_per_address" default:"1000" within:"[1,1000000]"`
	// H2C has HTTP/2 requests passed on as such, as gRPC needs; the cells must speak
	// it, without encryption where they have no TLS. Else all go on as HTTP/1.1.
	H2C bool `policy:"h2c"`
	// Trusted are networks, such as 10.0.0.0/8, of proxies before the front, whose
	// X-Forwarded headers are believed and gone on with.
	Trusted []string `policy:"trusted"`

	// HealthPath is where the front tells of itself; empty: that path is the
	// cells', too.
	HealthPath string `policy:"health_path" default:"/healthz"`
	// ListPath is below which the front lists the service's cells, at
	// `<list_path>/<service>`; empty: that path is the cells', too.
	ListPath string `policy:"list_path" default:"/v1/services"`
	// ListAge is how long such a list may be kept.
	ListAge time.Duration `policy:"list_age" default:"2s" within:"[0s,1h]"`
	// DrainTime is how long requests in hand may take when the front is asked to
	// end.
	DrainTime time.Duration `policy:"drain_time" default:"30s" within:"[0s,24h]"`
}

// The values of Front.Sticky.
const (
	StickyCookie  = "cookie"
	StickyAddress = "address"
	StickyHeader  = "header"
	StickyOff     = "off"
)

// Fronted is what the policy says of the service's front, the defaults where
// it says nothing.
func (s *Service) Fronted() Front {
	if s.Front != nil {
		return *s.Front
	}
	var f Front
	setDefaults(reflect.ValueOf(&f).Elem())
	return f
}

// front checks what a front is told.
func (d *decoder) front(f *Front) {
	d.path(&f.HealthPath)
	d.path(&f.ListPath)
	d.inOrder(&f.EjectTime, &f.EjectMax)
	if d.sound(&f.Sticky, &f.StickyHeader) && (f.Sticky == StickyHeader) != (f.StickyHeader != "") {
		d.add("Sticky by which header", d.at(&f.StickyHeader, &f.Sticky), "sticky is %q and sticky_header is %q. "+
			`Write both sticky = "header" and sticky_header = "X-Client", or neither.`, f.Sticky, f.StickyHeader)
	}
	for _, network := range f.Trusted {
		if _, err := netip.ParsePrefix(network); err != nil {
			d.refuse("Not a network", &f.Trusted, "has %q, which isn't one. Write an address and how many of its bits count, as in 10.0.0.0/8.", network)
		}
	}
	if trimmed := strings.TrimRight(f.ListPath, "/"); trimmed != f.ListPath {
		d.refuse("Path that ends with a slash", &f.ListPath, "is %q, and the service's name comes behind it. Write %q.", f.ListPath, trimmed)
	}
}
