package balance

// countAway follows for how many beats a signal has been missing, and keeps
// the last value of those that stand in for a missing one.
func (m *memory) countAway(c *Config, o *Observation, beats int) {
	gone := c.missing(o)
	m.LagAway = away(m.LagAway, beats, gone.lag)
	m.LatencyAway = away(m.LatencyAway, beats, gone.latency)
	m.Lag = valueOr(o.Lag, m.Lag)
	m.Partitions = valueOr(o.Partitions, m.Partitions)
	m.Pause = valueOr(o.RebalancePause, m.Pause)
}

func away(so, more int, missing bool) int {
	if !missing {
		return 0
	}
	return min(so+more, mostCount)
}

// fallback applies what the policy says about signals that stay away to the
// count wanted. No fallback lowers it below what is ordered.
func (m *memory) fallback(c *Config, o *Observation, wanted int) (count int, used string) {
	long := c.beats(c.Law.SignalAway)
	count = wanted
	if m.LagAway >= long {
		if c.LagFallback.Kind == Hold || c.LagFallback.Kind == "" {
			count, used = o.Ordered, "lag: hold"
		}
		if n := c.LagFallback.Number; c.LagFallback.Kind == Number && n > count {
			count, used = n, "lag: number"
		}
	}
	if n := c.LatencyFallback.Number; m.LatencyAway >= long && c.LatencyFallback.Kind == Number && n > count {
		count, used = n, "latency: number"
	}
	return count, used
}
