package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool/unsent"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// ownCell is a cell's sidecar that a test starts itself.
type ownCell struct {
	*house
	cmd *exec.Cmd
	log string
}

func (h *house) beginCell(cell string) *ownCell {
	h.t.Helper()
	s := &ownCell{house: h, log: filepath.Join(h.dir, cell+".log")}
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	h.must(err)
	defer out.Close()
	beside := filepath.Join(h.dir, "beside")
	if err := os.Remove(beside); err != nil && !errors.Is(err, os.ErrNotExist) {
		h.t.Fatal(err)
	}
	s.cmd = exec.Command(h.program, "run", "-policy", h.policy(), "-service", "pod", "-cell", cell,
		"--", "sh", "-c", `echo $HOMEOSTAT_SIDECAR >new && mv new beside && exec sleep 100000`)
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = h.dir, h.env, out, out
	h.must(s.cmd.Start())
	return s
}

// beside is where the application finds the sidecar.
func (s *ownCell) beside() (url string) {
	s.t.Helper()
	testkit.Await(s.t, patience, func(context.Context) error {
		b, err := os.ReadFile(filepath.Join(s.dir, "beside"))
		url = strings.TrimSpace(string(b))
		return err
	})
	return url
}

// end ends it with a signal and waits for it.
func (s *ownCell) end(with syscall.Signal) {
	s.t.Helper()
	s.must(s.cmd.Process.Signal(with))
	_ = s.cmd.Wait() // its exit status is that of the signal, or says more in the log
}

// spooled is what the cell's vitals say of its spool.
func (s *ownCell) spooled(ctx context.Context, url string) (sense.Vitals, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+sense.VitalsPath, nil)
	if err != nil {
		return sense.Vitals{}, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return sense.Vitals{}, err
	}
	defer answer.Body.Close()
	return sense.DecodeVitals(answer.Body, time.Now())
}

// TestSpoolOfACell has an application give messages to its sidecar: they come to
// the queue; they stay while it is away, over the sidecar's end and its death; and
// a cell started again over its folder sends them, or another where it is gone.
func TestSpoolOfACell(t *testing.T) {
	needServers(t)
	broker := testkit.Kafka(t)
	if err := broker.CreateTopic(t.Context(), "pages", 2); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, houseOptions{
		Above:  fmt.Sprintf("kafka {\n brokers = [%q]\n timeout = \"1s\"\n}", broker.Addr()),
		Policy: `spool { topics = ["pages"] }` + "\n" + `drain { timeout = "1s" }`,
	})
	give := func(s *ownCell, from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			url := s.beside() + "/v1/queue/pages"
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(fmt.Sprint(i)))
			h.must(err)
			r.Header.Set("Homeostat-Key", "k")
			answer, err := http.DefaultClient.Do(r)
			h.must(err)
			text, err := io.ReadAll(answer.Body)
			h.must(errors.Join(err, answer.Body.Close()))
			if answer.StatusCode != http.StatusAccepted {
				t.Fatalf("answered %s: %s", answer.Status, text)
			}
		}
	}
	holds := func(s *ownCell, want int) {
		t.Helper()
		testkit.Await(t, patience, func(ctx context.Context) error {
			v, err := s.spooled(ctx, s.beside())
			if err == nil && (v.SpoolDepth.Value != float64(want) || !v.SpoolDepth.Known || v.Spools["pages"] != want) {
				err = fmt.Errorf("the spool holds %v, want %d", v.Spools, want)
			}
			return err
		})
	}
	s := h.beginCell("pod-1")
	give(s, 0, 5)
	holds(s, 0)
	h.must(broker.Kill())
	give(s, 5, 10)
	holds(s, 5)
	s.end(syscall.SIGTERM)
	log, err := os.ReadFile(s.log)
	h.must(err)
	if want := "the spool still holds 5 messages, for [pages], in " + filepath.Join(h.dir, "spool", "pod-1"); !strings.Contains(string(log), want) {
		t.Errorf("it ends without a word of what it leaves:\n%s", log)
	}
	s = h.beginCell("pod-1")
	give(s, 10, 15)
	holds(s, 10)
	s.end(syscall.SIGKILL)
	h.must(broker.Start(t.Context()))
	s = h.beginCell("pod-1")
	holds(s, 0)
	give(s, 15, 20)
	holds(s, 0)
	h.must(broker.Kill())
	give(s, 20, 25)
	s.end(syscall.SIGKILL)
	h.deregister("pod-1") // as the leader that replaces it does
	h.must(broker.Start(t.Context()))
	s = h.beginCell("pod-2")
	testkit.Await(t, patience, func(context.Context) error { return unsent.Check(filepath.Join(h.dir, "spool", "pod-1")) })
	s.end(syscall.SIGTERM)

	seen, last := map[string]bool{}, -1
	for p := range 2 {
		for _, m := range h.onTopic(broker, "pages", p) {
			var n int
			if _, err := fmt.Sscan(string(m.Value), &n); err != nil {
				t.Fatal(err)
			}
			if !seen[string(m.Value)] && n < last {
				t.Errorf("%d comes after %d", n, last)
			}
			seen[string(m.Value)], last = true, max(last, n)
		}
	}
	if len(seen) != 25 {
		t.Errorf("%d messages are on the queue, of 25", len(seen))
	}
}

// onTopic reads a partition to its end.
func (h *house) onTopic(broker *testkit.KafkaServer, topic string, partition int) (all []kafka.Message) {
	h.t.Helper()
	client := broker.Client()
	defer testkit.CloseClient(client)
	var ends *kafka.ListOffsetsResponse
	testkit.Await(h.t, patience, func(ctx context.Context) (err error) { // a busy broker falls out of its own cluster
		ends, err = client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {kafka.LastOffsetOf(partition)}}})
		return err
	})
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{broker.Addr()}, Topic: topic, Partition: partition, MaxWait: 100 * time.Millisecond})
	defer r.Close()
	for range ends.Topics[topic][0].LastOffset {
		m, err := r.ReadMessage(h.t.Context())
		h.must(err)
		all = append(all, m)
	}
	return all
}

// deregister removes every life of a cell from Consul.
func (h *house) deregister(cell string) {
	h.t.Helper()
	testkit.Await(h.t, patience, func(ctx context.Context) error {
		m, err := h.fleet.Member(ctx, "pod", cell)
		if errors.Is(err, fleet.ErrNotFound) {
			return nil
		}
		if err == nil {
			err = h.fleet.Deregister(ctx, m.ID())
		}
		return errors.Join(fmt.Errorf("%s was still registered", cell), err)
	})
}
