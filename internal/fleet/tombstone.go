package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Tombstone says that a cell was removed on purpose, so that its absence is not
// taken for a crash. Whoever removes the cell writes it, without a lock.
type Tombstone struct {
	Cell        string `json:"cell"`
	Incarnation string `json:"incarnation"`
	// At is when; it is filled in. By is who removed it, Reason why.
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

func (t *Tombstone) check() error {
	if t.Cell == "" || t.At.IsZero() {
		return errors.New("it does not name a cell and when")
	}
	return nil
}

// ID is the id of the registration that the cell had.
func (t Tombstone) ID() string { return Cell{Name: t.Cell, Incarnation: t.Incarnation}.ID() }

// Tombstone writes down that a cell was removed on purpose.
func (c *Client) Tombstone(ctx context.Context, service string, t Tombstone) error {
	t.At = c.cfg.Now().UTC()
	if err := errors.Join(checkName("service", service), checkName("cell", t.ID())); err != nil {
		return fmt.Errorf("leave a tombstone: %w", err)
	}
	return c.put(ctx, c.key(service, keyTombstones, t.ID()), t)
}

// TakeUp removes the tombstone of a life that is begun again, and an order to
// leave that it was given before, which it would follow; that there are none is no
// error.
func (c *Client) TakeUp(ctx context.Context, service string, cell Cell) error {
	if err := errors.Join(checkName("service", service), checkName("cell", cell.ID())); err != nil {
		return fmt.Errorf("remove a tombstone: %w", err)
	}
	order, err := c.LeaveOrder(ctx, service, cell.Name)
	if err == nil && order != nil && order.Incarnation == cell.Incarnation {
		err = c.remove(ctx, c.key(service, keyLeave, cell.Name))
	}
	answer, answerErr := c.LeaveAnswer(ctx, service, cell.Name)
	if answerErr == nil && answer != nil && answer.Incarnation == cell.Incarnation {
		answerErr = c.remove(ctx, c.key(service, keyLeft, cell.Name))
	}
	return errors.Join(err, answerErr, c.remove(ctx, c.key(service, keyTombstones, cell.ID())))
}

// Tombstones returns those of a service.
func (c *Client) Tombstones(ctx context.Context, service string) ([]Tombstone, error) {
	return list[Tombstone](ctx, c, c.key(service, keyTombstones))
}

// TombstonesKept is how long a tombstone is of use.
const TombstonesKept = 24 * time.Hour

// SweepTombstones removes those older than TombstonesKept and returns how many.
func (l *Lease) SweepTombstones(ctx context.Context) (int, error) {
	all, err := l.c.Tombstones(ctx, l.service)
	if err != nil {
		return 0, err
	}
	var old []string
	for _, t := range all {
		if l.c.cfg.Now().Sub(t.At) > TombstonesKept {
			old = append(old, keyTombstones+"/"+t.ID())
		}
	}
	return len(old), l.Delete(ctx, old...)
}
