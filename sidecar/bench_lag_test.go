package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// BenchmarkLagSample measures one sample of the lag of a consumer group on a
// topic of 5,000 partitions on one real broker, as a leader takes it at each
// beat: how long it takes, and how many requests it sends, counted on the wire. For
// half a minute, and so in all rounds, it goes by the layout of the partitions that it
// found; the first of a new leader, taken in each round, too, connects and finds that.
// Beside it, in each round, the same offsets are asked for as KMinion and KEDA do
// (lagPeers). All bytes go through the proxy that counts, so all are a little slower
// than they would be without it.
//
// The broker takes minutes to make such a topic.
func BenchmarkLagSample(b *testing.B) {
	rounds := measuring(b)
	const partitions, behind = 5000, 100
	wire := newWire(b)
	server := testkit.KafkaWith(b, testkit.KafkaOptions{
		Properties: map[string]string{
			// Clients are told to come through the proxy.
			"advertised.listeners": "PLAINTEXT://" + wire.addr(),
			// A broker that makes thousands of partitions on a busy machine is not gone.
			"broker.session.timeout.ms": "60000",
		},
	})
	wire.to(server.Addr())
	q := grownQueue(b, server, partitions)
	q.commitAll()
	sample := q.leaderSampler(wire.addr())
	testkit.Await(b, 5*time.Minute, func(ctx context.Context) error { return all(sample(ctx), partitions, 0) })
	q.connect(server) // the old client remembers one partition
	q.client.Addr = kafka.TCP(wire.addr())
	for partition := range behind {
		q.produce(partition, 1)
	}

	peers := q.lagPeers(wire.addr())
	for _, p := range peers { // connections are made, coordinators found
		if _, _, err := p.sample(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	var times figures
	requests := map[string][]int{}
	for range rounds {
		wire.count()
		began := time.Now()
		if err := all(sample(b.Context()), partitions, behind); err != nil {
			b.Fatal(err)
		}
		times.add("leader's sample", "time", time.Since(began))
		requests["leader's sample"] = append(requests["leader's sample"], wire.count().requests())
		began = time.Now()
		if err := all(q.leaderSampler(wire.addr())(b.Context()), partitions, behind); err != nil {
			b.Fatal(err)
		}
		times.add("leader's first", "time", time.Since(began))
		requests["leader's first"] = append(requests["leader's first"], wire.count().requests())
		for _, p := range peers {
			began = time.Now()
			lag, known, err := p.sample(b.Context())
			if err != nil || lag != behind || known != partitions {
				b.Fatalf("%s: lag %d of %d partitions, %v", p.name, lag, known, err)
			}
			times.add(p.name, "time", time.Since(began))
			requests[p.name] = append(requests[p.name], wire.count().requests())
		}
	}
	b.Logf("%d rounds, load %s\n%s", rounds, machineLoad(), times.table())
	ours := quantile(times.of("leader's sample", "time"), 0.5)
	for _, name := range times.columns {
		n := slices.Sorted(slices.Values(requests[name]))
		took := quantile(times.of(name, "time"), 0.5)
		b.Logf("%-30s %d requests (%d to %d), %.2f of the leader's time", name, n[len(n)/2], n[0], n[len(n)-1], float64(took)/float64(ours))
		report(b, map[string]float64{benchUnit(name) + "-ms": ms(took), benchUnit(name) + "-requests": float64(n[len(n)/2])})
	}
}

// benchUnit is a name as a benchmark's unit may have it.
func benchUnit(name string) string {
	return strings.NewReplacer(" ", "-", "'", "").Replace(name)
}

// all returns an error unless the lag of every partition is known and right.
func all(s sense.LagSample, partitions int, lag float64) error {
	if s.Known != partitions || s.Lag.Value != lag {
		return fmt.Errorf("lag known for %d of %d partitions: %+v", s.Known, partitions, s.Lag)
	}
	return nil
}

// grownQueue makes a topic of one partition and then of many: the group's
// coordinator is there before the crowd.
func grownQueue(b *testing.B, server *testkit.KafkaServer, partitions int) *queue {
	b.Helper()
	q := newQueue(b, server, 1)
	q.commitAll()
	_, err := q.client.CreatePartitions(b.Context(), &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: q.topic, Count: int32(partitions)}},
	})
	if err != nil {
		b.Fatal(err)
	}
	q.partitions, q.ends = partitions, make([]int64, partitions)
	return q
}

// leaderSampler wires a sampler as `homeostat run` does from its policy.
func (q *queue) leaderSampler(broker string) func(context.Context) sense.LagSample {
	q.t.Helper()
	text := fmt.Sprintf(`
kafka {
  brokers = [%q]
  timeout = "30s"
}
service "pod" {
  min = 1
  max = 8
  terraform { dir = "pod" }
  %s
}`, broker, q.block("30s"))
	p, diags := policy.Parse("homeostat.hcl", []byte(text))
	if diags.HasErrors() {
		q.t.Fatal(diags)
	}
	src, done, err := sources(p, p.Services[0], birth.Host{}, nil)
	if err != nil {
		q.t.Fatal(err)
	}
	q.t.Cleanup(done)
	return src.Lag
}

// wire is a proxy before a Kafka broker that counts what goes through it.
type wire struct {
	t        testing.TB
	listener net.Listener
	broker   chan string // the broker's address, once it is known

	mu  sync.Mutex
	now traffic
}

// traffic is what went over the wire.
type traffic struct {
	calls         map[int16]int // by API key
	sent, got     int64         // bytes
	newConnection int
}

func (c traffic) requests() int {
	n := 0
	for _, calls := range c.calls {
		n += calls
	}
	return n
}

func (c traffic) String() string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(c.calls)) {
		parts = append(parts, fmt.Sprintf("%d %s", c.calls[key], kmsg.NameForKey(key)))
	}
	return fmt.Sprintf("%d requests (%s) over %d new connections, %d KiB sent, %d KiB received",
		c.requests(), strings.Join(parts, ", "), c.newConnection, c.sent/1024, c.got/1024)
}

func newWire(t testing.TB) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, listener: listener, broker: make(chan string, 1)}
	w.now.calls = map[int16]int{}
	var serving sync.WaitGroup
	serving.Go(func() { w.accept(&serving) })
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	return w
}

func (w *wire) addr() string     { return w.listener.Addr().String() }
func (w *wire) to(broker string) { w.broker <- broker }

// count returns what went through since it was called last.
func (w *wire) count() traffic {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now
	w.now = traffic{calls: map[int16]int{}}
	return now
}

func (w *wire) note(change func(*traffic)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.now)
}

func (w *wire) accept(serving *sync.WaitGroup) {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		serving.Go(func() { w.serve(client) })
	}
}

// serve carries one connection until either side ends it.
func (w *wire) serve(client net.Conn) {
	defer func() { _ = client.Close() }() // it may be closed already
	address := <-w.broker
	w.broker <- address // for the next one
	broker, err := net.Dial("tcp", address)
	if err != nil {
		return // the client sees its connection end
	}
	w.note(func(c *traffic) { c.newConnection++ })
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = io.Copy(client, counted{broker, func(n int) { w.note(func(c *traffic) { c.got += int64(n) }) }})
		_ = client.Close()
	}()
	w.forward(client, broker)
	_ = broker.Close()
	<-answered
}

// forward passes requests on. Each begins with its length, 4 bytes, and the key
// of the API that is called, 2 bytes.
func (w *wire) forward(client io.Reader, broker io.Writer) {
	for {
		var head [6]byte
		if _, err := io.ReadFull(client, head[:]); err != nil {
			return
		}
		length, key := binary.BigEndian.Uint32(head[:4]), int16(binary.BigEndian.Uint16(head[4:]))
		w.note(func(c *traffic) { c.calls[key]++; c.sent += int64(length) + 4 })
		if _, err := broker.Write(head[:]); err != nil {
			return
		}
		if _, err := io.CopyN(broker, client, int64(length)-2); err != nil {
			return
		}
	}
}

// counted tells how much was read.
type counted struct {
	io.Reader
	tell func(int)
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.tell(n)
	return n, err
}
