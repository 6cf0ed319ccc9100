package sense

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
)

const (
	defaultKafkaTimeout = 3 * time.Second
	// clientID is how brokers name this client in logs and quotas.
	clientID = "homeostat"
	// layoutTTL bounds how old the client's own picture of the brokers may get, as
	// layoutFor does that of the partitions.
	layoutTTL = 30 * time.Second
)

// KafkaConfig says which group's lag on which topic is measured, and where.
type KafkaConfig struct {
	// Brokers are host:port addresses; one that answers is enough.
	Brokers []string
	// Topic and Group name what is measured.
	Topic, Group string
	// Timeout bounds a whole sample, retries included. Default 3 s.
	Timeout time.Duration
	// WithoutCommit says what a partition counts that holds messages and was
	// never committed by the group. Default: its lag is unknown.
	WithoutCommit WithoutCommit
	// TLS and SASL are nil where the brokers ask for neither.
	TLS  *tls.Config
	SASL sasl.Mechanism
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// Kafka measures the lag of one consumer group on one topic.
type Kafka struct {
	cfg       KafkaConfig
	addr      net.Addr
	transport *kafka.Transport
	stop      context.CancelFunc

	// mu lets one sample run at a time and guards what is below.
	mu     sync.Mutex
	starts logStarts
	// known is where the partitions were led when that was last asked, zero while it
	// must be asked, and ends the sum of the log ends of the last sample.
	known layout
	ends  int64

	coordinator coordinator
}

// NewKafka checks the configuration and prepares a client. It connects to
// nothing: brokers may come later, and each sample says what is wrong.
func NewKafka(cfg KafkaConfig) (*Kafka, error) {
	switch {
	case len(cfg.Brokers) == 0:
		return nil, errors.New("measure kafka lag: no broker is given")
	case cfg.Topic == "":
		return nil, errors.New("measure kafka lag: no topic is given")
	case cfg.Group == "":
		return nil, errors.New("measure kafka lag: no consumer group is given")
	}
	for _, b := range cfg.Brokers {
		if _, port, err := net.SplitHostPort(b); err != nil || port == "" {
			return nil, fmt.Errorf("measure kafka lag: broker %q is not host:port", b)
		}
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultKafkaTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	ctx, stop := context.WithCancel(context.Background())
	dialer := &net.Dialer{
		// An address that swallows packets must leave time for the others.
		Timeout: cfg.Timeout / time.Duration(len(cfg.Brokers)+1),
	}
	return &Kafka{
		cfg:    cfg,
		addr:   kafka.TCP(cfg.Brokers...),
		stop:   stop,
		starts: make(logStarts),
		transport: &kafka.Transport{
			Dial:           dialer.DialContext,
			DialTimeout:    cfg.Timeout,
			MetadataTTL:    layoutTTL,
			MetadataTopics: []string{cfg.Topic},
			ClientID:       clientID,
			TLS:            cfg.TLS,
			SASL:           cfg.SASL,
			Context:        ctx,
		},
	}, nil
}

// Close ends the client's goroutines and connections.
func (k *Kafka) Close() {
	k.transport.CloseIdleConnections()
	k.stop()
}

func (k *Kafka) roundTrip(ctx context.Context, req kafka.Request) (kafka.Response, error) {
	res, err := k.transport.RoundTrip(ctx, k.addr, req)
	if err != nil {
		return nil, inTime(ctx, err)
	}
	return res, nil
}

func (k *Kafka) brokers() string { return strings.Join(k.cfg.Brokers, ", ") }
