package bench

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// partitions of the topic that messages go to.
const partitions = 4

// queue reads a topic from its beginning on, and notes when each message came.
type queue struct {
	*testkit.KafkaServer
	topic string
	stop  func()
	mu    sync.Mutex
	came  map[string]time.Time // by id, the first time
	again int                  // messages whose id came before
	err   error
}

var topics int

// newQueue makes a topic and begins to read it.
func newQueue(b *testing.B) *queue {
	b.Helper()
	topics++
	q := &queue{KafkaServer: testkit.SharedKafka(b), topic: fmt.Sprintf("pages-%d", topics), came: map[string]time.Time{}}
	must(b, q.CreateTopic(b.Context(), q.topic, partitions))
	ctx, cancel := context.WithCancel(b.Context())
	var readers sync.WaitGroup
	for p := range partitions {
		readers.Go(func() { q.read(ctx, p) })
	}
	q.stop = sync.OnceFunc(func() { cancel(); readers.Wait() })
	b.Cleanup(q.stop)
	return q
}

func (q *queue) read(ctx context.Context, partition int) {
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{q.Addr()}, Topic: q.topic, Partition: partition, MinBytes: 1, MaxBytes: 1e6, MaxWait: 100 * time.Millisecond,
	})
	defer r.Close()
	for {
		m, err := r.ReadMessage(ctx)
		if ctx.Err() != nil {
			return
		}
		q.mu.Lock()
		if q.err = err; err != nil { // as of a partition that has no leader yet: it goes on from there
			q.mu.Unlock()
			time.Sleep(100 * time.Millisecond)
			continue
		}
		id := ""
		for _, h := range m.Headers {
			if strings.EqualFold(h.Key, "Homeostat-Message-Id") {
				id = string(h.Value)
			}
		}
		if _, there := q.came[id]; there {
			q.again++
		} else {
			q.came[id] = time.Now()
		}
		q.mu.Unlock()
	}
}

// account is what became of the messages that were acknowledged.
type account struct {
	acknowledged, lost, again, invented int
	// hold is the longest time from the acknowledgement to the queue.
	hold time.Duration
}

// account reads on until all messages are there that were acknowledged, or for a while.
func (q *queue) account(b *testing.B, cells []*cell) (a account) {
	b.Helper()
	acknowledged, last := map[string]time.Time{}, map[string]int{}
	for _, c := range cells {
		last[c.name] = c.acknowledged(b, acknowledged)
	}
	missing := func() (n int) {
		q.mu.Lock()
		defer q.mu.Unlock()
		for id := range acknowledged {
			if _, there := q.came[id]; !there {
				n++
			}
		}
		return n
	}
	for end := time.Now().Add(30 * time.Second); missing() > 0 && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	q.stop()
	a.acknowledged, a.lost, a.again = len(acknowledged), missing(), q.again
	if a.lost > 0 {
		b.Logf("the queue's reader last said: %v", q.err)
	}
	for id, at := range q.came {
		cell, number, _ := cutLast(id)
		if n, err := strconv.Atoi(number); err != nil || n < 1 || n > last[cell] {
			a.invented++
		}
		if acknowledged, there := acknowledged[id]; there {
			a.hold = max(a.hold, at.Sub(acknowledged))
		}
	}
	return a
}

// cutLast cuts an id before its number.
func cutLast(id string) (cell, number string, ok bool) {
	i := strings.LastIndexByte(id, '-')
	if i < 0 {
		return id, "", false
	}
	return id[:i], id[i+1:], true
}

// acknowledged reads what a cell's application has written down, once it has ended,
// and how many messages it had in all.
func (c *cell) acknowledged(b *testing.B, into map[string]time.Time) (all int) {
	b.Helper()
	f, err := os.Open(c.messages)
	must(b, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		id, number, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.ParseInt(number, 10, 64)
		must(b, err)
		if id == "last" {
			return int(n)
		}
		into[id] = time.Unix(0, n)
	}
	b.Fatalf("%s ends before the last line: the application didn't end by itself (%v)", c.messages, lines.Err())
	return 0
}
