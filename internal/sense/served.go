package sense

import (
	"fmt"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

const (
	// defaultServedWindow is the shortest time over which the progress of
	// committed offsets is a rate: consumers commit in steps, seconds apart.
	defaultServedWindow = time.Minute
	// commitGaps is how many gaps between commits are remembered, and
	// fewestGaps how many it takes for a median.
	commitGaps, fewestGaps = 64, 3
)

// servedMeter adds up the progress of the committed offsets.
type servedMeter struct {
	total float64
	marks []progress
	// broken says that a committed offset went back since the last mark.
	broken bool
}

// progress is how many messages had been served in all at an instant.
type progress struct {
	at    time.Time
	total float64
}

// restart forgets all progress.
func (m *servedMeter) restart() { *m = servedMeter{} }

// observe adds the progress on one partition. Messages that retention took
// before the group had read them are not served.
func (m *servedMeter) observe(pm *partitionMeter, p PartitionLag) {
	switch {
	case p.Committed < 0:
		// From an empty partition progress will count from where it begins.
		if p.End >= 0 && (p.End == 0 || p.Start == p.End) {
			pm.committed = p.End
		}
		return
	case pm.committed < 0:
	case p.Committed < pm.committed:
		m.broken = true
	default:
		m.total += float64(max(0, p.Committed-max(pm.committed, p.Start)))
	}
	pm.committed = p.Committed
}

// mark notes the progress of an instant at which every committed offset was
// known. After one that went back the rate is measured anew.
func (m *servedMeter) mark(at time.Time) {
	if m.broken {
		m.marks, m.broken = nil, false
	}
	m.marks = append(m.marks, progress{at, m.total})
}

// rate is the progress per second over the shortest span of at least window,
// and drops what lies before it.
func (m *servedMeter) rate(s LagSample, window time.Duration) reading.Reading {
	unknown := func(format string, args ...any) reading.Reading {
		return reading.Reading{Reason: fmt.Sprintf(format, args...), At: s.At}
	}
	if len(m.marks) == 0 || !m.marks[len(m.marks)-1].at.Equal(s.At) {
		return unknown("not every committed offset could be read")
	}
	for len(m.marks) > 1 && s.At.Sub(m.marks[1].at) >= window {
		m.marks = m.marks[1:]
	}
	span := s.At.Sub(m.marks[0].at)
	if span < window {
		return unknown("measured for %v, needs %v", span.Round(time.Second), window)
	}
	done := m.total - m.marks[0].total
	if done == 0 && (!s.AtLeast.Known || s.AtLeast.Value > 0) {
		return unknown("the group is behind and has committed nothing for %v: it is stuck, or commits more seldom", span.Round(time.Second))
	}
	return reading.Of(done/span.Seconds(), s.At)
}

// commitClock learns how often a group commits.
type commitClock struct{ gaps []time.Duration }

// observe notes the time between two commits on a partition, if the group had
// something to read there all the while.
func (c *commitClock) observe(pm *partitionMeter, p PartitionLag, at time.Time) {
	behind := p.End >= 0 && p.Committed < p.End
	if p.Committed <= pm.committed || pm.committed < 0 {
		pm.behind = pm.behind && behind
		return
	}
	if pm.behind {
		c.gaps = append(c.gaps, at.Sub(pm.changed))
		c.gaps = c.gaps[max(0, len(c.gaps)-commitGaps):]
	}
	pm.changed, pm.behind = at, behind
}

// median of the gaps; zero while there are too few.
func (c *commitClock) median() time.Duration {
	if len(c.gaps) < fewestGaps {
		return 0
	}
	sorted := slices.Sorted(slices.Values(c.gaps))
	return sorted[len(sorted)/2]
}

// interval is the median as a reading in seconds.
func (c *commitClock) interval(at time.Time) reading.Reading {
	if len(c.gaps) < fewestGaps {
		return reading.Reading{At: at, Reason: fmt.Sprintf("%d commits seen while the group was behind, needs %d", len(c.gaps), fewestGaps)}
	}
	return reading.Of(c.median().Seconds(), at)
}
