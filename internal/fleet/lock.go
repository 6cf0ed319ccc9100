package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// lockState is the lock's key as read.
type lockState struct {
	value   lockValue
	session string // of its holder; empty when it is free
	index   uint64 // modify index of the key; 0 when there is no key
}

// lock reads the lock of a service.
func (c *Client) lock(ctx context.Context, service string) (lockState, error) {
	if err := checkName("service", service); err != nil {
		return lockState{}, err
	}
	key := c.key(service, keyLock)
	pair, _, err := c.pair(ctx, key, 0)
	if err != nil || pair == nil {
		return lockState{}, err
	}
	s := lockState{session: pair.Session, index: pair.ModifyIndex}
	return s, decode(key, pair.Value, &s.value)
}

// TryStand takes the lock of a service if it is free. Where it isn't, the error
// is a *HeldError that names the holder. Where it was lost a moment ago,
// TryStand waits once for the lock delay.
func (c *Client) TryStand(ctx context.Context, service string, holder Holder) (*Lease, error) {
	lease, err := c.stand(ctx, service, holder)
	for again := 0; errors.Is(err, errRace) && again < 3; again++ {
		lease, err = c.stand(ctx, service, holder)
	}
	if held, ok := errors.AsType[*HeldError](err); ok && held.Delayed {
		if err := wait.For(ctx, c.cfg.LockDelay+c.cfg.LockDelay/2); err != nil {
			return nil, fmt.Errorf("stand for %s: %w", service, err)
		}
		lease, err = c.stand(ctx, service, holder)
	}
	return lease, err
}

// errRace says that the lock was taken and given up by another in between.
var errRace = errors.New("the lock changed hands while it was being taken")

// Stand waits until the lock of a service is held, or ctx ends. It goes on
// through everything else, an absent Consul included, and logs what is in its
// way. The lease is independent of ctx.
func (c *Client) Stand(ctx context.Context, service string, holder Holder) (*Lease, error) {
	pace := patience()
	for {
		lease, err := c.stand(ctx, service, holder)
		if err == nil {
			return lease, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("stand for %s: %w", service, ctx.Err())
		}
		held, ok := errors.AsType[*HeldError](err)
		if ok && !held.Delayed {
			pace.Reset()
			err = c.waitFree(ctx, service)
		}
		if err != nil {
			pause := pace.NextBackOff()
			if ok && held.Delayed {
				pause = time.Second
			} else {
				c.log.WarnContext(ctx, "cannot stand for the lock", "service", service, "err", err, "again_in", pause)
			}
			if err := wait.For(ctx, pause); err != nil {
				return nil, fmt.Errorf("stand for %s: %w", service, err)
			}
		}
	}
}

// waitFree returns when nobody holds the lock, by blocking queries.
func (c *Client) waitFree(ctx context.Context, service string) error {
	var index uint64
	for {
		began := time.Now()
		pair, next, err := c.pair(ctx, c.key(service, keyLock), index)
		if err != nil {
			return err
		}
		if pair == nil || pair.Session == "" {
			return nil
		}
		index = advance(index, next)
		if err := wait.For(ctx, time.Second-time.Since(began)); err != nil {
			return err
		}
	}
}

// stand makes one attempt at the lock. A session is made only once the lock is
// seen free, so those who wait cost Consul nothing.
func (c *Client) stand(ctx context.Context, service string, holder Holder) (*Lease, error) {
	lock, err := c.lock(ctx, service)
	if err != nil {
		return nil, fmt.Errorf("stand for %s: %w", service, err)
	}
	if lock.session != "" {
		return nil, &HeldError{Service: service, Holder: lock.value.Holder}
	}
	record, _, err := c.Record(ctx, service)
	if err != nil && !errors.Is(err, ErrNoRecord) {
		return nil, fmt.Errorf("stand for %s: %w", service, err)
	}
	holder.Epoch, holder.Since = lock.value.Holder.Epoch+1, c.cfg.Now().UTC()
	if record != nil {
		holder.Epoch = max(holder.Epoch, record.Epoch+1)
	}
	began := time.Now()
	session, err := c.session(ctx, service, holder)
	if err != nil {
		return nil, fmt.Errorf("stand for %s: %w", service, err)
	}
	if err := c.acquire(ctx, service, session, holder, lock); err != nil {
		c.destroy(context.WithoutCancel(ctx), session)
		return nil, fmt.Errorf("stand for %s: %w", service, err)
	}
	return c.lease(service, session, holder, began), nil //nolint:contextcheck // A lease outlives the wait for it.
}

// session makes a session bound to its TTL only: neither the health of a node
// nor that of a check ends it.
func (c *Client) session(ctx context.Context, service string, holder Holder) (string, error) {
	entry := &api.SessionEntry{
		Name: "homeostat: " + holder.String() + " leads " + service, TTL: c.cfg.SessionTTL.String(),
		LockDelay: c.cfg.LockDelay, Behavior: api.SessionBehaviorRelease,
	}
	var id string
	err := c.call(ctx, &c.anywhere, "create a session", c.cfg.Timeout, func(ctx context.Context, consul *api.Client) (err error) {
		id, _, err = consul.Session().CreateNoChecks(entry, write(ctx))
		return err
	})
	return id, err
}

// destroy ends a session that is of no more use. Where it can't, the TTL will.
func (c *Client) destroy(ctx context.Context, session string) {
	err := c.call(ctx, &c.anywhere, "destroy a session", c.brief(), func(ctx context.Context, consul *api.Client) error {
		_, err := consul.Session().Destroy(session, write(ctx))
		return err
	})
	if err != nil {
		c.log.DebugContext(ctx, "session left to expire", "session", session, "err", err)
	}
}

// acquire takes the lock in one transaction that also checks that nobody held
// it since it was read: only so is the new epoch above every other.
func (c *Client) acquire(ctx context.Context, service, session string, holder Holder, seen lockState) error {
	key := c.key(service, keyLock)
	text, err := encode(key, lockValue{Format: lockFormat, Holder: holder})
	if err != nil {
		return err
	}
	unchanged := &api.KVTxnOp{Verb: api.KVCheckNotExists, Key: key}
	if seen.index > 0 {
		unchanged = &api.KVTxnOp{Verb: api.KVCheckIndex, Key: key, Index: seen.index}
	}
	lock := &api.KVTxnOp{Verb: api.KVLock, Key: key, Value: text, Session: session}
	_, err = c.transact(ctx, "take the lock of "+service, c.cfg.Timeout, unchanged, lock)
	failed, ok := errors.AsType[*txnError](err)
	switch {
	case !ok:
		return err
	case failed.says("lock delay"):
		return &HeldError{Service: service, Holder: seen.value.Holder, Delayed: true}
	case failed.at(0) || failed.at(1):
		return c.taken(ctx, service)
	}
	return err
}

// taken turns a lost race for the lock into a word on who won it.
func (c *Client) taken(ctx context.Context, service string) error {
	holder, err := c.Leader(ctx, service)
	if errors.Is(err, ErrNoLeader) {
		return errRace
	}
	if err != nil {
		return err
	}
	return &HeldError{Service: service, Holder: *holder}
}
