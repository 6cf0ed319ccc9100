package proxy

import (
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// inHand is how many requests the cell works on or keeps waiting.
func (p *Proxy) inHand() int {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	return p.gate.total() + p.gate.queue.n
}

// Report is the cell's load now.
func (p *Proxy) Report() load.Report {
	g, now, draining, away := p.gate, time.Now(), p.draining.Load(), p.away.Load()
	g.mu.Lock()
	defer g.mu.Unlock()
	room := g.room(now)
	return load.Report{
		InFlight: g.total() + g.queue.n,
		Limit:    room,
		Latency:  g.answers.median(now, g.total()),
		Hot:      draining || away || g.excess(now) > 0,
		Crawlers: !draining && !away && g.total() < room && g.inFlight[Crawler] < g.left(now),
	}
}

// Pressure is the clients' latency of the last seconds over its bound: above 1 it is
// out of bounds. It is the policy's quantile; 0 while no client was answered, or where
// there is no bound.
func (p *Proxy) Pressure() float64 {
	if p.cfg.Upper <= 0 {
		return 0
	}
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.present.quantile(time.Now(), p.cfg.Quantile, pressureSpan) / p.cfg.Upper.Seconds()
}

// WithinBound says whether the clients have what they need: their latency is within its
// bound, where there is one, and they need no more than the hot share of the limit. The
// latency alone is that of those who were let in, and good while others are refused.
func (p *Proxy) WithinBound() bool {
	if p.Pressure() > 1 {
		return false
	}
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	return p.gate.excess(time.Now()) == 0
}

// Traffic is what the proxy has seen since its start, for the vitals of the cell.
func (p *Proxy) Traffic() sense.Traffic {
	t := sense.Traffic{At: time.Now(), InFlight: p.inHand() + int(p.taking.Load())}
	clients := &p.stats[Client].latency
	t.Latency = sense.Histogram{At: t.At, Bounds: bounds[:], Cumulative: clients.cumulative(), Sum: clients.seconds()}
	for c := range p.stats {
		s := &p.stats[c]
		t.Offered += float64(s.offered.Load())
		t.Served += float64(s.served.Load())
		t.Refused += float64(s.refused.Load())
	}
	t.Clients = float64(p.stats[Client].offered.Load())
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	t.Capacity = p.gate.capacity
	t.ClientsInHand = p.gate.inFlight[Client] + p.gate.queue.n
	return t
}
