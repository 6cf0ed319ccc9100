package fleet

import (
	"context"
	"errors"
	"strconv"
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
	Order string `json:"order"`
	// Shard is whose state it changes; 0 for that of a service that isn't spread.
	Shard int       `json:"shard,omitempty"`
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
	return l.Put(ctx, applyingKey(a.Shard), a)
}

// applyingKey is where the note of a shard lies.
func applyingKey(shard int) string {
	if shard == 0 {
		return keyApplying
	}
	return keyApplying + "-" + strconv.Itoa(shard)
}

// ClearApplying removes the note of a shard when its apply has ended.
func (l *Lease) ClearApplying(ctx context.Context, shard int) error {
	return l.Delete(ctx, applyingKey(shard))
}

// Applying returns the note of an apply in a shard that was begun and isn't known
// to have ended; nil when there is none.
func (c *Client) Applying(ctx context.Context, service string, shard int) (*Applying, error) {
	a, _, err := get[Applying](ctx, c, c.key(service, applyingKey(shard)))
	return a, err
}
