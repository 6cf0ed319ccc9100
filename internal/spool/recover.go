package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
)

// Recovery is what was found when a log was opened.
type Recovery struct {
	// Messages is how many wait to be sent.
	Messages int
	// Cut is how many bytes were cut off that nobody had an answer for: what was
	// being written when the process or the machine ended.
	Cut int64
	// Damages are places where messages were that had been acknowledged.
	Damages []Damage
}

// Damage is a place in a log at which messages can't be read any more.
type Damage struct {
	// Path is where the damaged file is kept for a person to look at; empty where
	// enough of them are. The log goes on behind the place.
	Path string
	// From and To are the place in the file, in bytes.
	From, To int64
	// Lost is how many messages were there.
	Lost uint64
}

func (d Damage) String() string {
	return fmt.Sprintf("%s, bytes %d to %d: %d messages can't be read", cmp.Or(d.Path, "a file that isn't kept"), d.From, d.To, d.Lost)
}

// found is a frame in a segment.
type found struct {
	sequence, start uint64 // start is the sequence at which its commit began
	from, to        int64
}

// scan finds the frames of a segment, over what is between them that is none.
func scan(b []byte, s *segment) []found {
	var all []found
	at, next := 0, s.first
	for at < len(b) {
		f, size, err := parseFrame(b[at:], s.salt)
		if err == nil && f.sequence >= next && uint64(f.place) <= f.sequence {
			all = append(all, found{f.sequence, f.sequence - uint64(f.place), int64(at), int64(at + size)})
			at, next = at+size, f.sequence+1
			continue
		}
		skip, ok := findFrame(b[at+1:], s.salt)
		if !ok {
			break
		}
		at += 1 + skip
	}
	return all
}

// judge tells what of a segment counts: the frames up to the first place where one
// is missing that nothing proves to have been on disk. A missing one before that is
// damage. Limit is the first sequence that isn't this segment's; 0 where nobody
// knows. What Kafka has confirmed, all before position, isn't missed.
func judge(s *segment, frames []found, size int64, limit, position uint64) []Damage {
	var proven uint64 // all before it were on disk
	for _, f := range frames {
		proven = max(proven, f.start)
	}
	proven = max(proven, limit)
	var damages []Damage
	s.next, s.end = s.first, 0
	missing := func(from, until uint64, to int64) {
		from = max(from, position)
		if until = min(until, proven); from < until {
			damages = append(damages, Damage{From: s.end, To: to, Lost: until - from})
		}
	}
	for _, f := range frames {
		if limit > 0 && f.sequence >= limit {
			break
		}
		if f.sequence > s.next || f.from > s.end {
			if s.next >= proven {
				return damages
			}
			missing(s.next, f.sequence, f.from)
		}
		s.next, s.end = f.sequence+1, f.to
	}
	if s.next < proven {
		missing(s.next, proven, size)
		s.next = proven
	}
	return damages
}

// restore reads what is in a log's folder, mends it and returns its segments, of
// which none is written any more: frames that were never acknowledged are cut off,
// damaged files are kept aside, up to so many bytes.
func restore(d disk, dir string, position uint64, aside int64) ([]*segment, map[*segment]int, Recovery, error) {
	var report Recovery
	listed, err := listSegments(dir)
	if err != nil {
		return nil, nil, report, fmt.Errorf("list the spool's files: %w", err)
	}
	if len(listed) > 0 && position > 0 && listed[0].first > position {
		report.Damages = append(report.Damages, Damage{Path: dir, Lost: listed[0].first - position})
	}
	var kept []*segment
	waiting := map[*segment]int{}
	for i, s := range listed {
		var limit uint64
		if i+1 < len(listed) {
			limit = listed[i+1].first
		}
		b, err := whole(d, s.path)
		if err != nil {
			return nil, nil, report, fmt.Errorf("read the spool: %w", err)
		}
		frames := scan(b, s)
		damages := judge(s, frames, int64(len(b)), limit, position)
		for _, f := range frames {
			if f.sequence >= position && f.sequence < s.next {
				waiting[s]++
			}
		}
		report.Messages += waiting[s]
		if err := settle(d, s, int64(len(b)), damages, aside, &report); err != nil {
			return nil, nil, report, err
		}
		if s.next > s.first {
			kept = append(kept, s)
		}
	}
	return kept, waiting, report, nil
}

// whole reads a file.
func whole(d disk, path string) ([]byte, error) {
	f, err := d.open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, math.MaxInt64))
	return b, errors.Join(err, f.Close())
}

// settle makes the file what its segment says. What is kept is brought onto disk
// first: after a crash of the process alone it may still be in memory only, and
// what is sent must not be lost afterwards.
func settle(d disk, s *segment, size int64, damages []Damage, aside int64, report *Recovery) error {
	if len(damages) > 0 {
		s.damaged = true
		path, err := keepAside(d, s, aside)
		if err != nil {
			return fmt.Errorf("keep the damaged file of the spool aside: %w", err)
		}
		for i := range damages {
			damages[i].Path = path
		}
		report.Damages = append(report.Damages, damages...)
		return nil
	}
	report.Cut += size - s.end
	if s.end == 0 {
		if err := d.remove(s.path); err != nil {
			return fmt.Errorf("remove a file of the spool without a message: %w", err)
		}
		return nil
	}
	f, err := d.reopen(s.path)
	if err != nil {
		return fmt.Errorf("open the spool: %w", err)
	}
	if size > s.end {
		err = f.Truncate(s.end)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("bring the spool onto disk: %w", err)
	}
	return nil
}
