package fleet

import (
	"context"
	"encoding/json"
	"fmt"
)

// PutLaw keeps the control law's state, so that it survives a change of leader.
func (l *Lease) PutLaw(ctx context.Context, state any) error { return l.Put(ctx, keyLaw, state) }

// Law reads the control law's state into what state points to, or returns
// ErrNotFound.
func (c *Client) Law(ctx context.Context, service string, state any) error {
	return c.recall(ctx, service, keyLaw, state)
}

// PutDecision keeps the last decision with all its terms, for people to read.
func (l *Lease) PutDecision(ctx context.Context, decision any) error {
	return l.Put(ctx, keyDecision, decision)
}

// Decision reads the last decision into what decision points to, or returns
// ErrNotFound.
func (c *Client) Decision(ctx context.Context, service string, decision any) error {
	return c.recall(ctx, service, keyDecision, decision)
}

// recall reads a value whose type is the caller's.
func (c *Client) recall(ctx context.Context, service, name string, into any) error {
	key := c.key(service, name)
	raw, _, err := get[json.RawMessage](ctx, c, key)
	if err != nil {
		return err
	}
	if raw == nil {
		return fmt.Errorf("read %s: %w", key, ErrNotFound)
	}
	return decode(key, *raw, into)
}
