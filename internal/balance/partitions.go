package balance

import (
	"cmp"
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
	// hot are those with far more lag than the others, the largest first.
	hot []Partition
	// stuck are the partitions whose reader commits nothing.
	stuck []Partition
}

// share looks at the partitions and leaves of the observed lag what more cells could
// help with: of stuck partitions nothing, of hot ones as much as the others have.
func (m *memory) share(c *Config, o *Observation) uneven {
	u := uneven{total: o.Lag.Value, counted: o.Lag.Value}
	if !o.Lag.Known || len(o.Laggards) == 0 {
		return u
	}
	partitions := max(valueOr(o.Partitions, m.Partitions), float64(len(o.Laggards)))
	moving := c.part(o, partitions, &u)
	for i := range u.stuck {
		u.counted = max(0, u.counted-u.stuck[i].Lag)
	}
	slices.SortStableFunc(moving, func(a, b Partition) int { return cmp.Compare(b.Lag, a.Lag) })
	all := partitions - float64(len(u.stuck))
	rest, others := u.counted, all
	for len(u.hot) < len(moving) && m.isHot(c, moving[len(u.hot)].Lag, rest, others) {
		rest = max(0, rest-moving[len(u.hot)].Lag)
		others--
		u.hot = moving[:len(u.hot)+1]
	}
	if len(u.hot) > 0 {
		u.counted = min(u.counted, rest*all/others)
	}
	o.Lag.Value = u.counted
	return u
}

// part tells the partitions on which nothing is committed from those that move. Where
// nothing at all is done the readers are missing, and more of them help; where most
// stand still it is how the readers commit, or that one message takes so long.
func (c *Config) part(o *Observation, partitions float64, u *uneven) (moving []Partition) {
	still := max(c.Law.StuckAfter, seconds(stillCommits*valueOr(o.CommitInterval, 0)))
	for i := range o.Laggards {
		if o.Laggards[i].Still >= still {
			u.stuck = append(u.stuck, o.Laggards[i])
		} else {
			moving = append(moving, o.Laggards[i])
		}
	}
	if valueOr(o.Served, 0) <= 0 || 2*float64(len(u.stuck)) > partitions {
		u.stuck = nil
		return slices.Clone(o.Laggards)
	}
	return moving
}

// stillCommits is after how many intervals without a commit a reader may be stuck: one
// may fall between two samples, and one may be late.
const stillCommits = 3

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
	case len(u.hot) > 0:
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
	case len(u.hot) == 1:
		return fmt.Sprintf("partition %d is hot: it holds %s of %s messages of lag and only one cell can read it", u.hot[0].Number, count(u.hot[0].Lag), count(u.total))
	case len(u.hot) > 1:
		return fmt.Sprintf("%d partitions are hot, number %d most: it holds %s of %s messages of lag, and only one cell can read each", len(u.hot), u.hot[0].Number,
			count(u.hot[0].Lag), count(u.total))
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
