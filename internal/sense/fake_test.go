package sense

import (
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fake is an in-process Kafka for the faults a real one won't give on demand.
type fake struct {
	*kfake.Cluster
	client *kafka.Client

	mu       sync.Mutex
	requests map[int16]int
}

// newFake starts a cluster of brokers and counts the requests it gets.
func newFake(tb testing.TB, brokers int, opts ...kfake.Opt) *fake {
	tb.Helper()
	leavesNothing(tb)
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(brokers), kfake.BrokerConfigs(map[string]string{
		"group.initial.rebalance.delay.ms": "0",
	}))...)
	if err != nil {
		tb.Fatal(err)
	}
	transport := &kafka.Transport{}
	f := &fake{
		Cluster:  c,
		requests: make(map[int16]int),
		client:   &kafka.Client{Addr: kafka.TCP(c.ListenAddrs()...), Timeout: 10 * time.Second, Transport: transport},
	}
	c.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.requests[r.Key()]++
		return nil, nil, false
	})
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		c.Close()
	})
	return f
}

// counted returns how many requests of a kind have come since the last call.
func (f *fake) counted(key int16) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.requests[key]
	f.requests[key] = 0
	return n
}

// sampler measures group "g" on topic "t" of the fake.
func (f *fake) sampler(tb testing.TB, change ...func(*KafkaConfig)) *Kafka {
	tb.Helper()
	return newSampler(tb, f.ListenAddrs(), "t", "g", change...)
}

func newSampler(tb testing.TB, brokers []string, topic, group string, change ...func(*KafkaConfig)) *Kafka {
	tb.Helper()
	cfg := KafkaConfig{Brokers: brokers, Topic: topic, Group: group, Timeout: 20 * time.Second}
	for _, c := range change {
		c(&cfg)
	}
	k, err := NewKafka(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(k.Close)
	return k
}

// produce appends n messages to a partition.
func produce(tb testing.TB, c *kafka.Client, topic string, partition, n int) {
	tb.Helper()
	records := make([]kafka.Record, n)
	for i := range records {
		records[i] = kafka.Record{Value: kafka.NewBytes([]byte("m"))}
	}
	res, err := c.Produce(tb.Context(), &kafka.ProduceRequest{
		Topic: topic, Partition: partition, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...),
	})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		tb.Fatalf("produce to %s/%d: %v", topic, partition, err)
	}
}

// commit stores offsets by partition for a group without members.
func commit(tb testing.TB, c *kafka.Client, topic, group string, offsets map[int]int64) {
	tb.Helper()
	req := &kafka.OffsetCommitRequest{GroupID: group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{}}
	for p, o := range offsets {
		req.Topics[topic] = append(req.Topics[topic], kafka.OffsetCommit{Partition: p, Offset: o})
	}
	waitFor(tb, "commit of group "+group, func() error {
		res, err := c.OffsetCommit(tb.Context(), req)
		if err != nil {
			return err
		}
		for _, p := range res.Topics[topic] {
			if p.Error != nil {
				return p.Error
			}
		}
		return nil
	})
}

// waitFor tries until it works, for at most 30 s.
func waitFor(tb testing.TB, what string, try func() error) {
	tb.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%s: %v", what, err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-tb.Context().Done():
			tb.Fatalf("%s: %v", what, tb.Context().Err())
		}
	}
}

// grow asks for more partitions of a topic.
func grow(topic string, count int) *kafka.CreatePartitionsRequest {
	return &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: int32(count)}}}
}

// remove and create remove the fake's topic and make it anew.
func (f *fake) remove(tb testing.TB) {
	tb.Helper()
	res, err := f.client.DeleteTopics(tb.Context(), &kafka.DeleteTopicsRequest{Topics: []string{"t"}})
	if err == nil {
		err = res.Errors["t"]
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func (f *fake) create(tb testing.TB, partitions int) {
	tb.Helper()
	res, err := f.client.CreateTopics(tb.Context(), &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: "t", NumPartitions: partitions, ReplicationFactor: 1}},
	})
	if err == nil {
		err = res.Errors["t"]
	}
	if err != nil {
		tb.Fatal(err)
	}
}
