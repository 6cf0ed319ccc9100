package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"
)

// Request is what the leader of one service asks of another's: that there be
// at least so many cells. It lies beside the other's record, and only who holds
// the lock of the service it is from can write it.
type Request struct {
	// From is the service that asks.
	From string `json:"from"`
	// Floor is how many cells it asks for at least.
	Floor int `json:"floor"`
	// Ceiling is how many it asks for at most, 0 for no such bound.
	Ceiling int    `json:"ceiling,omitempty"`
	Reason  string `json:"reason"`
	// At is when it was written, Expires from when on it counts no more: a
	// leader that asks renews it, and one that is gone doesn't.
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires"`
	// Epoch is that of the leader who asks; it is filled in.
	Epoch uint64 `json:"epoch"`

	index uint64 // of the key, as read
}

func (r *Request) check() error {
	if r.From == "" || r.Floor < 0 || r.Ceiling < 0 || r.Floor+r.Ceiling < 1 || r.At.IsZero() || !r.Expires.After(r.At) {
		return errors.New("it does not say who asks for how many cells, and until when")
	}
	return nil
}

// Answer is what became of a request.
type Answer struct {
	// To is the service that asked, Floor what it asked for and Granted how many
	// cells there are to be.
	To      string    `json:"to"`
	Floor   int       `json:"floor"`
	Granted int       `json:"granted"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
	// Epoch is that of the leader who answers; it is filled in.
	Epoch uint64 `json:"epoch"`
}

func (a *Answer) check() error {
	if a.To == "" || a.At.IsZero() {
		return errors.New("it does not say whom it answers, and when")
	}
	return nil
}

// Ask writes, or renews, this service's request to another one, under the lock
// of this service. From, At and Epoch are filled in; Expires is lifetime later.
func (l *Lease) Ask(ctx context.Context, service string, r Request, lifetime time.Duration) error {
	r.From, r.Epoch, r.At = l.service, l.Epoch(), l.c.cfg.Now().UTC()
	r.Expires = r.At.Add(lifetime)
	if err := errors.Join(checkName("service", service), r.check()); err != nil {
		return fmt.Errorf("ask %s for cells: %w", service, err)
	}
	key := l.c.key(service, keyRequests, l.service)
	text, err := encode(key, r)
	if err != nil {
		return err
	}
	return l.commit(ctx, "ask "+service+" for cells", []*api.KVTxnOp{{Verb: api.KVSet, Key: key, Value: text}})
}

// Withdraw takes this service's request to another one back; one that isn't
// there is no error.
func (l *Lease) Withdraw(ctx context.Context, service string) error {
	if err := checkName("service", service); err != nil {
		return err
	}
	key := l.c.key(service, keyRequests, l.service)
	return l.commit(ctx, "withdraw what was asked of "+service, []*api.KVTxnOp{{Verb: api.KVDelete, Key: key}})
}

// Requests returns what is asked of a service, expired requests included. Other
// services write them, so one that can't be read keeps none of the others away: it
// is in the error, as a CorruptError, beside those that can.
func (c *Client) Requests(ctx context.Context, service string) ([]Request, error) {
	folder := c.key(service, keyRequests)
	if err := checkKey(folder); err != nil {
		return nil, err
	}
	pairs, err := c.pairs(ctx, folder)
	if err != nil {
		return nil, err
	}
	var all []Request
	var unread []error
	for _, p := range pairs {
		var r Request
		if err := decode(p.Key, p.Value, &r); err != nil {
			unread = append(unread, err)
			continue
		}
		r.index = p.ModifyIndex
		all = append(all, r)
	}
	return all, errors.Join(unread...)
}

// Answer tells what became of a request; the service that asked reads it.
func (l *Lease) Answer(ctx context.Context, a Answer) error {
	a.Epoch, a.At = l.Epoch(), l.c.cfg.Now().UTC()
	if err := errors.Join(checkName("service", a.To), a.check()); err != nil {
		return fmt.Errorf("answer a request: %w", err)
	}
	return l.Put(ctx, keyAnswers+"/"+a.To, a)
}

// Forget removes the answer to a service that asks no more, and its request if
// that is still as it was read.
func (l *Lease) Forget(ctx context.Context, r Request) error {
	if err := l.Delete(ctx, keyAnswers+"/"+r.From); err != nil || r.index == 0 {
		return err
	}
	key := l.c.key(l.service, keyRequests, r.From)
	_, err := l.transact(ctx, "remove an expired request to "+l.service, l.c.cfg.Timeout,
		&api.KVTxnOp{Verb: api.KVDeleteCAS, Key: key, Index: r.index})
	if failed, ok := errors.AsType[*txnError](err); ok && failed.at(1) {
		return nil // it was renewed meanwhile
	}
	return err
}

// Answers returns what a service has answered, by who had asked.
func (c *Client) Answers(ctx context.Context, service string) (map[string]Answer, error) {
	all, err := list[Answer](ctx, c, c.key(service, keyAnswers))
	if err != nil {
		return nil, err
	}
	answers := make(map[string]Answer, len(all))
	for _, a := range all {
		answers[a.To] = a
	}
	return answers, nil
}
