package sense

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// topicOnKafka is a topic and a group of its own on a real Kafka.
type topicOnKafka struct {
	server       *testkit.KafkaServer
	client       *kafka.Client
	admin        *kgo.Client
	topic, group string
}

// onKafka makes a topic on the broker that this package's tests share.
func onKafka(tb testing.TB, partitions int) *topicOnKafka {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs Kafka")
	}
	return onServer(tb, testkit.SharedKafka(tb), partitions)
}

func onServer(tb testing.TB, server *testkit.KafkaServer, partitions int) *topicOnKafka {
	tb.Helper()
	name := fmt.Sprintf("%s-%x", strings.NewReplacer("/", "-", ",", "").Replace(tb.Name()), rand.Uint32())
	r := &topicOnKafka{server: server, client: server.Client(), topic: name, group: name}
	r.client.Timeout = 20 * time.Second
	tb.Cleanup(func() { testkit.CloseClient(r.client) })
	var err error
	if r.admin, err = kgo.NewClient(kgo.SeedBrokers(server.Addr())); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.admin.Close)
	r.create(tb, partitions)
	return r
}

func (r *topicOnKafka) create(tb testing.TB, partitions int) {
	tb.Helper()
	if err := r.server.CreateTopic(tb.Context(), r.topic, partitions); err != nil {
		tb.Fatal(err)
	}
}

func (r *topicOnKafka) sampler(tb testing.TB, change ...func(*KafkaConfig)) *Kafka {
	tb.Helper()
	return newSampler(tb, []string{r.server.Addr()}, r.topic, r.group, change...)
}

func (r *topicOnKafka) produce(tb testing.TB, partition, n int) {
	tb.Helper()
	produce(tb, r.client, r.topic, partition, n)
}

func (r *topicOnKafka) commit(tb testing.TB, offsets map[int]int64) {
	tb.Helper()
	commit(tb, r.client, r.topic, r.group, offsets)
}

// consume joins the group with a member of its own, until the test ends.
func (r *topicOnKafka) consume(tb testing.TB, opts ...kgo.Opt) {
	tb.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(r.server.Addr()), kgo.ConsumerGroup(r.group), kgo.ConsumeTopics(r.topic), kgo.AutoCommitInterval(100 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			c.PollFetches(ctx)
		}
	})
	tb.Cleanup(func() {
		cancel()
		wg.Wait()
		c.Close()
	})
}

// until samples until the sample is as wanted, for at most 30 s.
func until(tb testing.TB, k *Kafka, what string, ok func(LagSample) bool) LagSample {
	tb.Helper()
	var s LagSample
	waitFor(tb, what, func() error {
		if s = k.Sample(tb.Context()); !ok(s) {
			return fmt.Errorf("lag %v, group %q of %v members, notes %q", s.Lag, s.GroupState, s.Members, s.Notes)
		}
		return nil
	})
	return s
}

func TestRealLag(t *testing.T) {
	r := onKafka(t, 4)
	for p, n := range []int{10, 10, 10, 0} {
		if n > 0 {
			r.produce(t, p, n)
		}
	}
	r.commit(t, map[int]int64{0: 4, 1: 10})
	s := r.sampler(t).Sample(t.Context())
	wantUnknown(t, "lag", s.Lag, "known for 3 of 4 partitions, at least 6; partition 2: group")
	wantValue(t, "lag at least", s.AtLeast, 6)
	wantValue(t, "partitions", s.PartitionCount, 4)
	wantValue(t, "members", s.Members, 0)
	if s.GroupState != "Empty" || !s.Partial() {
		t.Errorf("group is %q, partial %v", s.GroupState, s.Partial())
	}
	for policy, want := range map[WithoutCommit]float64{FromStart: 16, FromEnd: 6} {
		s := r.sampler(t, func(c *KafkaConfig) { c.WithoutCommit = policy }).Sample(t.Context())
		wantValue(t, "lag", s.Lag, want)
	}
}

func TestRealTopicThatDoesNotExist(t *testing.T) {
	r := onKafka(t, 1)
	s := newSampler(t, []string{r.server.Addr()}, "no-such-topic", r.group).Sample(t.Context())
	for what, v := range map[string]struct{ known bool }{"lag": {s.Lag.Known}, "partitions": {s.PartitionCount.Known}, "members": {s.Members.Known}} {
		if v.known {
			t.Errorf("%s of a topic that does not exist is known", what)
		}
	}
	wantUnknown(t, "lag", s.Lag, `topic "no-such-topic" does not exist`)
}

func TestRealGroupThatDoesNotExist(t *testing.T) {
	r := onKafka(t, 2)
	k := r.sampler(t, func(c *KafkaConfig) { c.WithoutCommit = FromStart })
	s := k.Sample(t.Context())
	wantValue(t, "lag on an empty topic", s.Lag, 0)
	r.produce(t, 0, 5)
	s = k.Sample(t.Context())
	wantUnknown(t, "lag", s.Lag, "does not exist: it has no member and no committed offset")
	wantUnknown(t, "members", s.Members, "does not exist")
	if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "does not exist") {
		t.Errorf("notes = %q", s.Notes)
	}
}

func TestRealTopicMadeAnew(t *testing.T) {
	r := onKafka(t, 1)
	r.produce(t, 0, 20)
	r.commit(t, map[int]int64{0: 15})
	k, m := r.sampler(t), NewRateMeter(0)
	m.Observe(k.Sample(t.Context()))

	if _, err := r.client.DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{r.topic}}); err != nil {
		t.Fatal(err)
	}
	until(t, k, "topic to go", func(s LagSample) bool { return strings.Contains(s.Lag.Reason, "does not exist") })
	waitFor(t, "topic to be made anew", func() error { return r.server.CreateTopic(t.Context(), r.topic, 1) })
	// The client that has seen the topic go believes that for a while.
	testkit.CloseClient(r.client)
	r.client = r.server.Client()
	waitFor(t, "the topic to be led", func() error {
		at, err := r.client.ListOffsets(t.Context(), &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{r.topic: {kafka.LastOffsetOf(0)}}})
		if err == nil && len(at.Topics[r.topic]) != 1 {
			err = errors.New("its partition isn't told of")
		}
		if err == nil {
			err = at.Topics[r.topic][0].Error
		}
		return err
	})
	r.produce(t, 0, 3)
	r.commit(t, map[int]int64{0: 1})
	s := k.Sample(t.Context())
	wantValue(t, "lag", s.Lag, 2)
	rates := m.Observe(s)
	wantUnknown(t, "offered", rates.Offered, "went back from 20 to 3")
	if rates.Reset == "" {
		t.Error("the reset was not noticed")
	}
	r.produce(t, 0, 4)
	if rates = m.Observe(k.Sample(t.Context())); !rates.Offered.Known || rates.Offered.Value <= 0 {
		t.Errorf("offered = %v, want it known again", rates.Offered)
	}
}

func TestRealPartitionsAdded(t *testing.T) {
	r := onKafka(t, 1)
	r.produce(t, 0, 5)
	r.commit(t, map[int]int64{0: 5})
	late := time.Duration(0)
	k, m := r.sampler(t, func(c *KafkaConfig) { c.Now = func() time.Time { return time.Now().Add(late) } }), NewRateMeter(0)
	first := k.Sample(t.Context())
	m.Observe(first)
	_, err := r.client.CreatePartitions(t.Context(), &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: r.topic, Count: 3}},
	})
	if err != nil {
		t.Fatal(err)
	}
	late = layoutFor
	until(t, k, "partitions to be added", func(s LagSample) bool { return s.PartitionCount.Value == 3 && s.Lag.Known })
	waitFor(t, "message on a partition that was added", func() error {
		res, err := r.client.Produce(t.Context(), &kafka.ProduceRequest{
			Topic: r.topic, Partition: 2, RequiredAcks: kafka.RequireAll,
			Records: kafka.NewRecordReader(kafka.Record{Value: kafka.NewBytes([]byte("m"))}),
		})
		return errors.Join(err, resError(res))
	})
	s := k.Sample(t.Context())
	wantUnknown(t, "lag", s.Lag, "partition 2: group")
	rates := m.Observe(s)
	wantValue(t, "offered, in messages", rates.Offered, 1/s.At.Sub(first.Listed).Seconds())
}

func resError(res *kafka.ProduceResponse) error {
	if res == nil {
		return nil
	}
	return res.Error
}

func TestRealRetentionPassesTheCommittedOffset(t *testing.T) {
	r := onKafka(t, 1)
	r.produce(t, 0, 20)
	r.commit(t, map[int]int64{0: 5})
	wantValue(t, "lag", r.sampler(t).Sample(t.Context()).Lag, 15)

	req := kmsg.NewPtrDeleteRecordsRequest()
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = r.topic
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Offset = 12
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	req.TimeoutMillis = 20000
	res, err := req.RequestWith(t.Context(), r.admin)
	if err == nil {
		err = kerr.ErrorForCode(res.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := r.sampler(t).Sample(t.Context())
	wantValue(t, "lag", s.Lag, 8)
	if p := s.Partitions[0]; p.Start != 12 || p.Committed != 5 || p.End != 20 {
		t.Errorf("partition = %+v", p)
	}
}

func TestRealGroup(t *testing.T) {
	r := onKafka(t, 2)
	k := r.sampler(t)
	for range 3 {
		r.consume(t)
	}
	s := until(t, k, "three members", func(s LagSample) bool { return s.GroupState == "Stable" && s.Members.Value == 3 })
	if s.IdleMembers != 1 || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "3 members for 2 partitions") {
		t.Errorf("idle %d, notes %q", s.IdleMembers, s.Notes)
	}
	r.produce(t, 0, 50)
	r.produce(t, 1, 50)
	s = until(t, k, "all to be read", func(s LagSample) bool { return s.Lag.Known && s.Lag.Value == 0 && s.Partitions[0].Committed == 50 })
	wantValue(t, "lag", s.Lag, 0)
}

// How members share the partitions is told once they do, and who they are as a number.
func TestRealProtocolOfTheGroup(t *testing.T) {
	for want, balancer := range map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer(),
	} {
		t.Run(want, func(t *testing.T) {
			r := onKafka(t, 1)
			k := r.sampler(t)
			if s := k.Sample(t.Context()); s.Protocol != "" || s.MemberSet != 0 {
				t.Errorf("%q, %d without members", s.Protocol, s.MemberSet)
			}
			r.consume(t, kgo.Balancers(balancer))
			s := until(t, k, "one member", func(s LagSample) bool { return s.GroupState == "Stable" && s.Members.Value == 1 })
			if s.Protocol != want {
				t.Errorf("%q, want %q", s.Protocol, want)
			}
			first := s.MemberSet
			r.consume(t, kgo.Balancers(balancer))
			two := func(s LagSample) bool { return s.GroupState == "Stable" && s.Members.Value == 2 }
			s = until(t, k, "two members", two)
			if again := until(t, k, "them again", two); first == 0 || s.MemberSet == first || again.MemberSet != s.MemberSet {
				t.Errorf("sets of members %d, %d and %d again", first, s.MemberSet, again.MemberSet)
			}
		})
	}
}

// A group of the new consumer protocol is described as dead, yet its offsets
// can be read.
func TestRealGroupOfTheNewProtocol(t *testing.T) {
	r := onKafka(t, 1)
	k := r.sampler(t)
	r.consume(t, kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer()))
	r.produce(t, 0, 30)
	s := until(t, k, "all to be read", func(s LagSample) bool { return s.Lag.Known && s.Lag.Value == 0 && s.Partitions[0].Committed == 30 })
	wantUnknown(t, "members", s.Members, "described as dead though it has committed offsets")
	if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "KIP-848") {
		t.Errorf("notes = %q", s.Notes)
	}
}

func TestRealBrokerGoneAndBack(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Kafka")
	}
	r := onServer(t, testkit.Kafka(t), 3)
	for p := range 3 {
		r.produce(t, p, 10)
	}
	r.commit(t, map[int]int64{0: 4, 1: 4, 2: 4})
	k, m := r.sampler(t, func(c *KafkaConfig) { c.Timeout = 3 * time.Second }), NewRateMeter(0)
	known := func(s LagSample) bool { return s.Lag.Known && s.Lag.Value == 18 }
	m.Observe(until(t, k, "first sample", known))

	faults := []struct {
		name          string
		take, restore func() error
		reason        string
	}{
		{"killed", r.server.Kill, func() error { return r.server.Start(t.Context()) }, "connection refused"},
		{"frozen", r.server.Pause, r.server.Continue, "no answer in time"},
	}
	for _, fault := range faults {
		if err := fault.take(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			s := k.Sample(t.Context())
			wantUnknown(t, fault.name+": lag", s.Lag, fault.reason)
			wantUnknown(t, fault.name+": offered", m.Observe(s).Offered, fault.reason)
		}
		if err := fault.restore(); err != nil {
			t.Fatal(err)
		}
		rates := m.Observe(until(t, k, "broker "+fault.name+" to come back", known))
		wantValue(t, fault.name+": offered since", rates.Offered, 0)
	}
}

// BenchmarkRealLagSample5000 is a sample of a topic of 5,000 partitions on one
// real broker, with a committed offset on each of them. Kafka takes minutes to
// make such a topic.
func BenchmarkRealLagSample5000(b *testing.B) {
	const partitions = 5000
	r := onKafka(b, 1)
	r.commit(b, everyPartition(1)) // The group's coordinator is there before the crowd.
	_, err := r.client.CreatePartitions(b.Context(), &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: r.topic, Count: partitions}},
	})
	if err != nil {
		b.Fatal(err)
	}
	r.commit(b, everyPartition(partitions))
	k := r.sampler(b)
	for begun := time.Now(); k.Sample(b.Context()).Known != partitions; {
		if time.Since(begun) > 5*time.Minute {
			b.Fatal("the topic is not ready after 5 minutes")
		}
	}
	for b.Loop() {
		if s := k.Sample(b.Context()); s.Known != partitions {
			b.Fatalf("lag is known for %d partitions: %v", s.Known, s.Lag)
		}
	}
}
