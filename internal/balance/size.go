package balance

import "math"

// sum is the count as the law adds it up, with every step kept.
type sum struct {
	timing
	load
	pause     float64 // seconds in which nothing is read when an order lands
	rate      float64 // of a cell, per second
	rateKnown bool
	trust     float64 // planned busy share
	look      *look
	// correction is the one in use, learned at this level of load.
	correction float64
	forecast   float64 // F, per second
	lag        float64 // messages, the last known
	backlog    float64 // L, messages
	allowance  float64 // lag0(ordered), messages
	drain      float64 // per second, to work the backlog off
	moved      float64 // messages that arrive while partitions move, once
	floor      float64 // n0, cells wholly busy
	exact      float64 // x, cells
	there      float64 // cells that load and backlog ask for as they are now
	spares     float64 // cells kept warm
	wanted     int     // n*, before bounds
}

// size adds up the count. Without a load or the rate of a cell it is what is
// ordered.
func (m *memory) size(c *Config, o *Observation, t timing, l load) sum {
	s := sum{timing: t, load: l, trust: m.trust(c), look: m.best(), lag: valueOr(o.Lag, m.Lag), wanted: o.Ordered}
	s.rate, s.rateKnown = m.rate()
	s.forecast, _ = s.look.Corrected.ago(0)
	s.correction = s.look.Corrections[s.look.Level]
	if !c.Requests { // which no group reads
		s.pause = min(m.Pause, float64(s.lead)*c.Beat.Seconds())
	}
	if !s.known || !s.rateKnown {
		return s
	}
	s.addBacklog(c, o)
	s.addCells(c)
	if s.moved > 0 && s.wanted > o.Ordered {
		// The order itself moves partitions, too.
		s.backlog += s.moved
		s.spreadBacklog(c)
		s.addCells(c)
	}
	return s
}

// addBacklog rolls the lag forward over the orders in flight. Requests without a
// queue leave no backlog: what is refused comes again as offered load.
func (s *sum) addBacklog(c *Config, o *Observation) {
	if c.Requests && !o.Lag.Known {
		s.lag = 0
		return
	}
	horizon := float64(s.lead) * c.Beat.Seconds()
	s.allowance = allowance(c, o, s.rate, o.Ordered)
	s.moved = s.offered * s.pause
	s.backlog = rollForward(s.lag, s.need, s.rate, o.Ready, landings(c, o, s.timing), horizon, s.moved)
	s.spreadBacklog(c)
}

// spreadBacklog spreads what will be left over a birth: Flink's catch-up term;
// faster only overshoots.
func (s *sum) spreadBacklog(c *Config) {
	s.drain = max(0, s.backlog-s.allowance) / s.drainTime(c)
}

// addCells makes cells of the rates.
func (s *sum) addCells(c *Config) {
	s.floor = (s.need + s.drain) / s.rate
	s.there = s.floor / s.trust
	if c.Requests {
		// Requests must not queue: Halfin and Whitt's square-root staffing.
		s.there = max(s.there, s.floor+c.Law.Staffing*math.Sqrt(s.floor))
	}
	s.exact = max(s.there, s.forecast/s.rate/s.trust)
	s.spares = 0
	if s.birth > c.Law.Patience.Seconds() {
		// Nobody can wait for a birth: what a surge takes is there before it.
		s.spares = max(1, c.Law.SpareShare*s.exact)
	}
	s.wanted = roundUp(c, s.exact+s.spares)
}

func (s *sum) drainTime(c *Config) float64 {
	return max(c.Law.DrainMin.Seconds(), s.birth)
}

// roundUp is the next whole number, but for a small part of a cell that isn't
// worth one.
func roundUp(c *Config, cells float64) int {
	return int(clamp(math.Ceil(cells-c.Law.slack(cells)), 1, mostCells))
}

// slack is the small part of a cell that isn't worth one.
func (l *Law) slack(cells float64) float64 { return min(l.RoundingMax, l.RoundingShare*cells) }

// most returns the largest count that makes sense, and what sets it: a cell
// without a partition would have nothing to read.
func (m *memory) most(c *Config) (most int, by string) {
	most, by = c.Max, "max"
	if m.Partitions >= 1 && !c.Requests {
		if n := int(math.Ceil(m.Partitions / float64(c.ConsumersPerCell))); n < most {
			most, by = n, "partitions"
		}
	}
	if most < c.Min {
		most, by = c.Min, "min"
	}
	return most, by
}
