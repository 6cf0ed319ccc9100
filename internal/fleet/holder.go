package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Holder is who stands for, or holds, the lock of a service.
type Holder struct {
	// Service is the service the holder's own cell belongs to, which need not be
	// the one it leads. Cell and Incarnation are empty for a leader alone.
	Service     string `json:"service,omitempty"`
	Cell        string `json:"cell,omitempty"`
	Incarnation string `json:"incarnation,omitempty"`
	Host        string `json:"host"`
	PID         int    `json:"pid"`
	// Vitals is the base URL of the holder's own HTTP server, if it has one.
	Vitals string `json:"vitals,omitempty"`
	// Since and Epoch are filled in when the lock is taken.
	Since time.Time `json:"since"`
	Epoch uint64    `json:"epoch"`
}

// lockFormat is the format of the lock's value.
const lockFormat = 1

// lockValue is what the lock's key holds. It stays when the lock is given up,
// so that the epoch goes on rising.
type lockValue struct {
	Format int    `json:"format"`
	Holder Holder `json:"holder"`
}

func (v *lockValue) check() error {
	switch {
	case v.Format == 0 || v.Holder.Epoch == 0:
		return errors.New("it has no format or no epoch")
	case v.Format > lockFormat:
		return fmt.Errorf("format %d: %w", v.Format, ErrNewerFormat)
	}
	return nil
}

// Leader returns who holds the lock of a service, or ErrNoLeader.
func (c *Client) Leader(ctx context.Context, service string) (*Holder, error) {
	lock, err := c.lock(ctx, service)
	if err != nil {
		return nil, fmt.Errorf("read who leads %s: %w", service, err)
	}
	if lock.session == "" {
		return nil, fmt.Errorf("read who leads %s: %w", service, ErrNoLeader)
	}
	return &lock.value.Holder, nil
}
