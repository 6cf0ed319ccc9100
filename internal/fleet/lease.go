package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// errReleased is why a lease given up is no longer held.
var errReleased = fmt.Errorf("it was given up: %w", ErrFenced)

// Lease is a lock that is held. It is renewed in the background until it is
// released or lost, and once lost it stays so:
//
//	held --(session gone, lock taken, or no proof for a session TTL)--> lost
//	held --(Release)--> lost
//
// Losing it is judged by the process's own monotonic clock, from before the
// last renewal that succeeded was sent, so it is known here before Consul can
// give the lock to another. What fences writes is not that clock, which stands
// still while a machine is suspended, but the transaction each of them is.
type Lease struct {
	c       *Client
	service string
	session string
	holder  Holder

	lost chan struct{}
	stop context.CancelFunc
	done chan struct{} // closed when the renewing has ended

	mu     sync.Mutex
	proven time.Time // the lock was ours at least then
	err    error     // why it is lost
}

// lease begins to renew a session that holds the lock.
func (c *Client) lease(service, session string, holder Holder, proven time.Time) *Lease {
	ctx, stop := context.WithCancel(context.Background())
	l := &Lease{
		c: c, service: service, session: session, holder: holder, proven: proven,
		lost: make(chan struct{}), stop: stop, done: make(chan struct{}),
	}
	go l.keep(ctx)
	return l
}

// Epoch is the number of this leadership; it is above that of every earlier one.
func (l *Lease) Epoch() uint64 { return l.holder.Epoch }

// Holder is the holder as written to Consul.
func (l *Lease) Holder() Holder { return l.holder }

// Service is the service whose lock it is.
func (l *Lease) Service() string { return l.service }

// Lost is closed when the lock is no longer held, or can't be proven to be.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Err says why the lease is lost; it wraps ErrFenced. It is nil while held.
func (l *Lease) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Check proves by a transaction that the lock is held at this moment. It
// returns ErrFenced when it is not, and ErrUnreachable when that can't be told.
func (l *Lease) Check(ctx context.Context) error {
	_, err := l.transact(ctx, "check the lock of "+l.service, l.c.cfg.Timeout)
	return err
}

// Release gives the lock up, so that another can take it at once. It returns
// when the renewing has ended. The lease is lost after it, whatever it returns;
// on an error the lock frees itself when the session expires.
func (l *Lease) Release(ctx context.Context) error {
	l.stop()
	<-l.done
	if l.Err() != nil {
		return nil //nolint:nilerr // What is lost is given up.
	}
	key := l.c.key(l.service, keyLock)
	text, err := encode(key, lockValue{Format: lockFormat, Holder: l.holder})
	if err == nil {
		_, err = l.transact(ctx, "release the lock of "+l.service, l.c.cfg.Timeout,
			&api.KVTxnOp{Verb: api.KVUnlock, Key: key, Value: text, Session: l.session})
	}
	l.lose(errReleased)
	l.c.destroy(context.WithoutCancel(ctx), l.session)
	if errors.Is(err, ErrFenced) {
		return nil // It was no longer ours to give.
	}
	return err
}

// keep renews the session until the lease is stopped or lost.
func (l *Lease) keep(ctx context.Context) {
	defer close(l.done)
	ttl := l.c.cfg.SessionTTL
	wait := ttl / 3
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.lost:
			l.c.destroy(ctx, l.session)
			return
		case <-time.After(min(wait, l.left())):
		}
		began := time.Now()
		err := l.renew(ctx)
		if err == nil {
			l.prove(began)
			wait = ttl / 3
			continue
		}
		if ctx.Err() != nil {
			return
		}
		l.c.log.Warn("cannot renew the lock", "service", l.service, "err", err, "lost_in", max(0, l.left()))
		wait = ttl / 9
		l.expire()
	}
}

// renew renews the session and proves that the lock is still its own: the key
// may have been taken away while the session lives on.
func (l *Lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.left())
	defer cancel()
	limit := min(l.c.cfg.Timeout, l.c.cfg.SessionTTL/3)
	var entry *api.SessionEntry
	err := l.c.call(ctx, &l.c.anywhere, "renew the session", limit, func(ctx context.Context, consul *api.Client) (err error) {
		entry, _, err = consul.Session().Renew(l.session, write(ctx))
		return err
	})
	if err != nil {
		return err
	}
	if entry == nil {
		err := fmt.Errorf("the session of the lock of %s has expired or was destroyed: %w", l.service, ErrFenced)
		l.lose(err)
		return err
	}
	_, err = l.transact(ctx, "check the lock of "+l.service, limit)
	return err
}

// transact commits the operations if, and only if, the lock is still ours.
func (l *Lease) transact(ctx context.Context, what string, limit time.Duration, ops ...*api.KVTxnOp) (api.TxnResults, error) {
	l.expire()
	if err := l.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	fence := &api.KVTxnOp{Verb: api.KVCheckSession, Key: l.c.key(l.service, keyLock), Session: l.session}
	results, err := l.c.transact(ctx, what, limit, append([]*api.KVTxnOp{fence}, ops...)...)
	if failed, ok := errors.AsType[*txnError](err); ok && failed.at(0) && !errors.Is(err, ErrDenied) {
		err = fmt.Errorf("%s: %w (%w)", what, ErrFenced, failed)
		l.lose(err)
	}
	if err != nil {
		return nil, err
	}
	return results[1:], nil
}

// prove notes that the lock was ours at that time.
func (l *Lease) prove(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at.After(l.proven) {
		l.proven = at
	}
}

// left is how long the lock is ours without further proof.
func (l *Lease) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.c.cfg.SessionTTL - time.Since(l.proven)
}

// expire loses the lease when it wasn't proven for a session TTL.
func (l *Lease) expire() {
	if l.left() <= 0 {
		l.lose(fmt.Errorf("the lock of %s could not be proven for %v: %w", l.service, l.c.cfg.SessionTTL, ErrFenced))
	}
}

// lose ends the lease for good; the first reason stands.
func (l *Lease) lose(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = why
		close(l.lost)
	}
}
