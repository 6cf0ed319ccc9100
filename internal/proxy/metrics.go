package proxy

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("homeostat_proxy_"+name, help, labels, nil)
}

var (
	offeredDesc  = describe("offered_total", "Requests offered, refused ones included, each once.", "class")
	outcomeDesc  = describe("requests_total", "Requests by what became of them.", "class", "outcome")
	againDesc    = describe("retries_total", "Requests that came again after they were refused, known by their header.", "class")
	inFlightDesc = describe("in_flight", "Requests that the application works on.", "class")
	waitingDesc  = describe("waiting", "Clients that wait for their turn.")
	limitDesc    = describe("limit", "How many requests may be in flight.")
	crawlersDesc = describe("crawler_limit", "How many of them may be crawlers'.")
	baseDesc     = describe("base_latency_seconds", "What an answer of the application takes without load.", "class")
	capacityDesc = describe("capacity_per_second", "The rate of answers at the limit; 0 while it was not reached.")
	excessDesc   = describe("redirect_share", "The share of clients that are to go to a sibling.")
	pressureDesc = describe("pressure_ratio", "The clients' latency over its bound.")
	latencyDesc  = describe("latency_seconds", "From when a request came until its answer began.", "class")
	waitedDesc   = describe("wait_seconds", "How long requests waited that had to.", "class")
	connDesc     = describe("connections", "Connections of callers.")
	openedDesc   = describe("connections_total", "Connections of callers since the start.")
	upgradedDesc = describe("upgraded_connections", "Connections that speak another protocol, such as WebSockets, and streams of events.")
	takingDesc   = describe("taking", "Answers that the application has given whole and callers are still taking.")
	noConnDesc   = describe("connections_refused_total", "Connections over a bound.", "bound")
	drainingDesc = describe("draining", "Whether callers are sent elsewhere.")
	absentDesc   = describe("application_absent", "Whether the application was not there when it was last asked.")
	allDescs     = []*prometheus.Desc{
		offeredDesc, outcomeDesc, againDesc, inFlightDesc, waitingDesc, limitDesc, crawlersDesc, baseDesc, capacityDesc,
		excessDesc, pressureDesc, latencyDesc, waitedDesc, connDesc, openedDesc, upgradedDesc, takingDesc, noConnDesc, drainingDesc, absentDesc,
	}
)

// Describe implements prometheus.Collector.
func (p *Proxy) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range allDescs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (p *Proxy) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for c := range Class(classes) {
		s, class := &p.stats[c], c.String()
		counter(offeredDesc, s.offered.Load(), class)
		counter(againDesc, s.again.Load(), class)
		for outcome, n := range map[string]uint64{
			"served": s.served.Load(), "refused": s.refused.Load(), "moved": s.moved.Load(), "gone": s.gone.Load(),
			"absent": s.absent.Load(), "broken": s.broken.Load(), "timeout": s.slow.Load(), "invalid": s.wrong.Load(),
		} {
			counter(outcomeDesc, n, class, outcome)
		}
		gauge(inFlightDesc, float64(s.inFlight.Load()), class)
		ch <- s.latency.metric(latencyDesc, class)
		ch <- s.waited.metric(waitedDesc, class)
	}
	gauge(pressureDesc, p.Pressure())
	gauge(upgradedDesc, float64(p.upgraded.Load()))
	gauge(takingDesc, float64(p.taking.Load()))
	gauge(drainingDesc, truth(p.draining.Load()))
	gauge(absentDesc, truth(p.away.Load()))
	p.gate.collect(gauge)
	conns := p.connections.Counts()
	gauge(connDesc, float64(conns.Open))
	counter(openedDesc, conns.Opened)
	counter(noConnDesc, conns.RefusedInAll, "all")
	counter(noConnDesc, conns.RefusedOfOne, "address")
}

func (g *gate) collect(gauge func(*prometheus.Desc, float64, ...string)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	gauge(waitingDesc, float64(g.queue.n))
	gauge(limitDesc, float64(g.room(now)))
	gauge(crawlersDesc, float64(max(0, g.left(now))))
	gauge(capacityDesc, g.capacity)
	gauge(excessDesc, g.excess(now))
	for c := range Class(classes) {
		gauge(baseDesc, g.limit.Base(c), c.String())
	}
}

// metric shows a sketch as a classic histogram.
func (s *sketch) metric(d *prometheus.Desc, class string) prometheus.Metric {
	cumulative := s.cumulative()
	buckets := make(map[float64]uint64, len(bounds))
	for i, b := range bounds {
		buckets[b] = uint64(cumulative[i])
	}
	return prometheus.MustNewConstHistogram(d, uint64(cumulative[len(bounds)]), s.seconds(), buckets, class)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
