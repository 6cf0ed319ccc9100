package sense

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// freshMetadata asks for the metadata of one topic by a type of its own. The
// Transport answers the ordinary request from its cache, and goes on doing so
// while no broker is left to refresh it.
type freshMetadata struct {
	topic   string
	version int16
}

// freshAnswer is the answer to freshMetadata.
type freshAnswer struct{ *metadata.Response }

// ApiKey implements protocol.Message.
func (*freshMetadata) ApiKey() protocol.ApiKey { return protocol.Metadata }

// Required implements protocol.RawExchanger. The versions are those agreed upon
// with the broker.
func (r *freshMetadata) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = versions[protocol.Metadata]
	return true
}

// RawExchange implements protocol.RawExchanger.
func (r *freshMetadata) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	m, err := protocol.RoundTrip(rw, r.version, 1, clientID, &metadata.Request{TopicNames: []string{r.topic}})
	if err != nil {
		return nil, err
	}
	res, ok := m.(*metadata.Response)
	if !ok {
		return nil, fmt.Errorf("metadata request answered with %T", m)
	}
	return &freshAnswer{res}, nil
}

// layout is where the partitions of the topic are led, as a broker said just now.
type layout struct {
	// leaders maps each partition to its leader's id, -1 without one.
	leaders map[int]int
	// ids lists the partitions in rising order.
	ids []int
	// at is when it was read.
	at time.Time
}

// layoutFor is how old the list of partitions and their leaders may be: six beats of
// the default length. That one of them has moved, or is gone, its old leader says at
// once; only partitions that were added are seen that much later, and with them
// what was written there since.
const layoutFor = 30 * time.Second

// current returns the layout that is known, or reads it. fresh says that it was read.
func (k *Kafka) current(ctx context.Context) (l layout, fresh bool, err error) {
	if k.known.ids != nil && k.cfg.Now().Sub(k.known.at).Abs() < layoutFor {
		return k.known, false, nil
	}
	l, err = k.layout(ctx)
	return l, true, err
}

// passed notes the log ends of a sample. A sum that has gone back is that of a topic
// made anew, whose partitions may be others; and what could not be read may be gone.
func (k *Kafka) passed(s LagSample) {
	sum, whole := int64(0), true
	for _, p := range s.Partitions {
		if p.End < 0 {
			whole = false
			continue
		}
		sum += p.End
	}
	if !whole || sum < k.ends {
		k.known = layout{}
	}
	k.ends = sum
}

// layout reads where the partitions are led, more than once if need be.
func (k *Kafka) layout(ctx context.Context) (l layout, err error) {
	for attempt := 1; ; attempt++ {
		l, err = k.readLayout(ctx)
		if err == nil || errors.Is(err, kafka.UnknownTopicOrPartition) || !k.again(ctx, attempt, err) {
			return l, err
		}
	}
}

// readLayout asks any broker for the topic's partitions and their leaders.
func (k *Kafka) readLayout(ctx context.Context) (l layout, err error) {
	at := k.cfg.Now()
	defer func() {
		l.at, k.known = at, layout{}
		if err == nil {
			k.known = l
		}
	}()
	m, err := k.roundTrip(ctx, &freshMetadata{topic: k.cfg.Topic})
	if err != nil {
		return layout{}, fmt.Errorf("read metadata from kafka at %s: %w", k.brokers(), err)
	}
	res, ok := m.(*freshAnswer)
	if !ok {
		return layout{}, fmt.Errorf("read metadata from kafka at %s: answered with %T", k.brokers(), m)
	}
	for _, t := range res.Topics {
		if t.Name == k.cfg.Topic {
			return k.layoutOf(t)
		}
	}
	return layout{}, fmt.Errorf("read metadata from kafka at %s: topic %q is missing in the answer", k.brokers(), k.cfg.Topic)
}

func (k *Kafka) layoutOf(t metadata.ResponseTopic) (layout, error) {
	switch code := kafka.Error(t.ErrorCode); {
	case code == kafka.UnknownTopicOrPartition:
		return layout{}, fmt.Errorf("topic %q does not exist: %w", t.Name, code)
	case t.ErrorCode != 0:
		return layout{}, fmt.Errorf("read metadata of topic %q: %w", t.Name, code)
	case len(t.Partitions) == 0:
		return layout{}, fmt.Errorf("topic %q has no partitions", t.Name)
	}
	l := layout{leaders: make(map[int]int, len(t.Partitions))}
	for _, p := range t.Partitions {
		id := int(p.PartitionIndex)
		if _, twice := l.leaders[id]; !twice {
			l.ids = append(l.ids, id)
		}
		l.leaders[id] = int(p.LeaderID)
	}
	slices.Sort(l.ids)
	return l, nil
}
