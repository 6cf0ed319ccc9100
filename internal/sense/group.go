package sense

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/describegroups"
	"github.com/segmentio/kafka-go/protocol/offsetfetch"
)

const (
	groupDead       = "Dead"
	groupPreparing  = "PreparingRebalance"
	groupCompleting = "CompletingRebalance"
)

// commits are the offsets a group has committed on the topic. An entry of -1
// says that it committed none; a partition without an entry is unknown.
type commits struct {
	offsets map[int]int64
	errs    map[int]error
	err     error
}

// any says whether the group has committed anything on the topic.
func (c commits) any() bool {
	for _, o := range c.offsets {
		if o >= 0 {
			return true
		}
	}
	return false
}

// of returns the committed offset of a partition, or why it is unknown.
func (c commits) of(partition int) (int64, error) {
	switch o, there := c.offsets[partition]; {
	case there:
		return o, nil
	case c.err != nil:
		return -1, c.err
	case c.errs[partition] != nil:
		return -1, c.errs[partition]
	default:
		return -1, errors.New("the coordinator left the partition out of its answer")
	}
}

// readCommits asks the group's coordinator, in one request, for what the group
// has committed on the given partitions.
func (k *Kafka) readCommits(ctx context.Context, partitions []int) commits {
	ids := make([]int32, len(partitions))
	for i, p := range partitions {
		ids[i] = int32(p)
	}
	for attempt := 1; ; attempt++ {
		c := k.fetchCommits(ctx, ids)
		if c.err == nil || !k.again(ctx, attempt, c.err) {
			return c
		}
	}
}

func (k *Kafka) fetchCommits(ctx context.Context, ids []int32) (c commits) {
	var m kafka.Response
	at, err := k.coordinator.find(ctx, k)
	if err == nil {
		defer func() { k.coordinator.judge(at, c.err) }()
		m, err = k.roundTrip(ctx, &commitsAt{
			GroupID: k.cfg.Group, coordinator: at,
			Topics: []offsetfetch.RequestTopic{{Name: k.cfg.Topic, PartitionIndexes: ids}},
		})
	}
	res, ok := m.(*offsetfetch.Response)
	switch {
	case err != nil:
	case !ok:
		err = fmt.Errorf("answered with %T", m)
	case kafka.Error(res.ErrorCode) == kafka.GroupIdNotFound:
		return noCommits(ids)
	case res.ErrorCode != 0:
		err = kafka.Error(res.ErrorCode)
	}
	if err != nil {
		return commits{err: fmt.Errorf("fetch the offsets committed by group %q: %w", k.cfg.Group, err)}
	}
	c = commits{offsets: make(map[int]int64, len(ids)), errs: make(map[int]error)}
	for _, t := range res.Topics {
		if t.Name == k.cfg.Topic {
			c.take(t.Partitions)
		}
	}
	return c
}

// noCommits are those of a group that doesn't exist.
func noCommits(ids []int32) commits {
	c := commits{offsets: make(map[int]int64, len(ids))}
	for _, id := range ids {
		c.offsets[int(id)] = -1
	}
	return c
}

func (c commits) take(partitions []offsetfetch.ResponsePartition) {
	for _, p := range partitions {
		id := int(p.PartitionIndex)
		if p.ErrorCode != 0 {
			c.errs[id] = fmt.Errorf("fetch the committed offset: %w", kafka.Error(p.ErrorCode))
			continue
		}
		c.offsets[id] = max(p.CommittedOffset, -1)
	}
}

// group is what DescribeGroups tells. Groups of the new consumer protocol
// (KIP-848) are shown by it as Dead, as is a group that doesn't exist.
type group struct {
	state     string
	protocol  string
	members   int
	memberSet uint64
	err       error
}

// describeGroup asks the group's coordinator for its state and members. The
// members' own data isn't decoded: some clients put in it what others can't read.
func (k *Kafka) describeGroup(ctx context.Context) group {
	for attempt := 1; ; attempt++ {
		g := k.askGroup(ctx)
		if g.err == nil || !k.again(ctx, attempt, g.err) {
			return g
		}
	}
}

func (k *Kafka) askGroup(ctx context.Context) (g group) {
	var m kafka.Response
	at, err := k.coordinator.find(ctx, k)
	if err == nil {
		defer func() { k.coordinator.judge(at, g.err) }()
		m, err = k.roundTrip(ctx, &groupAt{Groups: []string{k.cfg.Group}, coordinator: at})
	}
	res, ok := m.(*describegroups.Response)
	switch {
	case err != nil:
	case !ok || len(res.Groups) != 1:
		err = errors.New("the answer does not hold the group")
	case kafka.Error(res.Groups[0].ErrorCode) == kafka.GroupIdNotFound:
		return group{state: groupDead}
	case res.Groups[0].ErrorCode != 0:
		err = kafka.Error(res.Groups[0].ErrorCode)
	}
	if err != nil {
		return group{err: fmt.Errorf("describe group %q: %w", k.cfg.Group, err)}
	}
	is := &res.Groups[0]
	return group{state: is.GroupState, protocol: is.ProtocolData, members: len(is.Members), memberSet: memberSet(is.Members)}
}

// memberSet is a number for the members by their ids, which Kafka gives anew to each that
// joins; 0 for none.
func memberSet(members []describegroups.ResponseGroupMember) uint64 {
	if len(members) == 0 {
		return 0
	}
	ids := make([]string, len(members))
	for i := range members {
		ids[i] = members[i].MemberID
	}
	slices.Sort(ids)
	h := fnv.New64a()
	for _, id := range ids {
		_, _ = h.Write(append([]byte(id), 0)) // which never fails
	}
	return max(1, h.Sum64())
}
