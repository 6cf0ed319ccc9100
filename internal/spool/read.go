package spool

import (
	"errors"
	"fmt"
	"io"
)

// entry is one message's frame, as it is read from the log.
type entry struct {
	sequence uint64
	payload  []byte
}

// reader reads a log once, from its position on. It is not safe for concurrent use.
type reader struct {
	log *messageLog
	// next is the sequence that is read next; what has no frame any more is passed.
	next uint64
	file readable
	of   *segment
	at   int64
	// damaged is told of what can't be read though it was once on disk.
	damaged func(Damage)
}

const readChunk = 256 << 10

func (l *messageLog) reader(damaged func(Damage)) *reader {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &reader{log: l, next: l.position, damaged: damaged}
}

// read returns the next messages that are on disk, some at a time; none where all
// have been read.
func (r *reader) read() ([]entry, error) {
	for {
		s, end, next := r.segment()
		if s == nil {
			return nil, nil
		}
		if err := r.open(s); err != nil {
			return nil, err
		}
		entries, err := r.some(end, next)
		if err != nil || len(entries) > 0 {
			return entries, err
		}
	}
}

// segment is the one that holds the next sequence, or one behind it, with its
// bytes and its next sequence as they are now.
func (r *reader) segment() (s *segment, end int64, next uint64) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	for _, s := range r.log.segments {
		if s.next > r.next {
			return s, s.end, s.next
		}
	}
	return nil, 0, 0
}

func (r *reader) open(s *segment) error {
	if r.of == s {
		return nil
	}
	r.close()
	f, err := r.log.disk.open(s.path)
	if err != nil {
		return fmt.Errorf("read the spool: %w", err)
	}
	r.file, r.of, r.at = f, s, 0
	return nil
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close() // nothing was written by it
	}
	r.file, r.of = nil, nil
}

// some reads entries up to a segment's end, a chunk at a time.
func (r *reader) some(end int64, next uint64) ([]entry, error) {
	want := int64(readChunk)
	for r.at < end {
		b := make([]byte, min(want, end-r.at))
		if _, err := r.file.ReadAt(b, r.at); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the spool: %w", err)
		}
		entries, used, err := r.parse(b)
		r.at += int64(used)
		switch {
		case len(entries) > 0:
			return entries, nil
		case errors.Is(err, errShort) && int64(len(b)) < end-r.at:
			want = 2 * want
		case err != nil:
			if err := r.skip(end, next); err != nil {
				return nil, err
			}
		}
	}
	// What is missing at the end is told of where it was found.
	r.next = next
	return nil, nil
}

// parse takes the frames at the beginning of b, and says how many bytes they are.
func (r *reader) parse(b []byte) (entries []entry, used int, err error) {
	for used < len(b) {
		f, size, err := parseFrame(b[used:], r.of.salt)
		if err != nil {
			return entries, used, err
		}
		used += size
		if f.sequence >= r.next {
			entries = append(entries, entry{f.sequence, f.payload})
			r.next = f.sequence + 1
		}
	}
	return entries, used, nil
}

// skip goes on behind what is no frame, and tells of messages that were there.
func (r *reader) skip(end int64, next uint64) error {
	b := make([]byte, end-r.at)
	if _, err := r.file.ReadAt(b, r.at); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the spool: %w", err)
	}
	from, to := r.at, end
	if i, ok := findFrame(b[1:], r.of.salt); ok {
		to = r.at + 1 + int64(i)
		if f, _, err := parseFrame(b[1+i:], r.of.salt); err == nil {
			next = f.sequence
		}
	}
	r.at = to
	if next <= r.next {
		return nil // all that was there has been sent
	}
	if r.of.damaged {
		return nil // it was told of
	}
	r.of.damaged = true
	path, err := r.keepAside()
	r.damaged(Damage{Path: path, From: from, To: to, Lost: next - r.next})
	if err != nil {
		return fmt.Errorf("keep the damaged file of the spool aside: %w", err)
	}
	return nil
}

// keepAside keeps the file that is read for a person to look at.
func (r *reader) keepAside() (string, error) {
	return keepAside(r.log.disk, r.of, r.log.maxBytes/asideShare)
}
