package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Lineage is which cell's leader ordered which cell, why, and when.
type Lineage struct {
	Cell        string `json:"cell"`
	Incarnation string `json:"incarnation"`
	// Parent is the cell of the leader that ordered it, empty for a leader alone.
	Parent     string    `json:"parent,omitempty"`
	Generation int       `json:"generation"`
	Reason     string    `json:"reason"`
	Order      string    `json:"order"`
	OrderedAt  time.Time `json:"ordered_at"`
	// Epoch is that of the leader; it is filled in.
	Epoch uint64 `json:"epoch"`
}

func (n *Lineage) check() error {
	if n.Cell == "" || n.OrderedAt.IsZero() {
		return errors.New("it does not name a cell and when it was ordered")
	}
	return nil
}

// PutLineage writes down the lineage of cells: all or none up to 60 of them.
func (l *Lease) PutLineage(ctx context.Context, entries ...Lineage) error {
	values := map[string]any{}
	for _, n := range entries {
		id := Cell{Name: n.Cell, Incarnation: n.Incarnation}.ID()
		if err := errors.Join(checkName("cell", id), n.check()); err != nil {
			return err
		}
		n.Epoch = l.Epoch()
		values[keyLineage+"/"+id] = n
	}
	return l.putAll(ctx, values)
}

// Lineage returns that of one cell, or ErrNotFound: a person may have made it.
func (c *Client) Lineage(ctx context.Context, service, cell, incarnation string) (*Lineage, error) {
	id := Cell{Name: cell, Incarnation: incarnation}.ID()
	n, _, err := get[Lineage](ctx, c, c.key(service, keyLineage, id))
	if err == nil && n == nil {
		err = fmt.Errorf("read the lineage of %s: %w", id, ErrNotFound)
	}
	return n, err
}

// Lineages returns all that is known of a service's cells.
func (c *Client) Lineages(ctx context.Context, service string) ([]Lineage, error) {
	return list[Lineage](ctx, c, c.key(service, keyLineage))
}

// LineageKept is how long the lineage of a cell that is gone is kept.
const LineageKept = 30 * 24 * time.Hour

// SweepLineage removes entries older than LineageKept, those of the living
// (ids as of their registrations) excepted, and returns how many.
func (l *Lease) SweepLineage(ctx context.Context, living []string) (int, error) {
	all, err := l.c.Lineages(ctx, l.service)
	if err != nil {
		return 0, err
	}
	var old []string
	for _, n := range all {
		id := Cell{Name: n.Cell, Incarnation: n.Incarnation}.ID()
		if l.c.cfg.Now().Sub(n.OrderedAt) > LineageKept && !slices.Contains(living, id) {
			old = append(old, keyLineage+"/"+id)
		}
	}
	return len(old), l.Delete(ctx, old...)
}
