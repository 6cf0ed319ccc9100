package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// queue is a topic and a consumer group without members on a real Kafka. Its
// offsets are committed by the test, so that the group is as far behind as the
// test wants it.
type queue struct {
	t            testing.TB
	client       *kafka.Client
	topic, group string
	partitions   int
	ends         []int64 // of the logs, by partition
}

// shortMemory is for the block law: it soon forgets what it saw, so that a test
// needn't wait for that.
const shortMemory = `
    need_window     = "1s"
    look_backs      = ["2s", "4s"]
    first_look_back = "2s"
    drain_min       = "5s"
    rate_window     = "2s"
`

// newQueue makes a topic of the test's own whose partitions are empty.
func newQueue(t testing.TB, server *testkit.KafkaServer, partitions int) *queue {
	t.Helper()
	name := fmt.Sprintf("%s-%x", strings.ReplaceAll(t.Name(), "/", "-"), rand.Uint32())
	q := &queue{
		t: t, topic: name, group: name + "-readers",
		partitions: partitions, ends: make([]int64, partitions),
	}
	q.connect(server)
	if err := server.CreateTopic(t.Context(), name, partitions); err != nil {
		t.Fatal(err)
	}
	return q
}

// connect begins with a client that knows nothing yet.
func (q *queue) connect(server *testkit.KafkaServer) {
	client := server.Client()
	client.Timeout = 20 * time.Second
	q.client = client
	q.t.Cleanup(func() { testkit.CloseClient(client) })
}

// block is the policy's word for the queue, inside the service.
func (q *queue) block(upper string) string {
	return fmt.Sprintf("kafka_lag {\n topic = %q\n group = %q\n upper = %q\n}\n", q.topic, q.group, upper)
}

// produce writes n messages to a partition and returns when they are
// acknowledged. A broker that has just been given many partitions refuses those
// it doesn't lead yet, and nothing is written then.
func (q *queue) produce(partition, n int) {
	q.t.Helper()
	testkit.Await(q.t, time.Minute, func(ctx context.Context) error {
		records := make([]kafka.Record, n)
		for i := range records {
			records[i] = kafka.Record{Value: kafka.NewBytes([]byte("message"))}
		}
		response, err := q.client.Produce(ctx, &kafka.ProduceRequest{
			Topic: q.topic, Partition: partition, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...),
		})
		if err == nil && errors.Is(response.Error, kafka.NotLeaderForPartition) {
			return response.Error
		}
		if err == nil {
			err = response.Error
		}
		if err != nil {
			q.t.Fatalf("produce to %s/%d: %v", q.topic, partition, err)
		}
		return nil
	})
	q.ends[partition] += int64(n)
}

// commit stores an offset for each partition, in one request.
func (q *queue) commit(offsets []int64) {
	q.t.Helper()
	request := &kafka.OffsetCommitRequest{GroupID: q.group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{}}
	for partition, offset := range offsets {
		request.Topics[q.topic] = append(request.Topics[q.topic], kafka.OffsetCommit{Partition: partition, Offset: offset})
	}
	testkit.Await(q.t, time.Minute, func(ctx context.Context) error {
		response, err := q.client.OffsetCommit(ctx, request)
		if err != nil {
			return err
		}
		var failed []error
		for _, p := range response.Topics[q.topic] {
			failed = append(failed, p.Error)
		}
		return errors.Join(failed...)
	})
}

// commitAll leaves no lag.
func (q *queue) commitAll() { q.t.Helper(); q.commit(q.ends) }
