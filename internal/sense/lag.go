package sense

import (
	"fmt"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// LagSample is the state of one consumer group on one topic at one instant.
type LagSample struct {
	// At is the instant the log ends were asked for. It keeps the monotonic
	// clock, so that rates survive a change of the wall clock.
	At time.Time
	// Listed is when the list of partitions was read; one that was added since is not
	// among them.
	Listed       time.Time
	Topic, Group string
	// Partitions is ordered by partition; empty if the topic is unknown.
	Partitions []PartitionLag
	// Lag is the number of messages not yet committed, summed over the
	// partitions. It is known only if the lag of every partition is.
	Lag reading.Reading
	// AtLeast is the sum over the partitions whose lag is known: a lower bound
	// of the lag while Lag is unknown, and equal to it otherwise.
	AtLeast reading.Reading
	// Known is how many partitions have a known lag.
	Known int
	// PartitionCount is how many partitions the topic has.
	PartitionCount reading.Reading
	// GroupState is what Kafka calls the group: Stable, Empty, Dead,
	// PreparingRebalance, CompletingRebalance. Empty if it could not be read.
	GroupState string
	// Protocol is how the members share the partitions, by the name that they gave it:
	// range, cooperative-sticky. Kafka tells it of a stable group.
	Protocol string
	// Members is how many consumers the group has, over all its topics.
	Members reading.Reading
	// MemberSet tells one set of members from another; 0 where there are none, or it
	// couldn't be read who they are.
	MemberSet uint64
	// Rebalancing says that the group is dealing out its partitions, and so
	// reads little or nothing.
	Rebalancing bool
	// IdleMembers is how many members have nothing to read, because the group
	// has more of them than the topic has partitions. (A group that reads other
	// topics too may still use them.)
	IdleMembers int
	// Notes are remarks for a person on what the numbers can't tell.
	Notes []string
}

// Partial says that the lag of some but not all partitions is known.
func (s LagSample) Partial() bool { return s.Known > 0 && s.Known < len(s.Partitions) }

// Committed says that the group is known to have committed on a partition.
func (s LagSample) Committed() bool {
	return slices.ContainsFunc(s.Partitions, func(p PartitionLag) bool { return p.CommittedKnown && p.Committed >= 0 })
}

// PartitionLag is the state of one partition. Offsets are -1 where they are
// not known; a Committed of -1 with CommittedKnown is a group that never
// committed there.
type PartitionLag struct {
	Partition int
	// End is the log end: the offset the next message will get.
	End int64
	// Start is the log start: the oldest offset that retention has left. It
	// is read only where it is needed, and may be up to a minute old.
	Start int64
	// Committed is the offset the group will read next.
	Committed      int64
	CommittedKnown bool
	// LeaderEpoch is the leader's epoch as the leader gave it with the log
	// end; it goes back only if the topic was made anew. -1 if unknown.
	LeaderEpoch int32
	// Lag is the number of messages from the committed offset, or from the
	// log start where retention has passed it, to the log end; never negative.
	Lag int64
	// Known says whether Lag is a measurement. Reason says why not.
	Known  bool
	Reason string
}

// WithoutCommit says what the lag of a partition is on which the group has
// committed nothing, though the partition holds messages.
type WithoutCommit int

const (
	// Unknown is the careful choice: Kafka doesn't tell where the consumers
	// will begin.
	Unknown WithoutCommit = iota
	// FromStart is for consumers that begin with the oldest message
	// (auto.offset.reset=earliest): the whole partition is lag.
	FromStart
	// FromEnd is for consumers that begin with the newest message
	// (auto.offset.reset=latest): there is no lag.
	FromEnd
)

// unknownSample is the sample of an attempt that learned nothing.
func unknownSample(at time.Time, topic, group, format string, args ...any) LagSample {
	r := reading.Reading{Reason: fmt.Sprintf(format, args...), At: at}
	return LagSample{
		At: at, Topic: topic, Group: group,
		Lag: r, AtLeast: r, PartitionCount: r, Members: r,
	}
}

// describe takes over what is known of the group and remarks on what is odd.
func (s *LagSample) describe(g group, c commits) {
	s.GroupState, s.Protocol, s.MemberSet = g.state, g.protocol, g.memberSet
	s.Rebalancing = g.state == groupPreparing || g.state == groupCompleting
	switch {
	case g.err != nil:
		s.Members = reading.Reading{Reason: g.err.Error(), At: s.At}
	case g.state == groupDead && c.any():
		s.Members = reading.Reading{Reason: "the group is described as dead though it has committed offsets", At: s.At}
		s.Notes = append(s.Notes, fmt.Sprintf("group %q is described as dead though it has committed offsets: "+
			"it speaks the new consumer protocol (KIP-848), which is not shown, or its members left long ago", s.Group))
	case g.state == groupDead:
		s.Members = reading.Reading{Reason: "the group does not exist, or speaks the new consumer protocol (KIP-848)", At: s.At}
		if c.err == nil {
			s.Notes = append(s.Notes, fmt.Sprintf("group %q does not exist: it has no member and no committed offset", s.Group))
		}
	default:
		s.Members = reading.Of(float64(g.members), s.At)
	}
	if s.IdleMembers = max(0, g.members-len(s.Partitions)); s.IdleMembers > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("group %q has %d members for %d partitions of topic %q: %d of them have nothing to read",
			s.Group, g.members, len(s.Partitions), s.Topic, s.IdleMembers))
	}
}

// sum adds up the partitions whose lag is known.
func (s *LagSample) sum() {
	var total float64
	var reason string
	for _, p := range s.Partitions {
		if p.Known {
			s.Known++
			total += float64(p.Lag)
		} else if reason == "" {
			reason = fmt.Sprintf("partition %d: %s", p.Partition, p.Reason)
		}
	}
	if s.Known > 0 {
		s.AtLeast = reading.Of(total, s.At)
	} else {
		s.AtLeast = reading.Reading{Reason: reason, At: s.At}
	}
	s.Lag = s.AtLeast
	if s.Partial() {
		s.Lag = reading.Reading{At: s.At, Reason: fmt.Sprintf("known for %d of %d partitions, at least %.0f; %s",
			s.Known, len(s.Partitions), total, reason)}
	}
}
