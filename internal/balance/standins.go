package balance

import (
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// StandIns are the cells that did not answer in time and whose last vitals, at most
// three beats old, are in an Observation. Of a thousand cells there is one in almost
// every beat, so a beat with stand-ins counts as any other, with two readings of it:
// by their last vitals it may raise the count, and what would lower the count rests on
// the worst that they may hide, which is that each has become wholly busy, and slow.
//
//	release      the count must be enough with each of them wholly busy
//	correction   is learned from the need with each of them wholly busy
//	rate         of a cell is taken as higher only if it is without what they serve
//	             and with the busy share that they may have by now; as lower, at once
//	latency      is within its bound only if it is with all of their requests the slowest
//	effect       an order is futile only if it is with each of them wholly busy
//
// A cell that is silent for longer leaves the reading unknown, which lowers nothing.
type StandIns struct {
	// Cells counts them, and Why says more of the first.
	Cells int
	Why   string
	// Served is their part in Observation.Served, per second; 0 where that is measured
	// elsewhere. Busy is the largest of their busy shares, 0..1, and Age how old the
	// oldest of their vitals are.
	Served, Busy float64
	Age          time.Duration
	// Latency is Observation.Latency if all of their requests were the slowest.
	Latency reading.Reading
}

// checked turns impossible numbers into the worst that may be.
func (s StandIns) checked() StandIns {
	s.Cells = clamp(s.Cells, 0, mostCells)
	s.Latency = within(s.Latency, mostSeconds)
	s.Age = max(s.Age, 0)
	if !(s.Busy >= 0 && s.Busy <= 1) {
		s.Busy = 1
	}
	if !(s.Served >= 0 && s.Served <= mostRate) {
		s.Served = mostRate
	}
	return s
}

// unheard is the rate, per second, that stand-ins may have now above what they told
// last. The load of a queue is counted at its topic: none of it is unheard.
func (m *memory) unheard(c *Config, o *Observation) float64 {
	if !c.Requests || o.StandIns.Cells == 0 {
		return 0
	}
	perCell, _ := m.rate()
	return float64(o.StandIns.Cells) * perCell
}

// enough is the count that is enough whatever the stand-ins hide. What only they may
// have is no reason to order: it is no more than what is ordered or wanted.
func (v *verdict) enough() int {
	unheard := v.mem.unheard(v.cfg, v.obs)
	if unheard == 0 || !v.sum.known || !v.sum.rateKnown {
		return v.wanted
	}
	s := *v.sum
	s.need += unheard
	s.forecast += s.correction * unheard
	s.addBacklog(v.cfg, v.obs)
	s.addCells(v.cfg)
	return max(v.wanted, min(s.wanted, v.obs.Ordered))
}

// rateOf is the rate of a cell between the least and the most that it may be: most is
// by what is known, least by what stand-ins may hide. Where what was believed lies
// between them it goes on to be; it is 0 where they may do all there is to do.
func (m *memory) rateOf(c *Config, o *Observation, cells, busy float64) float64 {
	most := o.Served.Value / (cells * busy)
	s := &o.StandIns
	if s.Cells == 0 {
		return most
	}
	busyMost := min(1, max(busy, s.Busy+s.Age.Seconds()/c.Law.RateWindow.Seconds()))
	least := max(0, o.Served.Value-s.Served) / (cells * busyMost)
	if was, known := m.rate(); known {
		return clamp(was, least, most)
	}
	return least
}

// inBound says that latency is known to be within its bound, whatever stand-ins hide.
func (c *Config) inBound(o *Observation) bool {
	bound := c.LatencyUpper.Seconds()
	return o.Latency.Value <= bound && (o.StandIns.Cells == 0 || o.StandIns.Latency.Known && o.StandIns.Latency.Value <= bound)
}
