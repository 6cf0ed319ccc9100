package spool

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool/unsent"
)

// Pressure says whether clients' latency is within its bound.
type Pressure interface {
	WithinBound() bool
}

// Config says what a spool takes and how much it may hold.
type Config struct {
	// Dir is the spool's folder; each topic has one below it.
	Dir string
	// Topics are those that messages are taken for. Their names are safe as names of
	// folders, as Kafka's are.
	Topics []string
	// Pace bounds how long messages are held back.
	Pace PacerConfig
	// MaxBytes bounds each topic's log on disk, MaxAge the age of the oldest message
	// from which on no more are taken.
	MaxBytes int64
	MaxAge   time.Duration
	// SegmentBytes is from which size on a log begins a new file.
	SegmentBytes int64
	// MaxMessageBytes bounds one message, MaxBatch how many a request may bring and
	// MaxRequestBytes the request.
	MaxMessageBytes, MaxBatch int
	MaxRequestBytes           int64
	// Broker is where messages go, Timeout the limit of one request to it.
	Broker  Broker
	Timeout time.Duration
	// Pressure is asked while messages wait; nil: nothing is held back.
	Pressure Pressure
	// Header is given to each message that has none of its name, with what it is
	// asked for then; nil or an empty value: none is given.
	Header func() Header
	// Log is slog.Default if nil, and Now time.Now.
	Log *slog.Logger
	Now func() time.Time

	disk disk // the real one if nil
}

// Spool takes messages, and sends them until it is closed.
type Spool struct {
	cfg    Config
	topics map[string]*topic
	fsync  *timings
	stop   context.CancelFunc
	ended  sync.WaitGroup
}

// topic is what the spool has for one topic.
type topic struct {
	name    string
	log     *messageLog
	sender  *sender
	counts  counts
	mu      sync.Mutex
	failing bool // the log was told that the disk fails
}

// Open opens a spool, and begins to send what it holds from before. It goes on until
// Close, also when ctx has ended.
func Open(ctx context.Context, cfg Config) (*Spool, error) {
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.disk == nil {
		cfg.disk = realDisk{}
	}
	s := &Spool{cfg: cfg, topics: map[string]*topic{}, fsync: newTimings()}
	for _, name := range cfg.Topics {
		if err := s.open(name); err != nil {
			return nil, errors.Join(err, s.closeLogs())
		}
	}
	s.strays()
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	for _, t := range s.topics {
		s.ended.Go(func() { t.sender.run(ctx) })
	}
	return s, nil
}

func (s *Spool) open(name string) error {
	t := &topic{name: name}
	l, report, err := openLog(logConfig{
		dir: filepath.Join(s.cfg.Dir, name), segmentBytes: s.cfg.SegmentBytes, maxBytes: s.cfg.MaxBytes,
		disk: s.cfg.disk, synced: s.fsync.observe,
	})
	if err != nil {
		return fmt.Errorf("open the spool of topic %q: %w", name, err)
	}
	t.log = l
	t.sender = &sender{
		topic: name, log: l, broker: s.cfg.Broker, pressure: s.cfg.Pressure, timeout: s.cfg.Timeout,
		logger: s.cfg.Log, now: s.cfg.Now,
		pacer:   NewPacer(s.cfg.Pace, s.cfg.Now(), report.Messages, mathrand.Float64),
		results: make(chan result), hurry: make(chan struct{}, 1), troubles: map[string]bool{},
	}
	t.sender.reader = l.reader(func(d Damage) { t.lost(s.cfg.Log, d) })
	s.topics[name] = t
	for _, d := range report.Damages {
		t.lost(s.cfg.Log, d)
	}
	if report.Messages > 0 || report.Cut > 0 {
		s.cfg.Log.Info("the spool was opened with what it held before", "topic", name, "messages", report.Messages, "unacknowledged_bytes_cut", report.Cut)
	}
	return nil
}

// strays tells of messages for topics that the spool had once and has no more.
func (s *Spool) strays() {
	folders, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return // the folder of each topic was opened in it
	}
	for _, f := range folders {
		if s.topics[f.Name()] != nil {
			continue
		}
		if err := unsent.Check(filepath.Join(s.cfg.Dir, f.Name())); err != nil {
			s.cfg.Log.Error("messages of a topic that isn't the spool's any more are not sent. Put it back into spool.topics, or move the folder away if they aren't wanted", "topic", f.Name(), "error", err)
		}
	}
}

// lost tells of messages that can't be read any more.
func (t *topic) lost(log *slog.Logger, d Damage) {
	log.Error("messages of the spool are lost: its disk gives back other bytes than were written. Where a file is named it is kept for a look at it",
		"topic", t.name, "messages", d.Lost, "file", d.Path, "from_byte", d.From, "to_byte", d.To)
	t.counts.lost.Add(d.Lost)
}

// Add returns the messages' ids once they are on disk. All are taken or none is;
// after an error that isn't a Refusal they may have been. Those without an id get
// one.
func (s *Spool) Add(ctx context.Context, topic string, messages []Message) ([]string, error) {
	t := s.topics[topic]
	if t == nil {
		return nil, &Refusal{Reason: RefusedTopic, Err: fmt.Errorf("topic %q is none of this spool's", topic)}
	}
	now := s.cfg.Now()
	var header Header
	if s.cfg.Header != nil {
		header = s.cfg.Header()
	}
	ids, payloads := make([]string, len(messages)), make([][]byte, len(messages))
	for i, m := range messages {
		m = m.with(header)
		if n := m.Size(); n > s.cfg.MaxMessageBytes {
			return nil, t.refuse(RefusedSize, 0, fmt.Errorf("a message of %d bytes: at most %d are taken", n, s.cfg.MaxMessageBytes))
		}
		if m.Accepted = now; m.ID == "" {
			m.ID = rand.Text()
		}
		ids[i], payloads[i] = m.ID, m.encode()
	}
	if age := t.age(now); age > s.cfg.MaxAge {
		return nil, t.refuse(RefusedAge, s.retryAfter(), fmt.Errorf("the oldest message waits for %v", age.Round(time.Second)))
	}
	err := t.log.append(ctx, payloads)
	t.told(s.cfg.Log, err)
	switch {
	case err == nil:
		t.counts.added.Add(uint64(len(messages)))
		return ids, nil
	case errors.Is(err, ErrFull):
		return nil, t.refuse(RefusedBytes, s.retryAfter(), err)
	case errors.Is(err, ErrClosed):
		return nil, t.refuse(RefusedClosed, 0, err)
	case errors.Is(err, ErrDisk):
		return nil, t.refuse(RefusedDisk, 0, err)
	}
	return nil, err
}

// told logs when the disk begins to fail, and when it works again.
func (t *topic) told(log *slog.Logger, err error) {
	failing := errors.Is(err, ErrDisk)
	if err != nil && !failing {
		return // it says nothing of the disk
	}
	t.mu.Lock()
	before := t.failing
	t.failing = failing
	t.mu.Unlock()
	switch {
	case failing && !before && errors.Is(err, syscall.ENOSPC):
		log.Error("the spool's disk is full: messages are refused", "topic", t.name, "error", err)
	case failing && !before:
		log.Error("the spool's disk fails: messages are refused", "topic", t.name, "error", err)
	case !failing && before:
		log.Info("the spool's disk takes messages again", "topic", t.name)
	}
}

// age is how long the oldest message has waited; 0 where none does.
func (t *topic) age(now time.Time) time.Duration {
	oldest := t.sender.oldest.Load()
	if oldest == 0 {
		return 0
	}
	return max(0, now.Sub(time.Unix(0, oldest)))
}

// retryAfter is when room may be had again: after what a held spool takes to let go
// of a tenth of what it holds, with as much again by chance.
func (s *Spool) retryAfter() time.Duration {
	part := max(time.Second, s.cfg.Pace.Hold/10)
	return part + mathrand.N(part)
}

// Depth is how many messages wait for Kafka to confirm them.
func (s *Spool) Depth() int {
	n := 0
	for _, t := range s.topics {
		n += t.log.stats().depth
	}
	return n
}

// Depths is the same by topic.
func (s *Spool) Depths() map[string]int {
	all := map[string]int{}
	for name, t := range s.topics {
		all[name] = t.log.stats().depth
	}
	return all
}

// Hurry sets whether everything goes at once, whatever clients need: for a cell that
// is to leave.
func (s *Spool) Hurry(on bool) {
	for _, t := range s.topics {
		t.sender.flushing.Store(on)
		signal(t.sender.hurry)
	}
}

// Flush sends what the spool holds. It returns an error, which says how much is
// left and where, when ctx ends before all is sent.
func (s *Spool) Flush(ctx context.Context) error {
	s.Hurry(true)
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for s.Depth() > 0 {
		select {
		case <-ctx.Done():
			return s.left(context.Cause(ctx))
		case <-every.C:
		}
	}
	return nil
}

// left says what the spool still holds.
func (s *Spool) left(why error) error {
	return fmt.Errorf("the spool still holds %d messages, for %v, in %s: they are on disk and not on the queue. "+
		"Bring the queue back and start the cell over this folder: %w", s.Depth(), s.holding(), s.cfg.Dir, why)
}

func (s *Spool) holding() []string {
	var names []string
	for name, n := range s.Depths() {
		if n > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Close takes nothing more, lets requests that are under way end, and keeps the
// rest on disk for the next Open.
func (s *Spool) Close() error {
	s.stop()
	s.ended.Wait()
	return s.closeLogs()
}

func (s *Spool) closeLogs() error {
	var failed []error
	for _, t := range s.topics {
		failed = append(failed, t.log.close())
	}
	return errors.Join(failed...)
}
