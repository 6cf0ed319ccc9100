package loop

import (
	"fmt"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// pausesKept is of how many rebalances the pause is remembered.
const pausesKept = 16

// readsOn are the protocols, by the names that their clients give them, under which
// members go on reading what they keep while partitions move: cooperative rebalancing
// of the Java client, librdkafka and franz-go, Kafka Streams, Kafka Connect.
var readsOn = []string{"cooperative-sticky", "stream", "compatible", "sessioned"}

// pauseMeter measures for how long a group reads nothing when it deals its partitions
// out, from samples of its state. Most rebalances are over before the next sample, so
// those that are seen are the long ones. What is seen of all of them, over how many
// there were, is right on average nevertheless (work sampling); how many there were is
// told by the count of members, too.
type pauseMeter struct {
	protocol string
	members  float64
	settled  bool      // members is known
	since    time.Time // of the rebalance under way; zero if there is none
	pauses   []time.Duration
}

// observe returns the mean pause of a rebalance, in seconds. The longest of three or
// more is left out: a member that hangs keeps all the others waiting for it.
func (m *pauseMeter) observe(s *sense.LagSample) reading.Reading {
	m.follow(s)
	switch {
	case slices.Contains(readsOn, m.protocol):
		return reading.Reading{Reason: fmt.Sprintf("the group reads on while partitions move (%s)", m.protocol), At: s.At}
	case len(m.pauses) == 0:
		return reading.Reading{Reason: "no rebalance has been seen yet", At: s.At}
	}
	sorted := slices.Sorted(slices.Values(m.pauses))
	if len(sorted) > 2 {
		sorted = sorted[:len(sorted)-1]
	}
	var sum time.Duration
	for _, pause := range sorted {
		sum += pause
	}
	return reading.Of(sum.Seconds()/float64(len(sorted)), s.At)
}

// follow takes a sample in.
func (m *pauseMeter) follow(s *sense.LagSample) {
	switch {
	case s.GroupState == "": // it couldn't be read
	case s.Rebalancing:
		if m.since.IsZero() {
			m.since = s.At
		}
	default:
		m.settle(s)
	}
}

// settle takes in a sample of a group that isn't rebalancing: a rebalance has ended, or
// one went by unseen, if it has other members than before.
func (m *pauseMeter) settle(s *sense.LagSample) {
	switch {
	case !m.since.IsZero():
		m.keep(s.At.Sub(m.since))
	case m.settled && s.Members.Known && s.Members.Value != m.members:
		m.keep(0)
	}
	m.since = time.Time{}
	if s.Members.Known {
		m.members, m.settled = s.Members.Value, true
	}
	if s.Protocol != "" {
		m.protocol = s.Protocol
	}
}

func (m *pauseMeter) keep(pause time.Duration) {
	m.pauses = append(m.pauses, pause)
	m.pauses = m.pauses[max(0, len(m.pauses)-pausesKept):]
}
