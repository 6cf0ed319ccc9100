package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/cell"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func TestPaceMakesUpForBeingLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = 100 * time.Millisecond
		began := time.Now()
		var p pace
		at := func(what string, want time.Duration) {
			t.Helper()
			p.wait(t.Context(), each)
			if got := time.Since(began); got != want {
				t.Errorf("%s: done after %s, want %s", what, got, want)
			}
		}
		p.rest(time.Now())
		at("the first", each)
		time.Sleep(250 * time.Millisecond) // the machine was busy with something else
		at("one that was late", 350*time.Millisecond)
		at("the next, which is late, too", 350*time.Millisecond)
		at("and then as usual", 400*time.Millisecond)
		time.Sleep(time.Second)
		p.rest(time.Now())
		at("after a rest", 1500*time.Millisecond)
		time.Sleep(10 * time.Second)
		for range int(mostLate / each) {
			at("within what is made up for", 11500*time.Millisecond)
		}
		at("beyond it", 11600*time.Millisecond)
	})
}

func TestPaceEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p := (pace{}); p.wait(ctx, time.Hour) {
		t.Error("a job's time passed at once")
	}
}

// queue is a broker within the test, with jobs.
type queue struct {
	t      *testing.T
	client *kgo.Client
	addr   string
}

func newQueue(t *testing.T) *queue {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(8, "jobs"), kfake.SeedTopics(1, "done"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	q := &queue{t: t, addr: cluster.ListenAddrs()[0]}
	if q.client, err = kgo.NewClient(kgo.SeedBrokers(q.addr), kgo.ConsumeTopics("done"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.client.Close)
	return q
}

// worker runs a worker until the test ends.
func (q *queue) worker() *worker {
	w := &worker{
		settings: settings{topic: "jobs", group: "workers", done: "done", rate: 100, commit: minCommit},
		brokers:  []string{q.addr}, gate: cell.NewGate(1, time.Now), mine: map[int32]bool{},
	}
	ctx, cancel := context.WithCancel(q.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.run(ctx); err != nil {
			q.t.Error(err)
		}
	})
	q.t.Cleanup(func() { cancel(); running.Wait() })
	testkit.Await(q.t, time.Minute, func(context.Context) error {
		if !w.ready.Load() {
			return fmt.Errorf("it isn't a member of the group yet")
		}
		return nil
	})
	return w
}

func (q *queue) put(from, to int) {
	q.t.Helper()
	for i := from; i < to; i++ {
		job := &kgo.Record{Topic: "jobs", Key: fmt.Appendf(nil, "job-%d", i)}
		if err := q.client.ProduceSync(q.t.Context(), job).FirstErr(); err != nil {
			q.t.Fatal(err)
		}
	}
}

// await reads what workers say until n jobs are done, and returns how often each was.
func (q *queue) await(n int) map[string]int {
	q.t.Helper()
	ctx, cancel := context.WithTimeout(q.t.Context(), time.Minute)
	defer cancel()
	done := map[string]int{}
	for len(done) < n {
		fetches := q.client.PollFetches(ctx)
		if ctx.Err() != nil {
			q.t.Fatalf("%d of %d jobs are done", len(done), n)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if _, err := time.ParseDuration(string(r.Value)); err != nil {
				q.t.Error(err)
			}
			done[string(r.Key)]++
		})
	}
	return done
}

// Two workers do all jobs, each once, though one of them has to drain on the way and
// another comes.
func TestWorkersDoAllJobsOnce(t *testing.T) {
	q := newQueue(t)
	first := q.worker()
	q.put(0, 100)
	q.worker()
	q.put(100, 200)
	drain := httptest.NewRecorder()
	first.gate.ServeHTTP(drain, httptest.NewRequest(http.MethodPut, "/drain", nil))
	q.put(200, 300)
	for job, times := range q.await(300) {
		if times != 1 {
			t.Errorf("%s was done %d times", job, times)
		}
	}
	if n := first.gate.InFlight(); n != 0 {
		t.Errorf("a drained worker has %d jobs in hand", n)
	}
}

func TestHealthIsMembership(t *testing.T) {
	w := &worker{gate: cell.NewGate(1, time.Now)}
	code := func() int {
		rec := httptest.NewRecorder()
		w.handler(nil).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/healthz", nil))
		return rec.Code
	}
	if got := code(); got != http.StatusServiceUnavailable {
		t.Errorf("before it is a member: %d", got)
	}
	w.ready.Store(true)
	if got := code(); got != http.StatusOK {
		t.Errorf("as a member: %d", got)
	}
}
