package sense

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// startsTTL is how old a log start may be. Retention moves it in steps of whole
// segments, minutes apart.
const startsTTL = time.Minute

// logStart is the oldest offset of a partition, and when it was read.
type logStart struct {
	offset int64
	at     time.Time
}

// logStarts remembers the log starts by partition.
type logStarts map[int]logStart

// Sample measures the group's lag. What can't be measured is unknown in the
// sample, with the reason; so there is no error. It takes one request each for the
// group's offsets and state, one ListOffsets to each leader, and at most once a
// minute a second one for the log starts of those partitions on which the group is
// behind. The partitions with their leaders, and the group's coordinator, are
// remembered: they take a request each at first, every half minute the one, and
// whenever an answer says that they may be others by now.
//
// The committed offsets are read before the log ends. In the moment between,
// the lag can only grow, so that a committed offset beyond the log end is never
// an artefact of the order of reading.
func (k *Kafka) Sample(ctx context.Context) LagSample {
	k.mu.Lock()
	defer k.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()

	l, fresh, err := k.current(ctx)
	if err != nil {
		return unknownSample(k.cfg.Now(), k.cfg.Topic, k.cfg.Group, "%v", err)
	}
	s := k.sample(ctx, l)
	if k.passed(s); !fresh && k.known.ids == nil { // it may be another topic by now
		switch l, err = k.layout(ctx); {
		case errors.Is(err, kafka.UnknownTopicOrPartition), err != nil && s.Known == 0: // it says more plainly why
			return unknownSample(k.cfg.Now(), k.cfg.Topic, k.cfg.Group, "%v", err)
		case err != nil:
			return s // what could be read of it
		}
		s = k.sample(ctx, l)
		k.passed(s)
	}
	return s
}

// sample measures the partitions of a layout.
func (k *Kafka) sample(ctx context.Context, l layout) LagSample {
	var (
		wg sync.WaitGroup
		g  group
	)
	wg.Go(func() { g = k.describeGroup(ctx) })
	committed := k.readCommits(ctx, l.ids)
	at := k.cfg.Now()
	ends := k.listOffsets(ctx, l, l.ids, kafka.LastOffset)
	starts := k.readStarts(ctx, l, committed, ends, at)
	wg.Wait()

	s := LagSample{
		At: at, Listed: l.at, Topic: k.cfg.Topic, Group: k.cfg.Group,
		PartitionCount: reading.Of(float64(len(l.ids)), at),
		Partitions:     make([]PartitionLag, len(l.ids)),
	}
	s.describe(g, committed)
	exists := committed.any() || g.err != nil || g.state != groupDead
	for i, id := range l.ids {
		start, read := starts[id]
		if !read {
			start = offset{value: -1}
		}
		s.Partitions[i] = partitionLag(id, ends[id], start, committed, k.withoutCommit(exists))
	}
	s.sum()
	return s
}

// readStarts returns the log starts of the partitions that need one: those on
// which the group is behind, or has no committed offset though there may be
// messages. It asks for what it doesn't remember.
func (k *Kafka) readStarts(ctx context.Context, l layout, c commits, ends map[int]offset, now time.Time) map[int]offset {
	starts := make(map[int]offset)
	var ask []int
	for _, id := range l.ids {
		end := ends[id]
		committed, err := c.of(id)
		if end.err != nil || err != nil || committed >= end.value || end.value == 0 {
			continue
		}
		// A log start beyond the log end is that of a topic since made anew.
		if known, there := k.starts[id]; there && now.Sub(known.at) < startsTTL && known.offset <= end.value {
			starts[id] = offset{value: known.offset}
			continue
		}
		ask = append(ask, id)
	}
	if len(ask) == 0 {
		return starts
	}
	for id, o := range k.listOffsets(ctx, l, ask, kafka.FirstOffset) {
		starts[id] = o
		if o.err == nil {
			k.starts[id] = logStart{offset: o.value, at: now}
		}
	}
	return starts
}

// withoutCommit returns what an uncommitted partition counts. Of a group that
// doesn't exist nothing is assumed: its name may be misspelt.
func (k *Kafka) withoutCommit(exists bool) func(start, end int64) (int64, error) {
	return func(start, end int64) (int64, error) {
		switch {
		case !exists:
			return 0, fmt.Errorf("group %q does not exist: it has no member and no committed offset", k.cfg.Group)
		case k.cfg.WithoutCommit == FromStart:
			return end - start, nil
		case k.cfg.WithoutCommit == FromEnd:
			return 0, nil
		default:
			return 0, fmt.Errorf("group %q has committed no offset here, though there are %d messages", k.cfg.Group, end-start)
		}
	}
}

// partitionLag computes the lag of one partition from what was read of it.
func partitionLag(id int, end, start offset, c commits, uncommitted func(start, end int64) (int64, error)) PartitionLag {
	p := PartitionLag{Partition: id, End: -1, Start: -1, Committed: -1, LeaderEpoch: -1}
	committed, err := c.of(id)
	if err == nil {
		p.Committed, p.CommittedKnown = committed, true
	}
	if end.err != nil {
		p.Reason = end.err.Error()
		return p
	}
	p.End, p.LeaderEpoch = end.value, end.epoch
	if start.err == nil {
		p.Start = start.value
	}
	switch {
	case err != nil:
	case committed > p.End:
		err = fmt.Errorf("the committed offset %d lies beyond the log end %d: the topic was made anew, or lost messages", committed, p.End)
	case committed == p.End || p.End == 0:
	case start.err != nil:
		err = fmt.Errorf("the log start is unknown: %w", start.err)
	case committed >= 0:
		p.Lag = max(0, p.End-max(committed, p.Start))
	case p.Start < p.End:
		p.Lag, err = uncommitted(p.Start, p.End)
	}
	p.Known = err == nil
	if err != nil {
		p.Reason = err.Error()
	}
	return p
}
