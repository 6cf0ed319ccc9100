package fleet

import (
	"context"
	"errors"
	"time"
)

// Slow marks a cell that stays slower than its siblings at the same load. Its own
// sidecar then calls it `warning`, so that it is spared new clients.
type Slow struct {
	Cell        string    `json:"cell"`
	Incarnation string    `json:"incarnation"`
	Since       time.Time `json:"since"`
	Reason      string    `json:"reason"`
	// Epoch is that of the leader who marked it; it is filled in.
	Epoch uint64 `json:"epoch"`
}

func (m *Slow) check() error {
	if m.Cell == "" || m.Since.IsZero() {
		return errors.New("it does not name a cell and since when")
	}
	return nil
}

// MarkSlow marks a cell as slow.
func (l *Lease) MarkSlow(ctx context.Context, m Slow) error {
	m.Epoch = l.Epoch()
	if err := errors.Join(checkName("cell", m.Cell), m.check()); err != nil {
		return err
	}
	return l.Put(ctx, keySlow+"/"+m.Cell, m)
}

// UnmarkSlow removes the marks of cells; absent ones are no error.
func (l *Lease) UnmarkSlow(ctx context.Context, cells ...string) error {
	var keys []string
	for _, cell := range cells {
		keys = append(keys, keySlow+"/"+cell)
	}
	return l.Delete(ctx, keys...)
}

// Slow returns the marks of a service's cells, by cell.
func (c *Client) Slow(ctx context.Context, service string) (map[string]Slow, error) {
	all, err := list[Slow](ctx, c, c.key(service, keySlow))
	if err != nil {
		return nil, err
	}
	marks := make(map[string]Slow, len(all))
	for _, m := range all {
		marks[m.Cell] = m
	}
	return marks, nil
}

// WatchSlow calls fn with the mark of one cell, nil while it has none, as
// WatchRecord does.
func (c *Client) WatchSlow(ctx context.Context, service, cell string, fn func(*Slow)) error {
	return watchKey(ctx, c, c.key(service, keySlow, cell), fn)
}
