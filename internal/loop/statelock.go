package loop

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// clockSlack is how far the clocks of Consul's writer and of Terraform may
// disagree: both are of one machine.
const clockSlack = 2 * time.Second

// noteApply writes down which process is about to run an apply. It is what
// allows the next leader to tell a lock that a dead process left from one that
// a person holds.
func (l *Leader) noteApply(ctx context.Context, order string) error {
	self := l.Self
	return l.lease.PutApplying(ctx, fleet.Applying{
		Machine: self.Machine, Boot: self.Boot, Host: self.Host,
		PID: self.PID, Started: self.Started,
		Order: order, Since: l.Now().UTC(),
	})
}

// planUnlocked plans. When the state is locked, the lock is broken only if it
// matches an apply that a leader noted before it began and whose process is
// proven gone; a person's lock is reported, never broken.
func (l *Leader) planUnlocked(ctx context.Context, d act.Desired, o guard.Order, s guard.Shape) (*act.Plan, error) {
	plan, err := l.Root.Plan(ctx, d, o, s)
	var locked *act.LockedError
	if !errors.As(err, &locked) {
		return plan, err
	}
	note, noteErr := l.Fleet.Applying(ctx, l.Service.Name)
	if noteErr != nil {
		return nil, fmt.Errorf("%w; whose lock it is can't be told: %w", err, noteErr)
	}
	if why := l.keepLock(note, locked); why != "" {
		return nil, fmt.Errorf("%w; it is left alone: %s", err, why)
	}
	l.Log.Warn("breaking the state lock that a dead apply left", "id", locked.ID, "by", locked.Who, "order", note.Order)
	if err := l.Root.ForceUnlock(ctx, locked.ID); err != nil {
		return nil, fmt.Errorf("break the lock that the apply of order %s left: %w", note.Order, err)
	}
	return l.Root.Plan(ctx, d, o, s)
}

// keepLock returns why a state lock must not be broken, or nothing.
func (l *Leader) keepLock(note *fleet.Applying, locked *act.LockedError) string {
	_, host, _ := strings.Cut(locked.Who, "@")
	switch {
	case note == nil:
		return "no apply of a leader was noted, so a person or a pipeline holds it"
	case host != note.Host:
		return fmt.Sprintf("it was taken on %s, and the noted apply ran on %s", host, note.Host)
	case locked.Created.Before(note.Since.Add(-clockSlack)):
		return "it is older than the apply that was noted"
	case locked.Created.After(note.Since.Add(l.Service.Terraform.Timeout)):
		return "it is younger than the noted apply can have been"
	case note.Machine != l.Self.Machine:
		return fmt.Sprintf("the noted apply ran on another machine (%s), which can't be looked at from here", note.Host)
	case note.Boot == l.Self.Boot && l.Sources.Alive(note.PID, note.Started):
		return fmt.Sprintf("the noted apply still runs (process %d)", note.PID)
	default:
		return ""
	}
}
