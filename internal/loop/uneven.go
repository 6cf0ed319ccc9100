package loop

import (
	"cmp"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

const (
	// mostLaggards is how many partitions the law is shown.
	mostLaggards = 64
	// pausesKept is of how many rebalances the pause is remembered.
	pausesKept = 16
)

// unevenMeter follows what differs between partitions from sample to sample: for how
// long nothing was committed on one with lag, and for how long the group reads
// nothing while it deals them out.
type unevenMeter struct {
	still  map[int]stillness
	since  time.Time // of the rebalance under way; zero if there is none
	pauses []time.Duration
}

type stillness struct {
	committed int64
	since     time.Time
}

// observe returns the partitions that are furthest behind, and the median pause of a
// rebalance, in seconds.
func (m *unevenMeter) observe(s *sense.LagSample) ([]balance.Partition, reading.Reading) {
	m.follow(s)
	return m.laggards(s), m.pause(s.At)
}

// follow takes a rebalance in. One that began and ended between two samples is not
// seen, and so not counted as none.
func (m *unevenMeter) follow(s *sense.LagSample) {
	switch {
	case s.Rebalancing && m.since.IsZero():
		m.since = s.At
	case !s.Rebalancing && !m.since.IsZero() && s.GroupState != "":
		m.pauses = append(m.pauses, s.At.Sub(m.since))
		m.pauses = m.pauses[max(0, len(m.pauses)-pausesKept):]
		m.since = time.Time{}
	}
}

func (m *unevenMeter) pause(at time.Time) reading.Reading {
	if len(m.pauses) == 0 {
		return reading.Reading{Reason: "no rebalance has been seen yet", At: at}
	}
	sorted := slices.Sorted(slices.Values(m.pauses))
	return reading.Of(sorted[len(sorted)/2].Seconds(), at)
}

func (m *unevenMeter) laggards(s *sense.LagSample) []balance.Partition {
	was := m.still
	m.still = make(map[int]stillness)
	var all []balance.Partition
	for _, p := range s.Partitions {
		if !p.CommittedKnown || p.Known && p.Lag == 0 {
			continue
		}
		now, seen := was[p.Partition]
		if !seen || now.committed != p.Committed {
			now = stillness{p.Committed, s.At}
		}
		m.still[p.Partition] = now
		if p.Known {
			all = append(all, balance.Partition{Number: p.Partition, Lag: float64(p.Lag), Still: s.At.Sub(now.since)})
		}
	}
	slices.SortFunc(all, func(a, b balance.Partition) int { return cmp.Compare(b.Lag, a.Lag) })
	return all[:min(len(all), mostLaggards)]
}
