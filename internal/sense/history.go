package sense

import "time"

// history keeps successive values of one thing, as far back as a window needs.
type history[T any] struct{ entries []entry[T] }

// entry is a value and when it was measured.
type entry[T any] struct {
	at    time.Time
	value T
}

// add appends a value and drops what is no longer needed to look back a window.
func (h *history[T]) add(at time.Time, value T, window time.Duration) {
	h.entries = append(h.entries, entry[T]{at, value})
	for len(h.entries) > 2 && at.Sub(h.entries[1].at) >= window {
		h.entries = h.entries[1:]
	}
}

// before returns the newest entry at least a window older than now, or else the
// oldest one there is.
func (h *history[T]) before(now time.Time, window time.Duration) (entry[T], bool) {
	for i := len(h.entries) - 1; i >= 0; i-- {
		if i == 0 || now.Sub(h.entries[i].at) >= window {
			return h.entries[i], true
		}
	}
	return entry[T]{}, false
}

// last returns the newest entry.
func (h *history[T]) last() (entry[T], bool) {
	if len(h.entries) == 0 {
		return entry[T]{}, false
	}
	return h.entries[len(h.entries)-1], true
}

// forget drops all entries.
func (h *history[T]) forget() { h.entries = nil }
