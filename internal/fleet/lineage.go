package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Birth is what is remembered of a cell as long as its service lives: who it
// came from, what it is made of, and why. The cell's own sidecar writes it.
type Birth struct {
	Cell        string `json:"cell"`
	Incarnation string `json:"incarnation"`
	// Parent is the cell whose leader ordered this one; empty where a person
	// applied. Generation is how many orders lie between it and a person.
	Parent     string `json:"parent,omitempty"`
	Generation int    `json:"generation"`
	// Reason is why it was ordered.
	Reason string    `json:"reason,omitempty"`
	BornAt time.Time `json:"born_at"`
	// Genome and Bundle are the digests it was born of, if any was published.
	Genome string `json:"genome,omitempty"`
	Bundle string `json:"bundle,omitempty"`
}

// BirthsKept is how many births of cells that are no more are remembered. One
// takes some hundred bytes of Consul's memory.
const BirthsKept = 1000

func (b *Birth) check() error {
	if b.Cell == "" || b.BornAt.IsZero() {
		return errors.New("it does not name a cell and when it was born")
	}
	return nil
}

// ID is the id of the registration that the cell has or had.
func (b Birth) ID() string { return Cell{Name: b.Cell, Incarnation: b.Incarnation}.ID() }

// Remember writes a cell's birth down. It may be repeated.
func (c *Client) Remember(ctx context.Context, cell Cell) error {
	b := Birth{
		Cell: cell.Name, Incarnation: cell.Incarnation, Parent: cell.Parent, Generation: cell.Generation, Reason: cell.Reason,
		BornAt: cell.BornAt.UTC(), Genome: cell.Genome, Bundle: cell.Bundle,
	}
	if err := errors.Join(checkName("service", cell.Service), checkName("cell", b.ID()), b.check()); err != nil {
		return fmt.Errorf("remember a birth: %w", err)
	}
	return c.put(ctx, c.key(cell.Service, keyBirths, b.ID()), b)
}

// Births returns the births of a service, the oldest first.
func (c *Client) Births(ctx context.Context, service string) ([]Birth, error) {
	all, err := list[Birth](ctx, c, c.key(service, keyBirths))
	slices.SortFunc(all, func(a, b Birth) int { return cmp.Or(a.BornAt.Compare(b.BornAt), cmp.Compare(a.ID(), b.ID())) })
	return all, err
}

// SweepBirths forgets the oldest births where more than BirthsKept are
// remembered of cells that are no more. It returns how many.
func (l *Lease) SweepBirths(ctx context.Context, living []string) (int, error) {
	all, err := l.c.Births(ctx, l.service)
	if err != nil {
		return 0, err
	}
	var old []string
	for _, b := range all {
		if !slices.Contains(living, b.Cell) {
			old = append(old, keyBirths+"/"+b.ID())
		}
	}
	old = old[:max(0, len(old)-BirthsKept)]
	return len(old), l.Delete(ctx, old...)
}
