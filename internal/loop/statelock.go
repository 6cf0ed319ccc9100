package loop

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// clockSlack is how far the clocks of Consul's writer and of Terraform may
// disagree: both are of one machine.
const clockSlack = 2 * time.Second

// stateLock is one use of the lock of Terraform's state, from the first plan to
// the end of the apply. Every use is noted in Consul before it begins: the note
// is what allows the next leader to tell a lock that a dead process left from
// one that a person holds.
//
//	(no note) --note--> noted --ended in order--> (no note)
//	                      |
//	                      +--killed--> left --plan gets the lock, or it is broken--> noted
type stateLock struct {
	leader *Leader
	root   *act.Root
	shard  int // whose state it is; 0 for a service that isn't spread
	order  string
	left   *fleet.Applying // the note of a use that was cut short; nil if none was
	noted  bool            // the note in Consul is this use's own
}

// withStateLock runs what takes the state's lock. Where a dead apply has left
// the lock, it is broken and the run made once more; run may so be called
// twice. Without a lease nothing is written, so nothing is noted either.
func (l *Leader) withStateLock(ctx context.Context, root *act.Root, order string, run func(*stateLock) error) error {
	return l.withShardLock(ctx, root, 0, order, run)
}

// withShardLock is withStateLock for the state of a shard: each has a lock and a
// note of its own.
func (l *Leader) withShardLock(ctx context.Context, root *act.Root, shard int, order string, run func(*stateLock) error) error {
	s := &stateLock{leader: l, root: root, shard: shard, order: order}
	if l.lease == nil {
		return run(s)
	}
	var err error
	if s.left, err = l.Fleet.Applying(ctx, l.Service.Name, shard); err != nil {
		return fmt.Errorf("read whether an apply was cut short: %w", err)
	}
	if s.left == nil {
		// A note that was left stays until its lock is known to be free.
		if err := s.note(ctx); err != nil {
			return err
		}
	}
	err = run(s)
	var locked *act.LockedError
	if errors.As(err, &locked) {
		if why := s.keep(locked); why != "" {
			err = fmt.Errorf("%w; it is left alone: %s", err, why)
		} else if err = s.free(ctx, locked); err == nil {
			err = run(s)
		}
	}
	s.close(ctx, err)
	return err
}

// note writes down which process is about to run Terraform. It is written under
// the leader's lock, which is so proven at the same time.
func (s *stateLock) note(ctx context.Context) error {
	l := s.leader
	if l.lease == nil {
		return nil
	}
	err := l.lease.PutApplying(ctx, fleet.Applying{
		Machine: l.Self.Machine, Boot: l.Self.Boot, Host: l.Self.Host,
		PID: l.Self.PID, Started: l.Self.Started,
		Order: s.order, Shard: s.shard, Since: l.Now().UTC(),
	})
	if err != nil {
		return fmt.Errorf("note that Terraform is about to be run: %w", err)
	}
	s.noted = true
	return nil
}

// close removes the note when the lock is known to be free again: Terraform
// ended in order. One that was killed may have left it.
func (s *stateLock) close(ctx context.Context, err error) {
	cut := errors.Is(err, act.ErrKilled) || errors.Is(err, act.ErrTimeout) || errors.Is(err, act.ErrInterrupted)
	if s.noted && cut || !s.noted && err != nil {
		return
	}
	if err := s.leader.lease.ClearApplying(ctx, s.shard); err != nil {
		s.leader.Log.Warn("could not remove the note of the apply", "order", s.order, "error", err)
	}
}

// free breaks the lock that a dead apply left.
func (s *stateLock) free(ctx context.Context, locked *act.LockedError) error {
	s.leader.Log.Warn("breaking the state lock that a dead apply left", "id", locked.ID, "by", locked.Who, "order", s.left.Order)
	if err := s.root.ForceUnlock(ctx, locked.ID); err != nil {
		return fmt.Errorf("break the lock that the apply of order %s left: %w", s.left.Order, err)
	}
	return nil
}

// keep returns why a state lock must not be broken, or nothing: it is broken
// only if it matches the note that a use left, and that process is proven gone.
func (s *stateLock) keep(locked *act.LockedError) string {
	note, self := s.left, s.leader.Self
	_, host, _ := strings.Cut(locked.Who, "@")
	switch {
	case note == nil:
		return "no apply of a leader was cut short, so a person or a pipeline holds it"
	case locked.Who == "" || locked.Created.IsZero():
		return "the backend doesn't tell who holds it; if nobody does, run terraform force-unlock " + locked.ID
	case host != note.Host:
		return fmt.Sprintf("it was taken on %s, and the noted apply ran on %s", host, note.Host)
	case locked.Created.Before(note.Since.Add(-clockSlack)):
		return "it is older than the apply that was noted"
	case locked.Created.After(note.Since.Add(s.leader.Service.Terraform.Timeout)):
		return "it is younger than the noted apply can have been"
	case note.Machine != self.Machine:
		return fmt.Sprintf("the noted apply ran on another machine (%s), which can't be looked at from here", note.Host)
	default:
		return s.alive(locked)
	}
}

// alive returns which process of this machine may be the lock's living holder,
// or nothing. A leader runs one Terraform at a time for a service, so its own
// note means one that was killed.
func (s *stateLock) alive(locked *act.LockedError) string {
	note, l := s.left, s.leader
	own := note.PID == l.Self.PID && note.Started == l.Self.Started
	if !own && note.Boot == l.Self.Boot && l.Sources.Alive(note.PID, note.Started) {
		return fmt.Sprintf("the noted apply still runs (process %d)", note.PID)
	}
	pids, err := l.Sources.Terraforms(locked.Created.Add(clockSlack))
	switch {
	case err != nil:
		return "whether its holder still runs can't be told: " + err.Error()
	case len(pids) > 0:
		return fmt.Sprintf("Terraform runs on this machine since before it was taken, and may hold it (process %d)", pids[0])
	default:
		return ""
	}
}
