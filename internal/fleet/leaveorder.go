package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// LeaveOrder orders one life of a cell to drain, stop, remove what its birth
// has installed and confirm that with a LeaveAnswer. Unlike a mark it isn't
// taken back once the cell has begun.
type LeaveOrder struct {
	Cell        string `json:"cell"`
	Incarnation string `json:"incarnation"`
	// Reuse has the machine's access put back, for another cell, where its birth was
	// told so.
	Reuse  bool   `json:"reuse"`
	Reason string `json:"reason,omitempty"`
	// Epoch is that of the leader who orders; it is filled in. It is zero where
	// a person's apply does.
	Epoch uint64 `json:"epoch,omitempty"`
	// At is when; it is filled in. By is who orders it.
	At time.Time `json:"at"`
	By string    `json:"by,omitempty"`
	// MAC proves that a holder of the peers' key wrote this. It is filled in, and
	// empty where there is no key. New fields are to be omitted while empty, or
	// cells of an older version take the order for forged.
	MAC string `json:"mac,omitempty"`
}

// Signer proves who wrote a text.
type Signer interface {
	// Sign returns the authentication code of the text.
	Sign(text []byte) string
	// Signed reports whether the code is one of the text.
	Signed(text []byte, mac string) bool
}

func (o *LeaveOrder) check() error {
	if o.Cell == "" || o.Incarnation == "" || o.At.IsZero() {
		return errors.New("it does not name a cell, its incarnation and when")
	}
	return nil
}

// ID is the id of the registration that the cell has.
func (o LeaveOrder) ID() string { return Cell{Name: o.Cell, Incarnation: o.Incarnation}.ID() }

// OrderLeave has cells leave, as their leader: all are ordered or none, up to
// 60 of them.
func (l *Lease) OrderLeave(ctx context.Context, orders ...LeaveOrder) error {
	values := map[string]any{}
	for _, o := range orders {
		o.Epoch = l.Epoch()
		o, err := l.c.leaveOrder(l.service, o)
		if err != nil {
			return err
		}
		values[keyLeave+"/"+o.Cell] = o
	}
	return l.putAll(ctx, values)
}

// OrderLeave has a cell leave, for a person's own apply: without a lock.
func (c *Client) OrderLeave(ctx context.Context, service string, o LeaveOrder) error {
	o.Epoch = 0
	o, err := c.leaveOrder(service, o)
	if err != nil {
		return err
	}
	return c.put(ctx, c.key(service, keyLeave, o.Cell), o)
}

// leaveOrder checks an order, and fills in when and the signature.
func (c *Client) leaveOrder(service string, o LeaveOrder) (LeaveOrder, error) {
	o.At = c.cfg.Now().UTC()
	// What JSON would replace must be replaced before it is signed.
	o.Reason, o.By = strings.ToValidUTF8(o.Reason, "?"), strings.ToValidUTF8(o.By, "?")
	err := errors.Join(checkName("service", service), checkName("cell", o.Cell), checkName("incarnation", o.Incarnation))
	if err == nil {
		o.MAC, err = c.sign(o.signed(service))
	}
	if err != nil {
		return o, fmt.Errorf("order %s to leave: %w", o.ID(), err)
	}
	return o, nil
}

// signed is what the order's MAC is of.
func (o LeaveOrder) signed(service string) (string, any) {
	o.MAC = ""
	return "leave order 1\n" + service, o
}

// CheckLeave proves that an order was written by a peer; without a key there is
// nothing to prove. It returns ErrForged when it was not.
func (c *Client) CheckLeave(service string, o LeaveOrder) error {
	what, v := o.signed(service)
	return c.prove(what, v, o.MAC)
}

// LeaveOrder returns the order for one cell, nil where there is none. Whether a
// peer wrote it is for CheckLeave.
func (c *Client) LeaveOrder(ctx context.Context, service, cell string) (*LeaveOrder, error) {
	o, _, err := get[LeaveOrder](ctx, c, c.key(service, keyLeave, cell))
	return o, err
}

// LeaveOrders returns those of a service's cells.
func (c *Client) LeaveOrders(ctx context.Context, service string) ([]LeaveOrder, error) {
	return list[LeaveOrder](ctx, c, c.key(service, keyLeave))
}

// WatchLeave calls fn with the order for one cell, nil while there is none, as
// WatchRecord does. Whether a peer wrote it is for CheckLeave.
func (c *Client) WatchLeave(ctx context.Context, service, cell string, fn func(*LeaveOrder)) error {
	return watchKey(ctx, c, c.key(service, keyLeave, cell), fn)
}

// OrdersKept is how long an order to leave stands that is never answered: its cell's
// machine may come back, and must not serve again.
const OrdersKept = 90 * 24 * time.Hour

// SweepLeave removes the answers older than TombstonesKept with their orders, and
// orders older than OrdersKept. It returns how many.
func (l *Lease) SweepLeave(ctx context.Context) (int, error) {
	orders, err := l.c.LeaveOrders(ctx, l.service)
	if err != nil {
		return 0, err
	}
	answers, err := list[LeaveAnswer](ctx, l.c, l.c.key(l.service, keyLeft))
	if err != nil {
		return 0, err
	}
	age := func(at time.Time) time.Duration { return l.c.cfg.Now().Sub(at) }
	left := map[string]bool{}
	var old []string
	for _, a := range answers {
		if age(a.At) > TombstonesKept {
			old = append(old, keyLeft+"/"+a.Cell)
			left[a.Cell+"."+a.Incarnation] = a.Phase == LeaveLeft
		}
	}
	for _, o := range orders {
		if age(o.At) > TombstonesKept && left[o.ID()] || age(o.At) > OrdersKept {
			old = append(old, keyLeave+"/"+o.Cell)
		}
	}
	return len(old), l.Delete(ctx, old...)
}

// sign returns the MAC of a value, empty without a key.
func (c *Client) sign(what string, v any) (string, error) {
	if c.cfg.Peers == nil {
		return "", nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return c.cfg.Peers.Sign(signedText(what, text)), nil
}

// prove checks the MAC of a value.
func (c *Client) prove(what string, v any, mac string) error {
	if c.cfg.Peers == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if !c.cfg.Peers.Signed(signedText(what, text), mac) {
		return ErrForged
	}
	return nil
}

// signedText tells apart what kinds of text are signed with the same key.
func signedText(what string, text []byte) []byte {
	return fmt.Appendf(nil, "homeostat %s\n%s", what, text)
}
