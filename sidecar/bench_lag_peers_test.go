package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// lagPeer is another project's way of asking for the lag of a group on a topic,
// written anew from its published source with the calls of a client library.
type lagPeer struct {
	name   string
	sample func(context.Context) (lag int64, partitions int, err error)
}

// lagPeers are KMinion's and KEDA's ways. Each asks as often as it does for every
// reading: what they cache for longer than that is left to the library.
//
//   - KMinion (redpanda-data/kminion, minion/list_offsets.go, list_consumer_groups.go,
//     consumer_group_offsets.go and prometheus/collect_consumer_group_lags.go): the
//     cluster's metadata, low and high water marks of all partitions, the groups, and
//     each group's offsets, with franz-go as there. It does so for all topics and
//     groups; here there is one of each.
//   - KEDA's kafka scaler (kedacore/keda, pkg/scalers/kafka_scaler.go): the topic's
//     metadata, then side by side the group's offsets and one ListOffsets to each
//     leader; Sarama there, franz-go here.
//   - KEDA's apache-kafka scaler (pkg/scalers/apache_kafka_scaler.go): the same by
//     kafka-go's own calls, as there.
func (q *queue) lagPeers(broker string) []lagPeer {
	q.t.Helper()
	client := func() *kgo.Client {
		c, err := kgo.NewClient(kgo.SeedBrokers(broker))
		if err != nil {
			q.t.Fatal(err)
		}
		q.t.Cleanup(c.Close)
		return c
	}
	minion, scaler := client(), client()
	return []lagPeer{
		{"KMinion's way", func(ctx context.Context) (int64, int, error) { return q.kminion(ctx, minion) }},
		{"KEDA's kafka scaler's", func(ctx context.Context) (int64, int, error) { return q.keda(ctx, scaler) }},
		{"KEDA's apache-kafka scaler's", q.kedaApache},
	}
}

func (q *queue) kminion(ctx context.Context, c *kgo.Client) (lag int64, partitions int, err error) {
	metadata, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, c) // no topics named: all
	if err != nil {
		return 0, 0, err
	}
	list := kmsg.NewListOffsetsRequest()
	list.ReplicaID = -1
	for _, t := range metadata.Topics {
		if t.Topic != nil {
			list.Topics = append(list.Topics, offsetsOf(*t.Topic, t.Partitions))
		}
	}
	low, err := at(list, -2).RequestWith(ctx, c)
	high, err2 := at(list, -1).RequestWith(ctx, c)
	groups, err3 := kmsg.NewPtrListGroupsRequest().RequestWith(ctx, c)
	if err := errors.Join(err, err2, err3); err != nil {
		return 0, 0, err
	}
	if len(endsOf(low, q.topic)) != q.partitions {
		return 0, 0, errors.New("low water marks are missing")
	}
	ends := endsOf(high, q.topic)
	for _, g := range groups.Groups {
		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Group = g.Group
		res, err := fetch.RequestWith(ctx, c)
		if err != nil {
			return 0, 0, err
		}
		if g.Group == q.group {
			lag, partitions = q.behindOf(res, ends)
		}
	}
	return lag, partitions, nil
}

func (q *queue) keda(ctx context.Context, c *kgo.Client) (lag int64, partitions int, err error) {
	ask := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(q.topic)
	ask.Topics = append(ask.Topics, topic)
	metadata, err := ask.RequestWith(ctx, c)
	if err == nil && len(metadata.Topics) != 1 {
		err = fmt.Errorf("%d topics", len(metadata.Topics))
	}
	if err != nil {
		return 0, 0, err
	}
	var (
		wg           sync.WaitGroup
		fetched      *kmsg.OffsetFetchResponse
		listed       *kmsg.ListOffsetsResponse
		ferr, lerr   error
		fetch        = kmsg.NewPtrOffsetFetchRequest()
		wanted       = kmsg.NewOffsetFetchRequestTopic()
		list         = kmsg.NewListOffsetsRequest()
		partitionsOf = metadata.Topics[0].Partitions
	)
	wanted.Topic, fetch.Group = q.topic, q.group
	for _, p := range partitionsOf {
		wanted.Partitions = append(wanted.Partitions, p.Partition)
	}
	fetch.Topics, list.ReplicaID = append(fetch.Topics, wanted), -1
	list.Topics = append(list.Topics, offsetsOf(q.topic, partitionsOf))
	wg.Go(func() { fetched, ferr = fetch.RequestWith(ctx, c) })
	wg.Go(func() { listed, lerr = at(list, -1).RequestWith(ctx, c) })
	if wg.Wait(); ferr != nil || lerr != nil {
		return 0, 0, errors.Join(ferr, lerr)
	}
	lag, partitions = q.behindOf(fetched, endsOf(listed, q.topic))
	return lag, partitions, nil
}

func (q *queue) kedaApache(ctx context.Context) (lag int64, partitions int, err error) {
	metadata, err := q.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{q.topic}})
	if err == nil && len(metadata.Topics) != 1 {
		err = fmt.Errorf("%d topics", len(metadata.Topics))
	}
	if err != nil {
		return 0, 0, err
	}
	fetch := &kafka.OffsetFetchRequest{GroupID: q.group, Topics: map[string][]int{}}
	list := &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{}}
	for _, p := range metadata.Topics[0].Partitions {
		fetch.Topics[q.topic] = append(fetch.Topics[q.topic], p.ID)
		list.Topics[q.topic] = append(list.Topics[q.topic], kafka.LastOffsetOf(p.ID))
	}
	var (
		wg         sync.WaitGroup
		fetched    *kafka.OffsetFetchResponse
		listed     *kafka.ListOffsetsResponse
		ferr, lerr error
	)
	wg.Go(func() { fetched, ferr = q.client.OffsetFetch(ctx, fetch) })
	wg.Go(func() { listed, lerr = q.client.ListOffsets(ctx, list) })
	if wg.Wait(); ferr != nil || lerr != nil {
		return 0, 0, errors.Join(ferr, lerr)
	}
	ends := map[int32]int64{}
	for _, p := range listed.Topics[q.topic] {
		ends[int32(p.Partition)] = p.LastOffset
	}
	for _, p := range fetched.Topics[q.topic] {
		lag += ends[int32(p.Partition)] - p.CommittedOffset
		partitions++
	}
	return lag, min(partitions, len(ends)), nil
}

func offsetsOf(topic string, partitions []kmsg.MetadataResponseTopicPartition) kmsg.ListOffsetsRequestTopic {
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for _, p := range partitions {
		one := kmsg.NewListOffsetsRequestTopicPartition()
		one.Partition = p.Partition
		t.Partitions = append(t.Partitions, one)
	}
	return t
}

// at is the request for the offsets at a timestamp: -1 for the log ends, -2 for the
// log starts.
func at(r kmsg.ListOffsetsRequest, timestamp int64) *kmsg.ListOffsetsRequest {
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			r.Topics[i].Partitions[j].Timestamp = timestamp
		}
	}
	return &r
}

func endsOf(res *kmsg.ListOffsetsResponse, topic string) map[int32]int64 {
	ends := map[int32]int64{}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			if t.Topic == topic && kerr.ErrorForCode(p.ErrorCode) == nil {
				ends[p.Partition] = p.Offset
			}
		}
	}
	return ends
}

// behindOf is the lag of the partitions that have both offsets, and how many do.
func (q *queue) behindOf(res *kmsg.OffsetFetchResponse, ends map[int32]int64) (lag int64, partitions int) {
	take := func(id int32, offset int64) {
		if end, known := ends[id]; known && offset >= 0 {
			lag, partitions = lag+max(0, end-offset), partitions+1
		}
	}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			if t.Topic == q.topic {
				take(p.Partition, p.Offset)
			}
		}
	}
	if partitions > 0 {
		return lag, partitions
	}
	for _, g := range res.Groups { // versions of the protocol from 8 on
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if t.Topic == q.topic {
					take(p.Partition, p.Offset)
				}
			}
		}
	}
	return lag, partitions
}

// TestLagPeersAgree has each way find the same lag on a real Kafka.
func TestLagPeersAgree(t *testing.T) {
	needServers(t)
	server := testkit.SharedKafka(t)
	q := newQueue(t, server, 5)
	q.commitAll()
	q.produce(2, 7)
	sample := q.leaderSampler(server.Addr())
	deadline := time.Now().Add(time.Minute)
	for _, p := range q.lagPeers(server.Addr()) {
		lag, partitions, err := p.sample(t.Context())
		for ; (err != nil || lag != 7 || partitions != 5) && time.Now().Before(deadline); lag, partitions, err = p.sample(t.Context()) {
			time.Sleep(100 * time.Millisecond) // the coordinator may be loading
		}
		if lag != 7 || partitions != 5 || err != nil {
			t.Errorf("%s: lag %d of %d partitions, %v", p.name, lag, partitions, err)
		}
	}
	if err := all(sample(t.Context()), 5, 7); err != nil {
		t.Error(err)
	}
}
