package loop

import (
	"fmt"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

const (
	// pausesKept is of how many rebalances the pause is remembered.
	pausesKept = 16
	// fewPauses are too few to tell: most of a few may have gone by unseen, and one that is
	// seen may be none like the others.
	fewPauses = 4
	// What is between two samples is known while they are no further apart than mostBetween
	// beats, or than leastBetween. Two that are nearer than half a beat are taken as one: the
	// second is of a beat for which something that has just landed is the reason.
	mostBetween  = 3
	leastBetween = 3 * time.Second
)

// readOn are the protocols, by the names that clients give them, under which members go
// on reading what they keep while partitions move: cooperative rebalancing of the Java
// client, librdkafka and franz-go, and Kafka Streams.
var readOn = []string{"cooperative-sticky", "stream"}

// pauseMeter measures for how long a group reads nothing when it deals its partitions
// out, from samples of its state. Most rebalances are over before the next sample, so
// those that are seen are the long ones. What is seen of all of them, over how many
// there were, is right on average nevertheless (work sampling); that there was one is
// told by other members than before, too.
type pauseMeter struct {
	beat     time.Duration
	protocol string
	members  uint64    // who they were when the group was last at rest; 0 if unknown
	last     time.Time // of the samples that could be read
	since    time.Time // of the rebalance under way; zero if there is none
	pauses   []time.Duration
}

// observe returns the mean pause of a rebalance, in seconds. The longest counts as the one
// next to it, or as a beat, which is the least that can be seen: a member that hangs has all
// others wait for it.
func (m *pauseMeter) observe(s *sense.LagSample) reading.Reading {
	if s.GroupState != "" {
		m.follow(s)
	}
	n := len(m.pauses)
	switch {
	case slices.Contains(readOn, m.protocol) || s.GroupState == "Dead" && s.Committed():
		// A group that has committed and is shown as dead speaks the new protocol (KIP-848).
		return reading.Of(0, s.At)
	case n < fewPauses:
		return reading.Reading{Reason: fmt.Sprintf("of %d rebalances there have been %d", fewPauses, n), At: s.At}
	}
	sorted := slices.Sorted(slices.Values(m.pauses))
	sorted[n-1] = min(sorted[n-1], max(sorted[n-2], m.beat))
	var sum time.Duration
	for _, pause := range sorted {
		sum += pause
	}
	return reading.Of(sum.Seconds()/float64(n), s.At)
}

// follow takes in a sample of the group's state. Of a rebalance in which it couldn't be
// read for long nothing is kept.
func (m *pauseMeter) follow(s *sense.LagSample) {
	gap := s.At.Sub(m.last)
	switch {
	case gap < 0 || gap > max(mostBetween*m.beat, leastBetween):
		m.since, m.members = time.Time{}, 0
	case gap < m.beat/2:
		return
	}
	m.last = s.At
	switch {
	case !s.Rebalancing:
		m.rest(s)
	case m.since.IsZero():
		m.since = s.At
	}
}

// rest takes in a sample of a group that isn't rebalancing: a rebalance has ended, or one
// went by unseen if it has other members than before. Without members nothing waits.
func (m *pauseMeter) rest(s *sense.LagSample) {
	switch {
	case s.MemberSet == 0:
	case !m.since.IsZero():
		m.keep(s.At.Sub(m.since))
	case m.members != 0 && s.MemberSet != m.members:
		m.keep(0)
	}
	m.since, m.members = time.Time{}, s.MemberSet
	if s.Protocol == "" {
		return
	}
	if m.protocol != "" && s.Protocol != m.protocol {
		m.pauses = nil
	}
	m.protocol = s.Protocol
}

func (m *pauseMeter) keep(pause time.Duration) {
	m.pauses = append(m.pauses, pause)
	m.pauses = m.pauses[max(0, len(m.pauses)-pausesKept):]
}
