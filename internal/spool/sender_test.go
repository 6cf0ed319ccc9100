package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// fakeQueue is a queue that fails as told, and remembers what it took.
type fakeQueue struct {
	mu         sync.Mutex
	partitions int
	// failure is asked for each request; it may have taken the messages though it says
	// that it failed.
	failure func(partition int) (err error, took bool)
	taken   []Message
	busy    map[int]bool
	wrong   error
	// unknown is the answer to who asks for the partitions, and asks counts them.
	unknown error
	asks    int
}

func newFakeQueue(partitions int, failure func(int) (error, bool)) *fakeQueue {
	return &fakeQueue{partitions: partitions, failure: failure, busy: map[int]bool{}}
}

func isAway(int) (error, bool) { return errors.New("away"), false }

func (f *fakeQueue) Partitions(context.Context, string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asks++
	return f.partitions, f.unknown
}

// asked is an error until somebody has asked for the partitions.
func (f *fakeQueue) asked() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asks == 0 {
		return errors.New("nobody has asked for the partitions")
	}
	return nil
}

func (f *fakeQueue) Produce(_ context.Context, _ string, partition int, messages []Message) error {
	f.mu.Lock()
	if f.busy[partition] {
		f.wrong = fmt.Errorf("two requests at once for partition %d", partition)
	}
	f.busy[partition] = true
	f.mu.Unlock()
	runtime.Gosched()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy[partition] = false
	err, took := error(nil), true
	if f.failure != nil {
		err, took = f.failure(partition)
	}
	if took {
		f.taken = append(f.taken, messages...)
	}
	return err
}

func (f *fakeQueue) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// all are the messages that the queue took, each the first time.
func (f *fakeQueue) all() []Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := map[string]bool{}
	var once []Message
	for _, m := range f.taken {
		if !seen[m.ID] {
			once = append(once, m)
		}
		seen[m.ID] = true
	}
	return once
}

type pressure struct {
	mu sync.Mutex
	on bool
}

func (p *pressure) WithinBound() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.on
}

func (p *pressure) set(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on = on
}

func config(dir string, b Broker) Config {
	return Config{
		Dir: dir, Topics: []string{"pages"}, Pace: PacerConfig{Hold: time.Minute},
		MaxBytes: 64 << 20, MaxAge: time.Hour, SegmentBytes: 64 << 10, MaxMessageBytes: 10_000, MaxBatch: 100, MaxRequestBytes: 1 << 20,
		Broker: b, Timeout: 3 * time.Second, Log: slog.New(slog.DiscardHandler),
	}
}

// start opens a spool that the test closes.
func start(t *testing.T, cfg Config) *Spool {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, s) })
	return s
}

func end(t *testing.T, s *Spool) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// add adds a message of the key k, which goes by its number.
func add(t *testing.T, s *Spool, n int) {
	t.Helper()
	if _, err := s.Add(t.Context(), "pages", []Message{numberedMessage("k", n)}); err != nil {
		t.Fatal(err)
	}
}

// addEach adds one for each key, all at once.
func addEach(t *testing.T, s *Spool, keys, n int) {
	t.Helper()
	var batch []Message
	for key := range keys {
		batch = append(batch, numberedMessage(fmt.Sprint(key), n))
	}
	if _, err := s.Add(t.Context(), "pages", batch); err != nil {
		t.Fatal(err)
	}
}

func numberedMessage(key string, n int) Message {
	return Message{Key: []byte(key), Body: fmt.Appendf(nil, "%d", n)}
}

func sentAll(s *Spool) func(context.Context) error {
	return func(context.Context) error {
		if n := s.Depth(); n > 0 {
			return fmt.Errorf("%d messages wait", n)
		}
		return nil
	}
}

// inOrder holds that all messages of each key are there, in their order.
func inOrder(t *testing.T, messages []Message, keys, each int) {
	t.Helper()
	byKey := map[string][]int{}
	for _, m := range messages {
		var n int
		if _, err := fmt.Sscan(string(m.Body), &n); err != nil {
			t.Fatal(err)
		}
		byKey[string(m.Key)] = append(byKey[string(m.Key)], n)
	}
	if len(byKey) != keys {
		t.Errorf("messages of %d keys are there, of %d", len(byKey), keys)
	}
	for key, got := range byKey {
		if !slices.Equal(got, count(0, each)) {
			t.Errorf("of key %s there are %v", key, got)
		}
	}
}

// TestOrderOverRetries has a queue that refuses, and takes what it refuses, at
// random, and whose partitions grow meanwhile.
func TestOrderOverRetries(t *testing.T) {
	leaks(t)
	const keys, each = 20, 40
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	f := newFakeQueue(3, nil)
	f.failure = func(int) (error, bool) {
		switch random.IntN(4) {
		case 0:
			return errors.New("not now"), false
		case 1:
			return errors.New("the answer is lost"), true
		}
		return nil, true
	}
	s := start(t, config(t.TempDir(), f))
	for n := range each {
		addEach(t, s, keys, n)
		if n == each/2 {
			f.set(func() { f.partitions = 5 })
		}
	}
	testkit.Await(t, time.Minute, sentAll(s))
	inOrder(t, f.all(), keys, each)
	if f.wrong != nil {
		t.Error(f.wrong)
	}
}

// TestOnePartitionAway holds that others are sent meanwhile, also once more messages
// wait for it than may be under way.
func TestOnePartitionAway(t *testing.T) {
	leaks(t)
	f := newFakeQueue(2, nil)
	f.failure = func(p int) (error, bool) {
		if p == 0 {
			return errors.New("there is no leader"), false
		}
		return nil, true
	}
	s := start(t, config(t.TempDir(), f))
	const keys, each = 100, 2 * underWay / 50 // about half go to each partition
	for n := range each {
		addEach(t, s, keys, n)
	}
	one := 0
	for key := range keys {
		one += partitionOf(&item{message: Message{Key: fmt.Append(nil, key)}}, []int{0, 1})
	}
	testkit.Await(t, time.Minute, func(context.Context) error {
		if n := len(f.all()); n != each*one {
			return fmt.Errorf("%d messages went of %d", n, each*one)
		}
		return nil
	})
	f.set(func() { f.failure = nil })
	testkit.Await(t, time.Minute, sentAll(s))
	inOrder(t, f.all(), keys, each)
}

// TestStartedAgain sends what an earlier life has left, once.
func TestStartedAgain(t *testing.T) {
	leaks(t)
	dir := t.TempDir()
	away := newFakeQueue(1, isAway)
	s := start(t, config(dir, away))
	var batch []Message
	for n := range 300 {
		batch = append(batch, numberedMessage("k", n))
	}
	if _, err := s.Add(t.Context(), "pages", batch); err != nil {
		t.Fatal(err)
	}
	end(t, s)
	f := newFakeQueue(1, nil)
	s = start(t, config(dir, f))
	testkit.Await(t, time.Minute, sentAll(s))
	inOrder(t, f.all(), 1, 300)
	if len(f.taken) != 300 {
		t.Errorf("%d messages were sent, of 300", len(f.taken))
	}
}

// TestHeldBack holds messages while clients are not well, for Hold, and lets them go
// when they are, or when the cell is to leave.
func TestHeldBack(t *testing.T) {
	leaks(t)
	f, p := newFakeQueue(1, nil), &pressure{on: true}
	cfg := config(t.TempDir(), f)
	cfg.Pressure, cfg.Pace.Hold = p, time.Hour
	s := start(t, cfg)
	add(t, s, 0)
	testkit.Await(t, 30*time.Second, func(context.Context) error {
		if !s.topics["pages"].sender.held.Load() {
			return errors.New("it isn't held")
		}
		return nil
	})
	if n := len(f.all()); n > 0 || s.Depth() != 1 {
		t.Errorf("%d messages went though clients are not well", n)
	}
	p.set(false)
	testkit.Await(t, 30*time.Second, sentAll(s))
	p.set(true)
	add(t, s, 1)
	if err := s.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	inOrder(t, f.all(), 1, 2)
}

// TestAwayFromTheStart has the queue come back after a while that the spool has seen
// nothing but: what has gathered rises from nothing, as after any outage.
func TestAwayFromTheStart(t *testing.T) {
	leaks(t)
	f := newFakeQueue(1, nil)
	f.unknown = errors.New("away")
	cfg := config(t.TempDir(), f)
	cfg.Pace.Spread = 30 * time.Second
	s := start(t, cfg)
	for range 5 {
		addEach(t, s, 100, 0)
	}
	testkit.Await(t, time.Minute, func(context.Context) error { return f.asked() })
	f.set(func() { f.unknown = nil })
	testkit.Await(t, 3*time.Minute, func(context.Context) error {
		if len(f.all()) == 0 {
			return errors.New("nothing goes")
		}
		return nil
	})
	if n := s.Depth(); n < 250 {
		t.Errorf("of 500 messages all but %d went at once", n)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestFlushThatFails says what is left, and where.
func TestFlushThatFails(t *testing.T) {
	leaks(t)
	away := newFakeQueue(1, isAway)
	cfg := config(t.TempDir(), away)
	s := start(t, cfg)
	add(t, s, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := s.Flush(ctx)
	want := fmt.Sprintf("the spool still holds 1 messages, for [pages], in %s: they are on disk and not on the queue. "+
		"Bring the queue back and start the cell over this folder: context deadline exceeded", cfg.Dir)
	if err == nil || err.Error() != want {
		t.Errorf("a flush that fails says %v", err)
	}
}

// TestTopicGivenUp tells of what waits for a topic that isn't the spool's any more.
func TestTopicGivenUp(t *testing.T) {
	leaks(t)
	cfg := config(t.TempDir(), newFakeQueue(1, isAway))
	s := start(t, cfg)
	add(t, s, 0)
	end(t, s)
	var log bytes.Buffer
	cfg.Topics, cfg.Log = []string{"others"}, slog.New(slog.NewTextHandler(&log, nil))
	end(t, start(t, cfg))
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "topic=pages") {
		t.Errorf("the log says %s", log.String())
	}
}
