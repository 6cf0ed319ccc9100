package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/cell"
)

// minCommit is the shortest time between commits that the client takes.
const minCommit = 100 * time.Millisecond

// A worker is a member of the consumer group while its cell doesn't drain. The
// group moves only the partitions that have to change hands (cooperative
// rebalancing), so the others go on meanwhile.
type worker struct {
	settings
	brokers []string
	gate    *cell.Gate
	ready   atomic.Bool

	// hand is held while a job is done: a partition is given up between two.
	hand sync.Mutex
	mine map[int32]bool // the partitions that are this worker's
}

// run works until ctx ends, with a pause whenever the gate is shut.
func (w *worker) run(ctx context.Context) error {
	select {
	case <-time.After(w.start):
	case <-ctx.Done():
		return nil
	}
	for ctx.Err() == nil {
		draining, changed := w.gate.Draining()
		if !draining {
			if err := w.member(ctx, changed); err != nil {
				return err
			}
			continue
		}
		slog.Info("drained: this cell takes no jobs until that is taken back")
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil
}

// member takes part in the group until the gate is shut or ctx ends, then leaves
// it, so that the partitions go to others at once.
func (w *worker) member(ctx context.Context, shut <-chan struct{}) error {
	client, err := kgo.NewClient(w.options()...)
	if err != nil {
		return fmt.Errorf("join the consumer group: %w", err)
	}
	defer client.Close()
	working, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer stop()
		select {
		case <-shut:
		case <-working.Done():
		}
	}()
	w.work(ctx, working, client)
	w.giveUp(context.WithoutCancel(ctx), client, nil)
	return nil
}

func (w *worker) options() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(w.brokers...),
		kgo.ConsumerGroup(w.group), kgo.ConsumeTopics(w.topic), kgo.DefaultProduceTopic(w.done),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.HeartbeatInterval(300 * time.Millisecond), // by which members learn that partitions move
		kgo.SessionTimeout(6 * time.Second),           // the least that Kafka takes by default
		kgo.AutoCommitMarks(), kgo.AutoCommitInterval(w.commit),
		kgo.OnPartitionsAssigned(w.take), kgo.OnPartitionsRevoked(w.giveUp), kgo.OnPartitionsLost(w.lose),
	}
}

// work does what is fetched until taking ends, the oldest job first whatever
// partition it is from. The job in hand then is cut short only by ctx.
func (w *worker) work(ctx, taking context.Context, client *kgo.Client) {
	var pace pace
	for taking.Err() == nil {
		waited := client.BufferedFetchRecords() == 0
		fetches := client.PollFetches(taking)
		fetches.EachError(func(topic string, partition int32, err error) {
			if taking.Err() == nil {
				slog.Warn("a partition is read again", "topic", topic, "partition", partition, "error", err)
			}
		})
		jobs := fetches.Records()
		slices.SortStableFunc(jobs, func(a, b *kgo.Record) int { return a.Timestamp.Compare(b.Timestamp) })
		if waited {
			pace.rest(time.Now())
		}
		for _, job := range jobs {
			if taking.Err() != nil || !w.do(ctx, client, job, &pace) {
				return
			}
		}
	}
}

// do does a job that is still this worker's. It returns false where the cell takes
// no more.
func (w *worker) do(ctx context.Context, client *kgo.Client, job *kgo.Record, pace *pace) bool {
	w.hand.Lock()
	defer w.hand.Unlock()
	if !w.mine[job.Partition] {
		return true // its new owner does it
	}
	if w.gate.Enter() != nil { // only when it was shut this moment
		return false
	}
	defer w.gate.Leave()
	if !pace.wait(ctx, time.Duration(float64(time.Second)/w.rate)) {
		return false
	}
	waited := time.Since(job.Timestamp)
	client.Produce(context.WithoutCancel(ctx), &kgo.Record{Key: job.Key, Value: []byte(waited.String())}, func(_ *kgo.Record, err error) {
		if err != nil {
			slog.Warn("a job is left to be done again", "job", string(job.Key), "error", err)
			return
		}
		client.MarkCommitRecords(job)
	})
	return true
}

func (w *worker) take(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	w.hand.Lock()
	defer w.hand.Unlock()
	for _, p := range partitions[w.topic] {
		w.mine[p] = true
	}
	w.ready.Store(true)
	slog.Info("partitions taken", "more", len(partitions[w.topic]), "in_all", len(w.mine))
}

// giveUp commits what is done and forgets partitions; all of them, if none is named.
func (w *worker) giveUp(ctx context.Context, client *kgo.Client, partitions map[string][]int32) {
	w.hand.Lock()
	defer w.hand.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := cmp.Or(client.Flush(ctx), client.CommitMarkedOffsets(ctx)); err != nil {
		slog.Warn("offsets are not committed; some jobs may be done again", "error", err)
	}
	w.forget(partitions)
}

// lose forgets partitions that others may have by now.
func (w *worker) lose(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	w.hand.Lock()
	defer w.hand.Unlock()
	w.forget(partitions)
}

func (w *worker) forget(partitions map[string][]int32) {
	if partitions == nil {
		clear(w.mine)
	}
	for _, p := range partitions[w.topic] {
		delete(w.mine, p)
	}
}

// A pace has jobs take the time they are set to, however late a busy machine wakes
// the program up: what one took too long the next ones are quicker by, until there
// is nothing to do.
type pace struct{ free time.Time }

// mostLate is how much of that is made up for.
const mostLate = time.Second

// rest says that nothing was to be done until now.
func (p *pace) rest(now time.Time) {
	if now.After(p.free) {
		p.free = now
	}
}

// wait lets one job's time pass. It returns false when ctx ends before.
func (p *pace) wait(ctx context.Context, each time.Duration) bool {
	p.rest(time.Now().Add(-mostLate))
	p.free = p.free.Add(each)
	select {
	case <-time.After(time.Until(p.free)):
		return true
	case <-ctx.Done():
		return false
	}
}
