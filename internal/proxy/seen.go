package proxy

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	// RequestHeader is how a caller names a request, so that the same one again after
	// a refusal isn't counted as new load. Any text of up to longestID bytes does that
	// is another for each request, such as a UUID.
	RequestHeader = "Homeostat-Request"
	longestID     = 128
	// remembered is how many refused requests are remembered at once. One that is
	// pushed out by another counts twice.
	remembered = 1 << 13
)

// seen remembers refused requests by their names' hashes. Its seed is random, so
// nobody can push out those of others on purpose.
type seen struct {
	memory time.Duration
	seed   maphash.Seed

	mu    sync.Mutex
	slots []slot // made when the first name comes
}

type slot struct {
	hash  uint64
	until time.Time
}

func newSeen(memory time.Duration) *seen { return &seen{memory: memory, seed: maphash.MakeSeed()} }

// add remembers a request that was refused.
func (s *seen) add(id string, at time.Time) {
	if id == "" || len(id) > longestID || s.memory == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots == nil {
		s.slots = make([]slot, remembered)
	}
	hash := maphash.String(s.seed, id)
	s.slots[hash%remembered] = slot{hash, at.Add(s.memory)}
}

// take says whether a request is one that was refused, and forgets it: it is refused
// again, or done.
func (s *seen) take(id string, at time.Time) bool {
	if id == "" || len(id) > longestID {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots == nil {
		return false
	}
	hash := maphash.String(s.seed, id)
	slot := &s.slots[hash%remembered]
	if slot.hash != hash || !at.Before(slot.until) {
		return false
	}
	slot.until = time.Time{}
	return true
}
