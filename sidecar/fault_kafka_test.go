package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// TestKafkaFails ends the broker while a leader decides by its lag, and has it
// back. What is unknown meanwhile lowers nothing, and the leader says so; with
// the broker it goes on as if nothing had been.
func TestKafkaFails(t *testing.T) {
	needServers(t)
	t.Parallel()
	kafka := testkit.Kafka(t)
	q := newQueue(t, kafka, 2)
	h := faultyHouse(t, houseOptions{
		Above: fmt.Sprintf("kafka { brokers = [%q] }", kafka.Addr()),
		Policy: q.block("5s") + `
  drain { timeout = "0s" }
  law {` + shortMemory + `    release_window  = "2s"
    release_after   = "5s"
  }
`,
	})
	h.apply()
	h.settled(1, patience)
	q.produce(0, 100)
	q.commitAll()
	h.succeed("pin", "pod", "3")
	h.settled(3, patience)
	before := h.lives()

	h.must(kafka.Kill())
	h.succeed("unpin", "pod")
	h.decides("unknown-")
	told := len(h.logLines("msg=decision", "code=unknown-"))
	h.holds(before, 10*time.Second)
	if told == 0 {
		t.Error("no leader said in its log that lag is unknown")
	}

	h.must(kafka.Start(t.Context()))
	h.hears("order placed", "remove=[pod-") // what would do is known again, and is less
	if last := h.status().Last; last.Lag == nil {
		t.Errorf("with the broker back lag is unknown: %+v", last.Decision)
	}
}

// decides waits until the last decision has a code that begins with the one
// given.
func (h *house) decides(code string) {
	h.t.Helper()
	h.await("no decision "+code, func(context.Context) error {
		last := h.status().Last
		if last == nil || !strings.HasPrefix(last.Decision.Code, code) {
			return fmt.Errorf("%+v", last)
		}
		return nil
	})
}

// holds fails the test if a cell goes in the time given, which is long enough
// for what must not happen to happen.
func (h *house) holds(lives map[string]string, during time.Duration) {
	h.t.Helper()
	for until := time.Now().Add(during); time.Now().Before(until); time.Sleep(250 * time.Millisecond) {
		h.sameLives(lives)
	}
}
