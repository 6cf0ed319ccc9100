package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// memory is what a leader hands to the next one through Consul: the law's
// state, the births so far and the changes of the last hour. Losing it costs
// only what was learned.
type memory struct {
	Law     balance.State `json:"law"`
	Book    act.Book      `json:"book"`
	Changes []change      `json:"changes"`
	Slow    slowWatch     `json:"slow"`
	// Unborn says why the last births failed, until one lands.
	Unborn string `json:"unborn,omitempty"`
	// GivenUp are births that waited for a state's lock and were ordered elsewhere.
	GivenUp []string `json:"given_up,omitempty"`

	savedAt time.Time
}

// change is an order that has landed.
type change struct {
	At    time.Time `json:"at"`
	Delta int       `json:"delta"`
	// Renewal says that cells were only renewed, at the same count.
	Renewal bool `json:"renewal,omitempty"`
	// Destroyed counts the cells that the order took away, replaced ones
	// included.
	Destroyed int `json:"destroyed"`
}

const (
	// memoryEvery is how often the memory is written at most, orders apart.
	memoryEvery = time.Minute
	// window is the time over which changes and destroys are counted.
	window = time.Hour
)

// prune forgets changes older than an hour.
func (m *memory) prune(now time.Time) {
	for len(m.Changes) > 0 && now.Sub(m.Changes[0].At) > window {
		m.Changes = m.Changes[1:]
	}
}

// counts returns how many changes landed in the last hour, how many of them
// lowered the count, and how many cells they destroyed. Only to the last does
// it matter that cells were renewed.
func (m *memory) counts(now time.Time) (changes, downs, destroyed int) {
	m.prune(now)
	for _, c := range m.Changes {
		destroyed += c.Destroyed
		if c.Renewal {
			continue
		}
		changes++
		if c.Delta < 0 {
			downs++
		}
	}
	return changes, downs, destroyed
}

// recall reads the memory of the last leader. What can't be read is begun
// anew, and the error says what was lost.
func recall(ctx context.Context, c *fleet.Client, service string) (memory, error) {
	var m memory
	err := c.Law(ctx, service, &m)
	if errors.Is(err, fleet.ErrNotFound) {
		return memory{}, nil
	}
	if err != nil {
		return memory{}, fmt.Errorf("read what the last leader had learned: %w", err)
	}
	return m, nil
}

// saveMemory writes the memory if it is due, or at once if forced.
func (l *Leader) saveMemory(ctx context.Context, force bool) {
	now := l.Now()
	if !force && now.Sub(l.memory.savedAt) < memoryEvery {
		return
	}
	if err := l.lease.PutLaw(ctx, l.memory); err != nil {
		l.Log.Warn("could not hand on what was learned; a next leader would begin with less", "error", err)
		return
	}
	l.memory.savedAt = now
}
