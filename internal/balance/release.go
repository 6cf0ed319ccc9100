package balance

import "math"

// keepWanted notes the count that was enough at this beat.
func (m *memory) keepWanted(c *Config, wanted int) {
	m.Wanted = append(m.Wanted, wanted)
	if extra := len(m.Wanted) - c.beats(c.Law.ReleaseWindow); extra > 0 {
		m.Wanted = m.Wanted[:copy(m.Wanted, m.Wanted[extra:])]
	}
}

func (m *memory) lastWanted() int {
	if len(m.Wanted) == 0 {
		return 0
	}
	return m.Wanted[len(m.Wanted)-1]
}

// release says to how many cells the count may fall, or which code holds it.
// What is enough must have been enough for Law.ReleaseWindow; one order takes
// no more than 1-Law.ReleaseKeep of the cells, and none is placed for next to
// nothing. A cell too many costs little, a cell missing costs a birth.
func (m *memory) release(c *Config, o *Observation, s *sum, gone missing, wanted int) (int, string) {
	enough := m.enough(wanted)
	switch {
	case gone.any():
		return o.Ordered, gone.code()
	case o.growing():
		return o.Ordered, CodeWaitingForBirth
	case s.lag > allowance(c, o, s.rate, o.Ready):
		return o.Ordered, CodeLagRemains
	case !m.grownUp(c, s.timing):
		return o.Ordered, CodeWarmingUp
	case enough >= o.Ordered || len(m.Wanted) < c.beats(c.Law.ReleaseWindow):
		return o.Ordered, CodeSettling
	case float64(o.Ordered-enough) < c.Law.ReleaseShare*float64(o.Ordered):
		return o.Ordered, CodeDeadBand
	case c.FlapBudget > 0 && o.changes() >= c.FlapBudget:
		return o.Ordered, CodeFlapBudget
	}
	keep := int(math.Ceil(c.Law.ReleaseKeep * float64(o.Ordered)))
	return max(enough, min(keep, o.Ordered)), CodeRelease
}

// enough is the largest count wanted over Law.ReleaseWindow.
func (m *memory) enough(wanted int) int {
	for _, n := range m.Wanted {
		wanted = max(wanted, n)
	}
	return wanted
}

// grownUp says that the law has run long enough to be trusted with less.
func (m *memory) grownUp(c *Config, t timing) bool {
	ran := float64(m.Run) * c.Beat.Seconds()
	return ran >= max(c.Law.ReleaseAfter.Seconds(), t.birth)
}

// changes counts the hour's orders, those in flight included: they will land.
func (o *Observation) changes() int { return max(0, o.Changes) + len(o.InFlight) }
