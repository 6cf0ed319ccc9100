package peer

import (
	"errors"
	"sync"
	"time"
)

const (
	// generation is how long nonces are gathered before the oldest are dropped.
	// A request is good for twice the window, if its clock runs ahead.
	generation = 2 * Window
	// memoryLimit is how many requests are taken in a generation, about a
	// thousand a second.
	memoryLimit = 1 << 16
)

var (
	errReplayed = errors.New("the request was taken already: it was sent again")
	errFull     = errors.New("too many requests within a minute to tell new ones from those sent again")
)

// memory knows the nonces of the last one to two generations. It is bounded: a
// full one refuses rather than forgets.
type memory struct {
	limit int

	mu          sync.Mutex
	turned      time.Time
	now, before map[nonce]struct{}
}

// add notes a nonce, or says that it was noted already.
func (m *memory) add(n nonce, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now == nil || at.Sub(m.turned) > generation {
		m.before, m.now, m.turned = m.now, map[nonce]struct{}{}, at
	}
	if _, ok := m.now[n]; ok {
		return errReplayed
	}
	if _, ok := m.before[n]; ok {
		return errReplayed
	}
	if len(m.now) >= m.limit {
		return errFull
	}
	m.now[n] = struct{}{}
	return nil
}
