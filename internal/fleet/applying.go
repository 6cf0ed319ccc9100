package fleet

import (
	"context"
	"errors"
	"time"
)

// Applying is the note a leader leaves before it begins an apply. A state lock
// left behind is broken only when it matches such a note and the noted process
// is proven gone.
type Applying struct {
	// Machine is the machine id and Boot the boot id; PID and Started (clock
	// ticks after boot) are of the process that runs Terraform.
	Machine string `json:"machine"`
	Boot    string `json:"boot"`
	PID     int    `json:"pid"`
	Started uint64 `json:"started"`
	Host    string `json:"host,omitempty"`
	// Order is the id of the order, Since when the apply began.
	Order string    `json:"order"`
	Since time.Time `json:"since"`
	// Epoch is that of the leader; it is filled in.
	Epoch uint64 `json:"epoch"`
}

func (a *Applying) check() error {
	if a.Machine == "" || a.Boot == "" || a.PID <= 0 || a.Since.IsZero() {
		return errors.New("it does not name machine, boot, process and since when")
	}
	return nil
}

// PutApplying notes that an apply is about to begin.
func (l *Lease) PutApplying(ctx context.Context, a Applying) error {
	a.Epoch = l.Epoch()
	if err := a.check(); err != nil {
		return err
	}
	return l.Put(ctx, keyApplying, a)
}

// ClearApplying removes the note when the apply has ended.
func (l *Lease) ClearApplying(ctx context.Context) error { return l.Delete(ctx, keyApplying) }

// Applying returns the note of an apply begun and not known to have ended; nil
// when there is none.
func (c *Client) Applying(ctx context.Context, service string) (*Applying, error) {
	a, _, err := get[Applying](ctx, c, c.key(service, keyApplying))
	return a, err
}
