package spool

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
)

// Broker is the queue that messages go to.
type Broker interface {
	// Partitions is how many partitions a topic has, at least one.
	Partitions(ctx context.Context, topic string) (int, error)
	// Produce returns nil once all replicas that are in sync have the messages, in
	// their order. After an error the broker may have all of them or none.
	Produce(ctx context.Context, topic string, partition int, messages []Message) error
}

// KafkaConfig says where the brokers are.
type KafkaConfig struct {
	// Brokers are host:port addresses; one that answers is enough.
	Brokers []string
	// Timeout limits one request.
	Timeout time.Duration
	// TLS and SASL are nil where the brokers ask for neither.
	TLS  *tls.Config
	SASL sasl.Mechanism
}

// Kafka is a Broker.
type Kafka struct {
	client    kafka.Client
	transport *kafka.Transport
	stop      context.CancelFunc
}

// layoutTTL bounds how long it takes to learn of a partition's new leader, unless
// an error tells of it before.
const layoutTTL = 2 * time.Second

// NewKafka prepares a client. It connects to nothing yet.
func NewKafka(cfg KafkaConfig, topics []string) *Kafka {
	ctx, stop := context.WithCancel(context.Background())
	transport := &kafka.Transport{
		DialTimeout: cfg.Timeout, MetadataTTL: layoutTTL, MetadataTopics: topics,
		ClientID: "homeostat", TLS: cfg.TLS, SASL: cfg.SASL, Context: ctx,
	}
	return &Kafka{
		client:    kafka.Client{Addr: kafka.TCP(cfg.Brokers...), Timeout: cfg.Timeout, Transport: transport},
		transport: transport, stop: stop,
	}
}

// Close ends connections and goroutines.
func (k *Kafka) Close() {
	k.transport.CloseIdleConnections()
	k.stop()
}

// Partitions implements Broker.
func (k *Kafka) Partitions(ctx context.Context, topic string) (int, error) {
	m, err := k.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return 0, fmt.Errorf("ask for the partitions of topic %q: %w", topic, err)
	}
	for _, t := range m.Topics {
		if t.Name != topic {
			continue
		}
		if t.Error != nil {
			return 0, fmt.Errorf("ask for the partitions of topic %q: %w", topic, t.Error)
		}
		if len(t.Partitions) > 0 {
			return len(t.Partitions), nil
		}
	}
	return 0, fmt.Errorf("topic %q has no partition: is it there?", topic)
}

// Produce implements Broker.
func (k *Kafka) Produce(ctx context.Context, topic string, partition int, messages []Message) error {
	records := make([]kafka.Record, 0, len(messages))
	for _, m := range messages {
		headers := make([]kafka.Header, 0, len(m.Headers)+1)
		for _, h := range m.Headers {
			headers = append(headers, kafka.Header{Key: h.Name, Value: h.Value})
		}
		headers = append(headers, kafka.Header{Key: IDHeader, Value: []byte(m.ID)})
		records = append(records, kafka.Record{
			Time: m.Accepted, Key: kafka.NewBytes(m.Key), Value: kafka.NewBytes(m.Body), Headers: headers,
		})
	}
	answer, err := k.client.Produce(ctx, &kafka.ProduceRequest{
		Topic: topic, Partition: partition, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...),
	})
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		return fmt.Errorf("send %d messages to partition %d of topic %q: %w", len(messages), partition, topic, err)
	}
	return nil
}
