package loop

import (
	"cmp"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// mostLaggards is how many partitions the law is shown.
const mostLaggards = 64

// unevenMeter follows what differs between partitions from sample to sample: for how
// long nothing was committed on one with lag.
type unevenMeter struct {
	still map[int]stillness
}

type stillness struct {
	committed int64
	since     time.Time
}

// laggards are the partitions that are furthest behind.
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
