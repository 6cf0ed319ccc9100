package sense

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

// offsetsAt asks one broker for offsets of all the partitions that it leads.
// listoffsets.Request itself has a method Split, with which the Transport makes
// a request of every single partition; this type has the same wire format and
// leaves Split out. A partition may occur only once in it.
type offsetsAt struct {
	ReplicaID      int32                      `kafka:"min=v1,max=v5"`
	IsolationLevel int8                       `kafka:"min=v2,max=v5"`
	Topics         []listoffsets.RequestTopic `kafka:"min=v1,max=v5"`

	leader int32
}

// ApiKey implements protocol.Message.
func (*offsetsAt) ApiKey() protocol.ApiKey { return protocol.ListOffsets }

// Broker implements protocol.BrokerMessage.
func (r *offsetsAt) Broker(protocol.Cluster) (protocol.Broker, error) {
	return protocol.Broker{ID: r.leader}, nil
}

// offset is what a leader said of one partition, or why it said nothing.
type offset struct {
	value int64
	epoch int32
	err   error
}

// errNoLeader is the state of a partition that nobody leads.
var errNoLeader = fmt.Errorf("partition has no leader: %w", kafka.LeaderNotAvailable)

// listOffsets asks for the offset at a timestamp (kafka.LastOffset or
// kafka.FirstOffset) of the given partitions, one request to each leader. What
// failed in a way that may pass is asked again, at the leader it has by then.
func (k *Kafka) listOffsets(ctx context.Context, l layout, partitions []int, timestamp int64) map[int]offset {
	got := make(map[int]offset, len(partitions))
	for attempt := 1; ; attempt++ {
		k.askLeaders(ctx, l, partitions, timestamp, got)
		retry, err := passing(partitions, got)
		if len(retry) == 0 || !k.again(ctx, attempt, err) {
			return got
		}
		if fresh, err := k.readLayout(ctx); err == nil {
			l = fresh
		}
		partitions = retry
	}
}

// askLeaders fills got with the answers for the given partitions.
func (k *Kafka) askLeaders(ctx context.Context, l layout, partitions []int, timestamp int64, got map[int]offset) {
	byLeader := make(map[int][]int)
	for _, p := range partitions {
		leader, there := l.leaders[p]
		if !there || leader < 0 {
			got[p] = offset{value: -1, epoch: -1, err: errNoLeader}
			continue
		}
		byLeader[leader] = append(byLeader[leader], p)
	}
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for leader, led := range byLeader {
		wg.Go(func() {
			answers := k.askLeader(ctx, leader, led, timestamp)
			mu.Lock()
			defer mu.Unlock()
			for p, o := range answers {
				got[p] = o
			}
		})
	}
	wg.Wait()
}

// askLeader sends one request and returns an entry for every partition asked.
func (k *Kafka) askLeader(ctx context.Context, leader int, partitions []int, timestamp int64) map[int]offset {
	topic := listoffsets.RequestTopic{
		Topic:      k.cfg.Topic,
		Partitions: make([]listoffsets.RequestPartition, len(partitions)),
	}
	got := make(map[int]offset, len(partitions))
	for i, p := range partitions {
		topic.Partitions[i] = listoffsets.RequestPartition{
			Partition: int32(p), CurrentLeaderEpoch: -1, Timestamp: timestamp,
		}
		got[p] = offset{value: -1, epoch: -1, err: fmt.Errorf("broker %d left the partition out of its answer", leader)}
	}
	m, err := k.roundTrip(ctx, &offsetsAt{
		ReplicaID: -1, leader: int32(leader), Topics: []listoffsets.RequestTopic{topic},
	})
	res, ok := m.(*listoffsets.Response)
	if err == nil && !ok {
		err = fmt.Errorf("answered with %T", m)
	}
	if err != nil {
		for _, p := range partitions {
			got[p] = offset{value: -1, epoch: -1, err: fmt.Errorf("list offsets at broker %d: %w", leader, err)}
		}
		return got
	}
	k.takeAnswers(leader, res, got)
	return got
}

// takeAnswers puts what the broker said in place of what it had not said yet.
// Partitions that were not asked for are ignored.
func (k *Kafka) takeAnswers(leader int, res *listoffsets.Response, got map[int]offset) {
	for _, t := range res.Topics {
		if t.Topic != k.cfg.Topic {
			continue
		}
		for _, p := range t.Partitions {
			id := int(p.Partition)
			if _, asked := got[id]; !asked {
				continue
			}
			o := offset{value: p.Offset, epoch: p.LeaderEpoch}
			switch {
			case p.ErrorCode != 0:
				o = offset{value: -1, epoch: -1, err: fmt.Errorf("list offsets at broker %d: %w", leader, kafka.Error(p.ErrorCode))}
			case p.Offset < 0:
				o = offset{value: -1, epoch: -1, err: fmt.Errorf("broker %d gave %d as an offset", leader, p.Offset)}
			}
			got[id] = o
		}
	}
}

// passing lists the partitions whose error may pass, and one of the errors, a
// broken connection first. A partition without a leader is left to the next
// sample: an election outlasts the pauses between attempts.
func passing(partitions []int, got map[int]offset) (retry []int, cause error) {
	for _, p := range partitions {
		err := got[p].err
		if err == nil || errors.Is(err, errNoLeader) || !mayPass(err) {
			continue
		}
		retry = append(retry, p)
		if cause == nil || isBroken(err) {
			cause = err
		}
	}
	return retry, cause
}
