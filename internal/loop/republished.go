package loop

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrRepublished says that the leader ended since another bundle is published than
// the one it was made from. Whoever leads next goes by that one.
var ErrRepublished = errors.New("another bundle is published")

// republished ends a leader whose bundle is no longer the one published, once
// nothing of its orders runs: two versions of a policy must not take turns.
func (l *Leader) republished(v view) error {
	now, known := "", v.consulErr == nil
	if v.published != nil {
		now = v.published.Bundle
	}
	if l.busy != "" || !known || now == l.Bundle {
		return nil
	}
	return fmt.Errorf("%w: %s, and this leader goes by %s", ErrRepublished, orNone(now), orNone(l.Bundle))
}

func orNone(digest string) string {
	if digest == "" {
		return "none"
	}
	return digest
}

// republishedAtRest is republished for a leader that doesn't look at the service:
// it may be what is published that it can't get ready with.
func (l *Leader) republishedAtRest(ctx context.Context) error {
	if l.busy != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, max(l.Service.Beat, time.Second))
	defer cancel()
	var v view
	v.published, v.consulErr = l.Fleet.Published(ctx, l.Service.Name)
	return l.republished(v)
}
