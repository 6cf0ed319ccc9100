package testkit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/segmentio/kafka-go"
)

//go:embed kafka/server.properties
var kafkaProperties []byte

// KafkaOptions says which Kafka to start. The zero value is a plain broker in
// a directory of its own.
type KafkaOptions struct {
	Directory  string            // "": a temporary one
	Properties map[string]string // server properties added to, or over, the usual ones
	Also       string            // another address of this host to serve at, for clients elsewhere
	// Transport is how to reach the broker, for one whose Properties ask for
	// TLS or SASL. Nil reaches a plain one.
	Transport kafka.RoundTripper
}

// KafkaServer is one Apache Kafka broker in KRaft mode on loopback. Topics and
// committed offsets survive Stop and Kill.
type KafkaServer struct {
	server
	port, also, controller int
	options                KafkaOptions
}

// Kafka starts a broker that ends with the test. It takes some seconds and
// 200 MB; tests that don't stop or configure their broker use SharedKafka.
func Kafka(tb testing.TB) *KafkaServer {
	tb.Helper()
	return KafkaWith(tb, KafkaOptions{})
}

// KafkaWith is Kafka with options.
func KafkaWith(tb testing.TB, options KafkaOptions) *KafkaServer {
	tb.Helper()
	jars := needKafka(tb)
	k, err := startKafka(tb.Context(), jars, options)
	if err != nil {
		tb.Fatal(err)
	}
	k.endWith(tb)
	return k
}

var sharedKafka shared[*KafkaServer]

// SharedKafka returns the one broker of this test process. A test uses topics
// and groups of its own and never stops it.
func SharedKafka(tb testing.TB) *KafkaServer {
	tb.Helper()
	jars := needKafka(tb)
	k, err := sharedKafka.get(func(ctx context.Context) (*KafkaServer, error) {
		return startKafka(ctx, jars, KafkaOptions{})
	})
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func needKafka(tb testing.TB) kafkaDistribution {
	tb.Helper()
	distribution, err := getKafka(tb.Context())
	if err != nil {
		NotRun(tb, tb.Name(), err.Error())
	}
	return distribution
}

func startKafka(ctx context.Context, distribution kafkaDistribution, options KafkaOptions) (*KafkaServer, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	k := &KafkaServer{port: ports[0], also: ports[1], controller: ports[2], options: options}
	k.server = server{name: "kafka", stopWith: syscall.SIGTERM, ports: ports, ready: k.isReady}
	if err := k.place(options.Directory); err != nil {
		return nil, err
	}
	k.data = filepath.Join(k.directory, "kafka")
	configuration := filepath.Join(k.directory, "server.properties")
	k.prepare = func(context.Context) error {
		if !isDirectory(k.data) {
			if err := os.CopyFS(k.data, os.DirFS(distribution.template)); err != nil {
				return fmt.Errorf("lay out the data directory: %w", err)
			}
		}
		return os.WriteFile(configuration, k.properties(), 0o600)
	}
	k.program = func() program {
		return program{command: distribution.java("256m", "kafka.Kafka", configuration), directory: k.directory}
	}
	if err := k.Start(ctx); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// properties is the broker's configuration; of two lines for the same property
// the later counts.
func (k *KafkaServer) properties() []byte {
	var b strings.Builder
	b.Write(kafkaProperties)
	fmt.Fprintf(&b, "\nlog.dirs=%s\n", k.data)
	// A client is told to go on at the address by which it came.
	here := "PLAINTEXT://" + k.Addr()
	if k.options.Also != "" {
		here += ",ALSO://" + k.AddrElsewhere()
	}
	fmt.Fprintf(&b, "listeners=%s,CONTROLLER://%s\n", here, loopback(k.controller))
	fmt.Fprintf(&b, "advertised.listeners=%s\n", here)
	fmt.Fprintf(&b, "controller.quorum.voters=1@%s\n", loopback(k.controller))
	for _, name := range slices.Sorted(maps.Keys(k.options.Properties)) {
		fmt.Fprintf(&b, "%s=%s\n", name, k.options.Properties[name])
	}
	return []byte(b.String())
}

// Addr is the address clients bootstrap from, host:port.
func (k *KafkaServer) Addr() string { return loopback(k.port) }

// AddrElsewhere is Addr for clients that reach this host at KafkaOptions.Also.
// Kafka wants a port of its own for it.
func (k *KafkaServer) AddrElsewhere() string {
	return net.JoinHostPort(k.options.Also, strconv.Itoa(k.also))
}

// Client returns a client for the broker. Its connections are closed by
// CloseClient.
func (k *KafkaServer) Client() *kafka.Client {
	transport := k.options.Transport
	if transport == nil {
		transport = &kafka.Transport{}
	}
	return &kafka.Client{Addr: kafka.TCP(k.Addr()), Transport: transport}
}

// CloseClient ends the connections and goroutines of a client from Client.
func CloseClient(c *kafka.Client) {
	if t, ok := c.Transport.(*kafka.Transport); ok {
		t.CloseIdleConnections()
	}
}

// isReady reports nil once the broker names itself as alive in its metadata: it
// has then been let in by its controller and serves requests.
func (k *KafkaServer) isReady(ctx context.Context) error {
	client := k.Client()
	if k.options.Transport == nil {
		defer CloseClient(client)
	}
	metadata, err := client.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return err
	}
	if len(metadata.Brokers) == 0 {
		return errors.New("the broker is not yet in its own metadata")
	}
	return nil
}
