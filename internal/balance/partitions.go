package balance

import (
	"fmt"
	"slices"
	"time"
)

// Partition is one of a topic that has lag.
type Partition struct {
	Number int
	// Lag is in messages. Still is for how long nothing has been committed on it
	// although it has lag.
	Lag   float64
	Still time.Duration
}

// uneven is what the partitions say of the lag. A partition is read by one cell at a
// time, so more cells help none that is alone behind: one that is hot, or one whose
// reader is stuck. What lies there is not worked off by being counted, and a count
// made from it would rise without bound.
type uneven struct {
	// total is the whole lag, counted what the law goes by.
	total, counted float64
	hot            *Partition
	// stuck are the partitions whose reader commits nothing.
	stuck []Partition
}

// share looks at the partitions and leaves of the observed lag what more cells could
// help with: of stuck partitions nothing, of a hot one as much as the others have.
func (m *memory) share(c *Config, o *Observation) uneven {
	u := uneven{total: o.Lag.Value, counted: o.Lag.Value}
	if !o.Lag.Known || len(o.Laggards) == 0 {
		return u
	}
	// Where nothing at all is done the readers are missing, and more of them help.
	served := valueOr(o.Served, 0) > 0
	moving := max(valueOr(o.Partitions, m.Partitions), float64(len(o.Laggards)))
	for i := range o.Laggards {
		p := &o.Laggards[i]
		switch {
		case p.Still >= c.Law.StuckAfter && served:
			u.stuck = append(u.stuck, *p)
			u.counted = max(0, u.counted-p.Lag)
			moving--
		case u.hot == nil || p.Lag > u.hot.Lag:
			u.hot = p
		}
	}
	if u.hot != nil && m.isHot(c, u.hot.Lag, u.counted, moving) {
		u.counted = min(u.counted, max(0, u.counted-u.hot.Lag)*moving/(moving-1))
	} else {
		u.hot = nil
	}
	o.Lag.Value = u.counted
	return u
}

// isHot says that a partition's lag is many times that of the others, and more than
// its one reader works off within the wait bound.
func (m *memory) isHot(c *Config, lag, all, partitions float64) bool {
	others := max(0, all-lag)
	if partitions < 2 || lag*(partitions-1) <= c.Law.HotRatio*others {
		return false
	}
	perCell, known := m.rate()
	return known && lag > c.WaitBound.Seconds()*perCell/float64(c.ConsumersPerCell)
}

// code names what is uneven, "" if nothing is.
func (u *uneven) code() string {
	switch {
	case u.hot != nil:
		return CodeHotPartition
	case len(u.stuck) > 0:
		return CodeStuckPartition
	default:
		return ""
	}
}

// say is for a person.
func (u *uneven) say() string {
	switch {
	case u.hot != nil:
		return fmt.Sprintf("partition %d is hot: it holds %s of %s messages of lag and only one cell can read it", u.hot.Number, count(u.hot.Lag), count(u.total))
	case len(u.stuck) == 1:
		return fmt.Sprintf("partition %d is stuck: for %s nothing was committed there, and %s messages wait", u.stuck[0].Number,
			span(u.stuck[0].Still.Seconds()), count(u.stuck[0].Lag))
	case len(u.stuck) > 1:
		return fmt.Sprintf("%d partitions are stuck, number %d among them: for %s nothing was committed there", len(u.stuck), u.stuck[0].Number,
			span(u.stuck[0].Still.Seconds()))
	default:
		return ""
	}
}

// soundPartitions leaves out what can't be.
func soundPartitions(all []Partition) []Partition {
	return slices.DeleteFunc(slices.Clone(all), func(p Partition) bool { return !(p.Lag > 0 && p.Lag <= mostRate) })
}
