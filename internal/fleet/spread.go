package fleet

import (
	"context"
	"errors"
	"time"
)

// keySpread is a person's wish to have cells moved between shards, keyMove the move
// that a leader has begun.
const (
	keySpread = "spread"
	keyMove   = "move"
)

// SpreadWish is a person's wish to have the cells of a service moved into as few
// shards as they fit in. It stands until the leader has done it.
type SpreadWish struct {
	By    string    `json:"by,omitempty"`
	Since time.Time `json:"since"` // filled in
}

func (s *SpreadWish) check() error {
	if s.Since.IsZero() {
		return errors.New("it does not say since when")
	}
	return nil
}

// WishSpread asks the leader of a service to move its cells.
func (c *Client) WishSpread(ctx context.Context, service string, w SpreadWish) error {
	w.Since = c.cfg.Now().UTC()
	return c.put(ctx, c.key(service, keySpread), w)
}

// SpreadWished returns the wish of a service, nil when there is none.
func (c *Client) SpreadWished(ctx context.Context, service string) (*SpreadWish, error) {
	w, _, err := get[SpreadWish](ctx, c, c.key(service, keySpread))
	return w, err
}

// EndSpread takes the wish away: the cells are where they should be.
func (l *Lease) EndSpread(ctx context.Context) error { return l.Delete(ctx, keySpread) }

// MoveNote is a move of cells between the states of two shards that was begun. Whoever
// leads next and finds it finishes it before anything else is done in these two: until
// then the cells may be in both states.
type MoveNote struct {
	From  int       `json:"from"`
	To    int       `json:"to"`
	Names []string  `json:"names"`
	Since time.Time `json:"since"`
}

func (m *MoveNote) check() error {
	if m.From == m.To || m.From < 0 || m.To < 0 || len(m.Names) == 0 || m.Since.IsZero() {
		return errors.New("it does not name two shards, cells and since when")
	}
	return nil
}

// PutMove notes that a move is about to begin.
func (l *Lease) PutMove(ctx context.Context, m MoveNote) error {
	if err := m.check(); err != nil {
		return err
	}
	return l.Put(ctx, keyMove, m)
}

// ClearMove removes the note when the move is done and the record says so.
func (l *Lease) ClearMove(ctx context.Context) error { return l.Delete(ctx, keyMove) }

// Move returns the note of a move that was begun, nil when there is none.
func (c *Client) Move(ctx context.Context, service string) (*MoveNote, error) {
	m, _, err := get[MoveNote](ctx, c, c.key(service, keyMove))
	return m, err
}
