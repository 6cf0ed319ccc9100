package spool

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool/unsent"
)

// tail is the segment that is being written.
type tail struct {
	*segment
	file file
}

// keptBuffer is how large a buffer is kept from one commit to the next, in bytes.
const keptBuffer = 4 << 20

// commitAll writes what waits, again and again: all that has gathered during one
// write and its fsync goes into the next.
func (l *messageLog) commitAll() {
	defer close(l.done)
	for range l.wake {
		for {
			writers, took := l.commit()
			if writers == 0 {
				break
			}
			l.gather(writers, took/gatherShare)
		}
		l.mu.Lock()
		end := l.closed && l.waiting.writers == 0
		l.mu.Unlock()
		if end {
			l.seal()
			return
		}
	}
}

// gatherShare is the part of a commit's time, as a divisor, for which the next one
// waits for the writers of the last.
const gatherShare = 8

// gather waits until as many writers wait as the last commit served, but not for
// long: they come back with their next messages a moment after they were answered,
// and a commit that starts with the first of them would have all others wait for
// two.
func (l *messageLog) gather(writers int, limit time.Duration) {
	if writers == 1 {
		return
	}
	runtime.Gosched() // those just answered run first, and mostly come back at once
	if !l.awaits(writers) {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for l.awaits(writers) {
		select {
		case <-l.wake: // maybe from before
		case <-timer.C:
			l.awaits(0)
			return
		}
	}
}

// awaits has writers wake the committer only once so many of them wait, and returns
// whether fewer do.
func (l *messageLog) awaits(writers int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.waiting.writers >= writers {
		l.gathering = 0
		return false
	}
	l.gathering = writers
	return true
}

// commit writes and syncs all that waits now, and answers each writer. It returns
// how many there were and how long that took.
func (l *messageLog) commit() (writers int, took time.Duration) {
	b, first := l.take()
	if b == nil {
		return 0, 0
	}
	began := time.Now()
	size, err := l.write(b.payloads, first)
	took = time.Since(began)
	if l.synced != nil {
		l.synced(took, err)
	}
	l.mu.Lock()
	l.writing = 0
	if err == nil {
		l.next += uint64(len(b.payloads))
		l.depth += len(b.payloads)
		l.bytes += size
		l.active.next, l.active.end = l.next, l.active.end+size
	}
	l.mu.Unlock()
	b.err = err
	close(b.done)
	if err == nil {
		signal(l.grown)
		l.roll()
	}
	return b.writers, took
}

// take returns what waits, nil if nothing does, and the sequence it begins with.
func (l *messageLog) take() (b *batch, first uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting.writers == 0 {
		return nil, 0
	}
	b = l.waiting
	l.waiting, l.writing = newBatch(len(b.payloads)), b.bytes
	return b, l.next
}

// write brings payloads onto disk, and returns their size there.
func (l *messageLog) write(payloads [][]byte, first uint64) (int64, error) {
	if err := l.begin(first); err != nil {
		return 0, fmt.Errorf("%w: begin a file: %w", ErrDisk, err)
	}
	b := l.buffer[:0]
	for i, p := range payloads {
		b = appendFrame(b, l.active.salt, frame{sequence: first + uint64(i), place: uint32(i), payload: p})
	}
	if l.buffer = b; cap(b) > keptBuffer {
		l.buffer = nil
	}
	n, err := l.active.file.Write(b)
	if err != nil {
		l.giveUp()
		return 0, fmt.Errorf("%w: write: %w", ErrDisk, err)
	}
	if err := l.active.file.Sync(); err != nil {
		l.giveUp()
		return 0, fmt.Errorf("%w: bring what was written onto disk: %w", ErrDisk, err)
	}
	return int64(n), nil
}

// begin opens a segment where none is being written.
func (l *messageLog) begin(first uint64) error {
	if l.active != nil {
		return nil
	}
	var salt [8]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return err
	}
	l.generation++
	s := &segment{first: first, next: first, generation: l.generation, salt: binary.LittleEndian.Uint64(salt[:])}
	s.path = filepath.Join(l.dir, unsent.Name(s.first, s.generation, s.salt))
	f, err := l.disk.create(s.path)
	if err != nil {
		return err
	}
	if err := l.disk.syncFolder(l.dir); err != nil {
		return errors.Join(err, f.Close(), l.disk.remove(s.path))
	}
	l.mu.Lock()
	l.active = &tail{segment: s, file: f}
	l.segments = append(l.segments, s)
	l.mu.Unlock()
	return nil
}

// giveUp never writes to the active segment again: after a failed fsync nobody
// knows what is on disk of what was written since the last good one, and on a full
// disk the file can be removed once it is sent. What was synced before stays and is
// sent; the rest is cut off, at the latest when the log is opened again, since the
// next segment begins with its sequences.
func (l *messageLog) giveUp() {
	a := l.active
	_ = a.file.Truncate(a.end) // a help only
	l.seal()
	if a.end > 0 {
		return
	}
	l.mu.Lock()
	for i, s := range l.segments {
		if s == a.segment {
			l.segments = append(l.segments[:i:i], l.segments[i+1:]...)
		}
	}
	l.mu.Unlock()
	_ = l.disk.remove(a.path) // it holds nothing, and is removed when the log is opened
}

// roll ends a segment that is large enough.
func (l *messageLog) roll() {
	if l.active != nil && l.active.end >= l.segmentBytes {
		l.seal()
	}
}

// seal ends the active segment.
func (l *messageLog) seal() {
	l.mu.Lock()
	a := l.active
	l.active = nil
	l.mu.Unlock()
	if a != nil {
		_ = a.file.Close() // all that counts is synced
	}
}

// writes reports whether a segment is the active one. It is for who holds mu.
func (l *messageLog) writes(s *segment) bool { return l.active != nil && l.active.segment == s }
