package fleet

import (
	"context"
	"errors"
	"time"
)

// Leaving marks a cell that is to go: it drains from then on. Taking it back
// costs nothing while it is only a mark.
type Leaving struct {
	Cell        string `json:"cell"`
	Incarnation string `json:"incarnation"`
	// Since is when it was marked, Until when its drain time is over.
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
	// Epoch is that of the leader who marked it; it is filled in.
	Epoch uint64 `json:"epoch"`
}

func (m *Leaving) check() error {
	if m.Cell == "" || m.Since.IsZero() {
		return errors.New("it does not name a cell and since when")
	}
	return nil
}

// MarkLeaving marks cells to leave: all or none up to 60 of them.
func (l *Lease) MarkLeaving(ctx context.Context, marks ...Leaving) error {
	values := map[string]any{}
	for _, m := range marks {
		if err := errors.Join(checkName("cell", m.Cell), m.check()); err != nil {
			return err
		}
		m.Epoch = l.Epoch()
		values[keyLeaving+"/"+m.Cell] = m
	}
	return l.putAll(ctx, values)
}

// TakeBack removes the marks of cells, whether they are to stay or are gone.
func (l *Lease) TakeBack(ctx context.Context, cells ...string) error {
	var keys []string
	for _, cell := range cells {
		keys = append(keys, keyLeaving+"/"+cell)
	}
	return l.Delete(ctx, keys...)
}

// Leaving returns the marks of a service's cells.
func (c *Client) Leaving(ctx context.Context, service string) ([]Leaving, error) {
	return list[Leaving](ctx, c, c.key(service, keyLeaving))
}
