package balance

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// keepWanted notes the count that was enough at this beat. A beat that was missed, or
// without a reading, shows of no count that it is enough: such time doesn't count.
func (m *memory) keepWanted(wanted int) {
	m.WantedBeats++
	m.Wanted.push(m.WantedBeats, float64(wanted), MostBeats)
}

// countBlind takes one beat, and those missed before it. What was enough before a gap
// is old after it, so a release waits for as many beats with all readings as were
// without, for Law.ReleaseWindow at most.
func (m *memory) countBlind(c *Config, o *Observation, missed int) {
	window, gone := c.window(c.Law.ReleaseWindow), c.missing(o)
	m.Blind = min(m.Blind+missed, window)
	if gone.any() {
		m.Blind = min(m.Blind+1, window)
	} else {
		m.Blind = max(m.Blind-1, 0)
	}
	m.noteMissed(missed, gone.names(o))
}

// noteMissed notes for how long a release has waited since beats or readings were missing,
// and which were the last. Where they are missing as often as not it waits for ever.
func (m *memory) noteMissed(beats int, readings []string) {
	if m.Blind == 0 {
		m.BlindFor, m.Missed = 0, ""
		return
	}
	m.BlindFor += beats + 1
	if beats > 0 {
		readings = append(readings, fmt.Sprintf("beats (%d)", beats))
	}
	if len(readings) > 0 {
		m.Missed = strings.Join(readings, "; ")
	}
}

// lastWanted is the count that was enough at the last beat.
func (m *memory) lastWanted() int { return int(m.Wanted.max(m.WantedBeats, 1)) }

// hold is for how long fewer cells must have been enough before so many go. An
// order costs a change, and births if load returns, so it waits until the cells
// that would go have idled away as much: Law.ReleaseIdle of all of them together,
// and Law.ReleaseBirths births each. (Lot sizing by part-period balancing: order
// when what was wasted equals what the order costs.) Whether load returns is in
// what the past has taught: where the last minute foretells best nothing older
// does, and less is waited for. Pauses of the consumers are weighed besides.
func (m *memory) hold(c *Config, s *sum, ordered, cells int) time.Duration {
	idle := min(c.Law.ReleaseIdle, seconds(c.Law.ReleaseLooks*m.Best.Seconds())) / time.Duration(max(1, cells))
	births := min(m.Best, seconds(c.Law.ReleaseBirths*s.birth))
	return min(max(c.Law.ReleaseWindow, idle+births+c.worth(s, ordered, cells)), MostBeats*c.Beat)
}

// worth is how long some of the ordered cells must idle until that outweighs the pauses
// of their release, in which all that are ordered stand still: Law.ReleasePauses of
// them. A cell that stands still is one too few, so Law.Price tells what it is worth.
func (c *Config) worth(s *sum, ordered, cells int) time.Duration {
	gone := max(1, min(cells, ordered-c.keep(ordered)))
	still := c.Law.ReleasePauses * s.pause * float64(ordered)
	return seconds(still * c.Law.Price / (1 - c.Law.Price) / float64(gone))
}

// keep is how many cells one downward order must leave.
func (c *Config) keep(ordered int) int {
	return min(int(math.Ceil(c.Law.ReleaseKeep*float64(ordered))), ordered)
}

// spare returns the lowest count for which it has been held, and how long it was
// enough. It is what is ordered if there is none.
func (m *memory) spare(c *Config, s *sum, ordered int) (enough int, held time.Duration) {
	w := &m.Wanted
	for i := len(w.beats) - 1; i >= 0; i-- {
		enough = int(w.values[i])
		if enough >= ordered {
			break
		}
		beats := m.WantedBeats
		if i > 0 {
			beats -= w.beats[i-1]
		}
		held = time.Duration(min(beats, MostBeats)) * c.Beat
		if held >= m.hold(c, s, ordered, ordered-enough) {
			return enough, held
		}
	}
	return ordered, 0
}

// release says to how many cells the count may fall, or which code holds it; now is
// what is enough at this instant. What is enough must have been enough for Law.ReleaseWindow; one order takes
// no more than 1-Law.ReleaseKeep of the cells, and none is placed for next to
// nothing. A cell too many costs little, a cell missing costs a birth.
func (m *memory) release(c *Config, o *Observation, s *sum, gone missing, now int) (int, string) {
	enough, _ := m.spare(c, s, o.Ordered)
	enough = max(enough, now)
	switch {
	case gone.any():
		return o.Ordered, gone.code()
	case o.growing():
		return o.Ordered, CodeWaitingForBirth
	case s.lag > allowance(c, o, s.rate, o.Ready):
		return o.Ordered, CodeLagRemains
	case !m.grownUp(c, s.timing):
		return o.Ordered, CodeWarmingUp
	case enough >= o.Ordered || m.Blind > 0:
		return o.Ordered, CodeSettling
	case float64(o.Ordered-enough) < c.Law.ReleaseShare*float64(o.Ordered):
		return o.Ordered, CodeDeadBand
	case c.spent(o):
		return o.Ordered, CodeFlapBudget
	}
	return max(enough, c.keep(o.Ordered)), CodeRelease
}

// grownUp says that the law has run long enough to be trusted with less.
func (m *memory) grownUp(c *Config, t timing) bool {
	ran := float64(m.Run) * c.Beat.Seconds()
	return ran >= max(c.Law.ReleaseAfter.Seconds(), t.birth)
}

// spent says that the hour's changes leave none for a downward order.
func (c *Config) spent(o *Observation) bool { return c.FlapBudget > 0 && o.changes() >= c.FlapBudget }

// changes counts the hour's orders, those in flight included: they will land.
func (o *Observation) changes() int { return max(0, o.Changes) + len(o.InFlight) }
