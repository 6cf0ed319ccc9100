package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool/unsent"
)

var (
	// ErrFull says that the bound in bytes is reached.
	ErrFull = errors.New("the spool is full")
	// ErrClosed says that the spool takes nothing any more.
	ErrClosed = errors.New("the spool is closed")
	// ErrDisk says that messages couldn't be brought onto disk.
	ErrDisk = errors.New("the spool's disk failed")
	// ErrInUse says that another process has the folder.
	ErrInUse = errors.New("another process uses this spool")
)

// logConfig says where a log is and how large it may get, in bytes.
type logConfig struct {
	dir          string
	segmentBytes int64
	maxBytes     int64
	disk         disk
	// synced is told how long each write with its fsync took, and with what result.
	synced func(time.Duration, error)
}

// messageLog is the log of one topic. Its methods may be called from several
// goroutines.
type messageLog struct {
	logConfig
	lock   *os.File
	sent   *positionFile // guarded by noting
	noted  uint64        // the position that is on disk; guarded by noting
	noting sync.Mutex
	wake   chan struct{} // tells the committer that something waits
	grown  chan struct{} // tells the reader that something was committed
	done   chan struct{} // closed when the committer has ended
	active *tail         // what is written; changed by the committer alone, under mu
	buffer []byte        // the committer's own

	mu       sync.Mutex
	segments []*segment
	// next is the sequence that is given next, position the first one that isn't
	// confirmed.
	next, position uint64
	generation     uint64
	depth          int    // messages that Kafka hasn't confirmed
	bytes          int64  // of all segments
	waiting        *batch // goes into the next commit
	writing        int64  // bytes of the commit that is being written
	gathering      int    // how many writers the committer waits for before it goes on
	closed         bool
}

// batch is what several writers wait for together.
type batch struct {
	payloads [][]byte
	bytes    int64
	writers  int
	done     chan struct{} // closed once err is known
	err      error
}

// newBatch has room for so many payloads before it grows.
func newBatch(payloads int) *batch {
	return &batch{payloads: make([][]byte, 0, payloads), done: make(chan struct{})}
}

// openLog opens the log in a folder, which it makes where it isn't there.
func openLog(cfg logConfig) (*messageLog, Recovery, error) {
	switch err := os.MkdirAll(cfg.dir, 0o700); {
	case errors.Is(err, fs.ErrNotExist): // the one above it is just being removed
		return nil, Recovery{}, fmt.Errorf("%w: make the spool's folder: %w", ErrInUse, err)
	case err != nil:
		return nil, Recovery{}, fmt.Errorf("make the spool's folder: %w", err)
	}
	lock, err := lockFile(filepath.Join(cfg.dir, unsent.Lock))
	if err != nil {
		return nil, Recovery{}, err
	}
	l := &messageLog{
		logConfig: cfg, lock: lock,
		waiting: newBatch(0), wake: make(chan struct{}, 1), grown: make(chan struct{}, 1), done: make(chan struct{}),
	}
	report, err := l.restore()
	if err != nil {
		if l.sent != nil {
			err = errors.Join(err, l.sent.file.Close())
		}
		return nil, report, errors.Join(err, lock.Close())
	}
	go l.commitAll()
	return l, report, nil
}

func (l *messageLog) restore() (Recovery, error) {
	sent, position, err := openPosition(l.disk, l.dir)
	if err != nil {
		return Recovery{}, err
	}
	l.sent = sent
	segments, waiting, report, err := restore(l.disk, l.dir, position, l.maxBytes/asideShare)
	if err != nil {
		return report, err
	}
	l.position, l.noted, l.next = position, position, position
	for _, s := range segments {
		l.generation = max(l.generation, s.generation)
		l.next = max(l.next, s.next)
		if waiting[s] == 0 {
			if err := l.disk.remove(s.path); err != nil {
				return report, fmt.Errorf("remove what was sent: %w", err)
			}
			continue
		}
		l.segments = append(l.segments, s)
		l.bytes += s.end
		l.depth += waiting[s]
	}
	if len(l.segments) == 0 {
		l.position = l.next
	}
	return report, nil
}

// lockFile keeps other processes out. The kernel frees it with the process. A folder
// that is just being removed is in use, too.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	case err != nil:
		return nil, fmt.Errorf("lock the spool: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: %w", ErrInUse, path, err), f.Close())
	}
	if !isAt(f, path) {
		return nil, errors.Join(fmt.Errorf("%w: %s was removed meanwhile", ErrInUse, path), f.Close())
	}
	return f, nil
}

// isAt says whether an open file is still the one with that name.
func isAt(f *os.File, path string) bool {
	open, err := f.Stat()
	named, err2 := os.Stat(path)
	return err == nil && err2 == nil && os.SameFile(open, named)
}

// append returns nil once the payloads are on disk, in their order and with nothing
// between them. After another error than ErrFull and ErrClosed they may be or not.
func (l *messageLog) append(ctx context.Context, payloads [][]byte) error {
	var bytes int64
	for _, p := range payloads {
		bytes += int64(frameHead + len(p))
	}
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return ErrClosed
	case l.size()+bytes > l.maxBytes:
		l.mu.Unlock()
		return ErrFull
	}
	b := l.waiting
	b.payloads = append(b.payloads, payloads...)
	b.bytes += bytes
	b.writers++
	// To wake the committer for each of many writers would cost more than their commit.
	enough := b.writers >= l.gathering
	l.mu.Unlock()
	if enough {
		signal(l.wake)
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("wait until messages are on disk, which they may be or not: %w", context.Cause(ctx))
	}
}

// size is what is on disk and what is on its way there. It is for who holds mu.
func (l *messageLog) size() int64 { return l.bytes + l.writing + l.waiting.bytes }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it knows already
	}
}

// stats is what a log holds at one instant.
type stats struct {
	depth int
	bytes int64
}

func (l *messageLog) stats() stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return stats{l.depth, l.size()}
}

// confirmed counts messages that Kafka has.
func (l *messageLog) confirmed(messages int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.depth -= messages
}

// release says that Kafka has all messages before a sequence, and removes the
// segments that hold only such.
func (l *messageLog) release(position uint64) error {
	l.mu.Lock()
	l.position = max(l.position, position)
	if l.position == l.next {
		l.depth = 0 // also of messages that were found damaged meanwhile
	}
	removable := len(l.removable()) > 0
	l.mu.Unlock()
	if !removable {
		return nil
	}
	// Else a cut between the two would find sequences given out anew.
	if err := l.note(); err != nil {
		return err
	}
	l.mu.Lock()
	gone := l.removable()
	l.segments = l.segments[len(gone):]
	for _, s := range gone {
		l.bytes -= s.end
	}
	l.mu.Unlock()
	var failed []error
	for _, s := range gone {
		failed = append(failed, l.disk.remove(s.path))
	}
	return errors.Join(failed...)
}

// removable are the segments of which all is confirmed. It is for who holds mu.
func (l *messageLog) removable() []*segment {
	n := 0
	for n < len(l.segments) && l.segments[n].next <= l.position && !l.writes(l.segments[n]) {
		n++
	}
	return l.segments[:n]
}

// note brings onto disk how far all is confirmed. Without it messages are sent
// twice after a crash, none is lost.
func (l *messageLog) note() error {
	l.noting.Lock()
	defer l.noting.Unlock()
	l.mu.Lock()
	position := l.position
	l.mu.Unlock()
	if position == l.noted {
		return nil
	}
	if err := l.sent.write(position); err != nil {
		return err
	}
	l.noted = position
	return nil
}

// close lets what is being written come to its end, and gives the folder free.
func (l *messageLog) close() error {
	l.mu.Lock()
	already := l.closed
	l.closed, l.gathering = true, 0
	l.mu.Unlock()
	if already {
		return nil
	}
	signal(l.wake)
	<-l.done
	return errors.Join(l.release(0), l.note(), l.sent.file.Close(), l.lock.Close())
}
