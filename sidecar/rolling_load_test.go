package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// load puts messages on a topic at a steady rate, each the address of a page that
// nobody has asked for before.
type load struct {
	t      *testing.T
	client *kafka.Client
	web    string
	stop   func()

	mu   sync.Mutex
	sent map[string]time.Time // by address: when the queue had acknowledged it
}

// loadPartitions are more than the members that the group ever has.
const loadPartitions = 24

func newLoad(t *testing.T, server *testkit.KafkaServer, web string) *load {
	t.Helper()
	l := &load{t: t, client: server.Client(), web: web, sent: map[string]time.Time{}}
	t.Cleanup(func() { testkit.CloseClient(l.client) })
	if err := server.CreateTopic(t.Context(), "urls", loadPartitions); err != nil {
		t.Fatal(err)
	}
	return l
}

// begin sends up to a number of messages a second, until end.
func (l *load) begin(rate int) {
	ctx, cancel := context.WithCancel(l.t.Context())
	var sending sync.WaitGroup
	l.stop = func() { cancel(); sending.Wait() }
	l.t.Cleanup(l.stop)
	sending.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// What is begun is sent to its end: it is known of each message whether it
			// is on the queue.
			if err := l.send(i); err != nil {
				l.t.Errorf("message %d: %v", i, err)
				return
			}
		}
	})
}

// end returns once the last message is sent.
func (l *load) end() { l.stop() }

func (l *load) send(i int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	address := fmt.Sprintf("%s/page/%d", l.web, i)
	err := l.produce(ctx, i, address)
	// A broker that was starved of a processor gives its partitions up and takes them
	// back; what it refuses so is not on the queue.
	for errors.Is(err, kafka.NotLeaderForPartition) && ctx.Err() == nil {
		time.Sleep(100 * time.Millisecond)
		err = l.produce(ctx, i, address)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[address] = time.Now()
	return err
}

func (l *load) produce(ctx context.Context, i int, address string) error {
	response, err := l.client.Produce(ctx, &kafka.ProduceRequest{
		Topic: "urls", Partition: i % loadPartitions, RequiredAcks: kafka.RequireAll,
		Records: kafka.NewRecordReader(kafka.Record{Value: kafka.NewBytes([]byte(address))}),
	})
	if err == nil {
		err = response.Error
	}
	return err
}

// messages are those that were sent since an instant, and when.
func (l *load) messages(since time.Time) map[string]time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]time.Time{}
	for address, at := range l.sent {
		if !at.Before(since) {
			all[address] = at
		}
	}
	return all
}
