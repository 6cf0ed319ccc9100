package balance

// guardLatency lowers the busy share that cells are trusted with, step by
// step, while latency stays out of its bound at a load that the cells should
// carry easily, and gives it back slowly while latency is within. Latency is a
// guard and not the ratio: it says that a cell is overrated, not by how much.
// While cells are short anyway, latency says nothing about a cell.
func (m *memory) guardLatency(c *Config, o *Observation) {
	if c.LatencyUpper <= 0 || !o.Latency.Known {
		return
	}
	if o.Latency.Value <= c.LatencyUpper.Seconds() {
		if c.inBound(o) {
			m.Hot = 0
			m.Trust = min(c.Upper, m.trust(c)+c.Law.GuardRise*c.Beat.Minutes())
		}
		return
	}
	perCell, known := m.rate()
	if !known || !o.Offered.Known || o.Offered.Value >= m.trust(c)*perCell*float64(o.Ready) {
		m.Hot = 0
		return
	}
	m.Hot++
	if m.Hot >= c.beats(c.Law.GuardTime) {
		m.Hot = 0
		m.Trust = max(min(c.Law.GuardMin, c.Upper), c.Law.GuardFactor*m.trust(c))
	}
}

// trust is rho, the busy share that is planned with now.
func (m *memory) trust(c *Config) float64 {
	if m.Trust <= 0 || c.LatencyUpper <= 0 {
		return c.Upper
	}
	return min(m.Trust, c.Upper)
}

// countIdle follows how long the busy share has been below the lower bound.
func (m *memory) countIdle(c *Config, o *Observation) {
	switch {
	case !o.BusyMax.Known:
	case o.BusyMax.Value < c.Lower:
		m.Idle = min(m.Idle+1, mostCount)
	default:
		m.Idle = 0
	}
}

// idle says that the busy share has been below the lower bound for long.
func (m *memory) idle(c *Config) bool { return m.Idle >= c.beats(c.Law.IdleTime) }
