package spool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/local"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// queueOf prepares a real topic and a client for it.
func queueOf(t *testing.T, server *testkit.KafkaServer, partitions int) *Kafka {
	t.Helper()
	if err := server.CreateTopic(t.Context(), "pages", partitions); err != nil {
		t.Fatal(err)
	}
	return clientOf(t, server)
}

func clientOf(t *testing.T, server *testkit.KafkaServer) *Kafka {
	t.Helper()
	k := NewKafka(KafkaConfig{Brokers: []string{server.Addr()}, Timeout: 3 * time.Second}, []string{"pages"})
	t.Cleanup(k.Close)
	return k
}

// drained reads the topic to its end, each message the first time it comes there.
func drained(t *testing.T, server *testkit.KafkaServer, partitions int) (once []Message, all int) {
	t.Helper()
	client := server.Client()
	defer testkit.CloseClient(client)
	seen := map[string]bool{}
	for p := range partitions {
		var ends *kafka.ListOffsetsResponse
		testkit.Await(t, 2*time.Minute, func(ctx context.Context) (err error) { // a busy broker falls out of its own cluster
			ends, err = client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{"pages": {kafka.LastOffsetOf(p)}}})
			return err
		})
		r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{server.Addr()}, Topic: "pages", Partition: p, MaxWait: 100 * time.Millisecond})
		for range ends.Topics["pages"][0].LastOffset {
			m, err := r.ReadMessage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := Message{Key: m.Key, Body: m.Value}
			for _, h := range m.Headers {
				if h.Key == IDHeader {
					got.ID = string(h.Value)
				}
			}
			if all++; !seen[got.ID] {
				once = append(once, got)
			}
			seen[got.ID] = true
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	return once, all
}

// TestBrokerOutage kills the broker while messages come, and starts it again.
func TestBrokerOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs Kafka")
	}
	server := testkit.Kafka(t)
	s := start(t, config(t.TempDir(), queueOf(t, server, 3)))
	const keys, each = 10, 60
	for n := range each {
		switch n {
		case each / 3:
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
		case 2 * each / 3:
			if s.Depth() < keys*each/3 {
				t.Errorf("%d messages wait though the broker is away", s.Depth())
			}
			if err := server.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		addEach(t, s, keys, n)
	}
	testkit.Await(t, 2*time.Minute, sentAll(s))
	once, _ := drained(t, server, 3)
	inOrder(t, once, keys, each)
}

// asServer has the test's program be a spool that others write to over HTTP: its
// folder, and the broker.
const asServer = "SPOOL_TEST_SERVER"

func serveSpool() error {
	dir, broker, _ := strings.Cut(os.Getenv(asServer), " ")
	cfg := config(dir, NewKafka(KafkaConfig{Brokers: []string{broker}, Timeout: 3 * time.Second}, []string{"pages"}))
	cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := Open(context.Background(), cfg)
	if err != nil {
		return err
	}
	l, err := local.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		return err
	}
	l.Handle(Path, s.Handler())
	fmt.Println(l.URL())
	return l.Serve()
}

// child is a spool in a process of its own.
type child struct {
	*exec.Cmd
	url string
}

func startChild(t *testing.T, dir, broker string) *child {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), asServer+"="+dir+" "+broker)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = c.Process.Kill()
		_ = c.Wait()
		t.Fatalf("the spool doesn't start: %v\n%s", err, errs.String())
	}
	return &child{c, strings.TrimSpace(url)}
}

// kill ends it with SIGKILL.
func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // it says that it was killed
}

// TestKilled kills a spool's process again and again while many write to it. All
// that was acknowledged comes to the queue, in the order of each key.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs Kafka")
	}
	server := testkit.Kafka(t)
	queueOf(t, server, 3)
	dir := t.TempDir()
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	client := &http.Client{Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	next := make([]int, 8)
	for life := range 6 {
		c := startChild(t, dir, server.Addr())
		done := make(chan struct{}, 1)
		var writers sync.WaitGroup
		for w := range next {
			writers.Go(func() {
				for {
					id := fmt.Sprintf("%d-%d", w, next[w])
					if postTo(t, client, c.url, fmt.Sprint(w), id, next[w]) != nil {
						return
					}
					next[w]++
					mu.Lock()
					acknowledged[id] = true
					enough := len(acknowledged)%150 == 0
					mu.Unlock()
					if enough {
						signal(done)
					}
				}
			})
		}
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Errorf("life %d takes too few messages", life)
		}
		c.kill(t)
		writers.Wait()
	}
	s := start(t, config(dir, clientOf(t, server)))
	testkit.Await(t, 2*time.Minute, sentAll(s))
	once, all := drained(t, server, 3)
	there, last := map[string]bool{}, map[string]int{}
	for _, m := range once {
		var n int
		if _, err := fmt.Sscan(string(m.Body), &n); err != nil || m.ID != fmt.Sprintf("%s-%d", m.Key, n) {
			t.Errorf("%+v was never written", m)
		}
		if before, ok := last[string(m.Key)]; ok && n < before {
			t.Errorf("of key %s message %d comes after %d", m.Key, n, before)
		}
		there[m.ID], last[string(m.Key)] = true, n
	}
	for id := range acknowledged {
		if !there[id] {
			t.Errorf("%s was acknowledged and is lost", id)
		}
	}
	t.Logf("%d acknowledged, %d on the queue, %d with those sent twice", len(acknowledged), len(once), all)
}

// postTo posts one message over HTTP.
func postTo(t *testing.T, client *http.Client, url, key, id string, n int) error {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/queue/pages", strings.NewReader(fmt.Sprint(n)))
	if err != nil {
		return err
	}
	r.Header.Set(KeyHeader, key)
	r.Header.Set(IDHeader, id)
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusAccepted {
		return errors.Join(err, errors.New(answer.Status))
	}
	return nil
}
