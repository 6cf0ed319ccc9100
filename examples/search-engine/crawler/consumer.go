package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/cell"
)

// A consumer is a member of the consumer group. It goes round by generations:
//
//	join --> generation: fetch, handle, commit --> partitions are dealt anew --+
//	  ^                                                                        |
//	  +------------------------------------------------------------------------+
//	leave: on SIGTERM, and once a cell that drains has nothing in hand
//
// Within a generation the partitions are this member's alone. What is in hand
// when it ends gets the time to finish and is committed before the next begins.
type consumer struct {
	brokers []string
	topic   string
	group   string
	workers int
	commit  time.Duration
	gate    *cell.Gate
	// handle returns nil once a message is done with for good.
	handle func(context.Context, kafka.Message) error
}

// finishTime is what messages in hand get when their generation ends. Longer
// would keep the whole group waiting: those left are handled by their next owner.
const finishTime = 5 * time.Second

// drainLook is how often a cell that drains looks whether it has nothing in hand.
const drainLook = 20 * time.Millisecond

// run consumes until ctx ends, with a pause whenever the gate is shut.
func (c *consumer) run(ctx context.Context) {
	for ctx.Err() == nil {
		draining, changed := c.gate.Draining()
		if draining {
			slog.Info("drained: this cell takes no URLs until that is taken back")
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		member, cancel := context.WithCancel(ctx)
		go func() {
			defer cancel()
			select {
			case <-changed:
				c.finish(member)
			case <-member.Done():
			}
		}()
		c.join(member)
		cancel()
	}
}

// finish returns when a cell that drains has nothing in hand, or when that is
// taken back. Until then it stays a member: nobody waits for its partitions, and
// what it has in hand may take longer than finishTime.
func (c *consumer) finish(ctx context.Context) {
	ticker := time.NewTicker(drainLook)
	defer ticker.Stop()
	for {
		if draining, _ := c.gate.Draining(); !draining || c.gate.InFlight() == 0 {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// join takes part in the group until ctx ends, then leaves it, so that the
// partitions go to others at once rather than after a session timeout.
func (c *consumer) join(ctx context.Context) {
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID:                     c.group,
		Brokers:                c.brokers,
		Topics:                 []string{c.topic},
		HeartbeatInterval:      500 * time.Millisecond,
		SessionTimeout:         6 * time.Second, // the least that Kafka takes by default
		RebalanceTimeout:       2 * finishTime,
		JoinGroupBackoff:       200 * time.Millisecond,
		WatchPartitionChanges:  true,
		PartitionWatchInterval: 2 * time.Second,
	})
	if err != nil { // only bad settings, which Validate names
		slog.Error("the consumer group can't be joined", "error", err)
		<-ctx.Done()
		return
	}
	defer func() { _ = group.Close() }()
	for {
		generation, err := group.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			// The group tries again by itself; a coordinator that is away is
			// no reason to end.
			slog.Warn("the consumer group is being joined again", "group", c.group, "error", err)
			continue
		}
		partitions := generation.Assignments[c.topic]
		slog.Info("joined", "group", c.group, "generation", generation.ID, "partitions", len(partitions))
		generation.Start(func(generationCtx context.Context) { c.generation(generationCtx, generation, partitions) })
	}
}

// generation handles the messages of the partitions until ctx ends.
func (c *consumer) generation(ctx context.Context, generation *kafka.Generation, partitions []kafka.PartitionAssignment) {
	offsets := newOffsets()
	messages := make(chan kafka.Message)
	var fetching, working sync.WaitGroup
	for _, partition := range partitions {
		fetching.Go(func() { c.fetch(ctx, partition, offsets, messages) })
	}
	// What is in hand when the generation ends has finishTime.
	handling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(finishTime, cancel) })
	defer stop()
	for range c.workers {
		working.Go(func() { c.work(ctx, handling, messages, offsets) })
	}
	ticker := time.NewTicker(c.commit)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ticker.C:
			c.commitDone(generation, offsets)
		case <-ctx.Done():
		}
	}
	fetching.Wait()
	working.Wait()
	c.commitDone(generation, offsets)
}

// fetch reads one partition from where the group stands.
func (c *consumer) fetch(ctx context.Context, partition kafka.PartitionAssignment, offsets *offsets, messages chan<- kafka.Message) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers:   c.brokers,
		Topic:     c.topic,
		Partition: partition.ID,
		MaxWait:   250 * time.Millisecond, // a rebalance waits for its end
		MaxBytes:  1 << 20,
	})
	defer func() { _ = reader.Close() }()
	if err := reader.SetOffset(partition.Offset); err != nil {
		slog.Error("a partition can't be read", "partition", partition.ID, "error", err)
		return
	}
	for {
		message, err := reader.FetchMessage(ctx)
		if ctx.Err() != nil || errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			slog.Warn("a partition is read again", "partition", partition.ID, "error", err)
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		offsets.begin(message.Partition, message.Offset)
		select {
		case messages <- message:
		case <-ctx.Done():
			return
		}
	}
}

// work handles one message after the other. A message that could not be handled
// holds back the offset of its partition, so its next owner gets it again.
func (c *consumer) work(ctx, handling context.Context, messages <-chan kafka.Message, offsets *offsets) {
	for {
		select {
		case <-ctx.Done():
			return
		case message := <-messages:
			if c.gate.Enter() != nil { // only when it was shut this moment
				return
			}
			err := c.handle(handling, message)
			c.gate.Leave()
			if err != nil {
				slog.Warn("a URL is left to its next owner", "url", string(message.Value), "error", err)
				continue
			}
			offsets.end(message.Partition, message.Offset)
		}
	}
}

func (c *consumer) commitDone(generation *kafka.Generation, offsets *offsets) {
	done := offsets.take()
	if len(done) == 0 {
		return
	}
	if err := generation.CommitOffsets(map[string]map[int]int64{c.topic: done}); err != nil {
		offsets.putBack(done)
		slog.Warn("offsets are not committed; the pages may be crawled again", "error", err)
	}
}
