package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// LeavePhase is how far a cell is with leaving:
//
//	draining -> stopping -> removing -> left
//	    |           |           |
//	    +-----------+-----------+--> failed, until it is ordered anew
type LeavePhase string

// Draining finishes what is in hand; Stopping lets go of locks and ends the
// application; Removing removes what the birth has installed. Left is the
// cell's last word. Failed says that this order will not be carried out.
const (
	LeaveDraining LeavePhase = "draining"
	LeaveStopping LeavePhase = "stopping"
	LeaveRemoving LeavePhase = "removing"
	LeaveLeft     LeavePhase = "left"
	LeaveFailed   LeavePhase = "failed"
)

// LeaveAnswer is what a cell answers to a LeaveOrder.
type LeaveAnswer struct {
	Cell string `json:"cell"`
	// Incarnation is the one that was ordered to leave.
	Incarnation string `json:"incarnation"`
	// Order is the At of the order that is answered.
	Order time.Time `json:"order"`
	// At is when; it is filled in.
	At    time.Time  `json:"at"`
	Phase LeavePhase `json:"phase"`
	// Reusable says of one that has left that its machine lets births in again.
	Reusable bool `json:"reusable,omitempty"`
	// Error says why it failed.
	Error string `json:"error,omitempty"`
	// MAC is as in LeaveOrder.
	MAC string `json:"mac,omitempty"`
}

func (a *LeaveAnswer) check() error {
	if a.Cell == "" || a.Incarnation == "" || a.Phase == "" || a.At.IsZero() {
		return errors.New("it does not name a cell, its incarnation, a phase and when")
	}
	return nil
}

func (a LeaveAnswer) signed(service string) (string, any) {
	a.MAC = ""
	return "leave answer 1\n" + service, a
}

// AnswerLeave writes down how far a cell is with leaving; without a lock.
func (c *Client) AnswerLeave(ctx context.Context, service string, a LeaveAnswer) error {
	a.At, a.Order, a.Error = c.cfg.Now().UTC(), a.Order.UTC(), strings.ToValidUTF8(a.Error, "?")
	err := errors.Join(checkName("service", service), checkName("cell", a.Cell), a.check())
	if err == nil {
		a.MAC, err = c.sign(a.signed(service))
	}
	if err != nil {
		return fmt.Errorf("answer the order to leave: %w", err)
	}
	return c.put(ctx, c.key(service, keyLeft, a.Cell), a)
}

// LeaveAnswer returns the last answer of a cell; nil where there is none.
func (c *Client) LeaveAnswer(ctx context.Context, service, cell string) (*LeaveAnswer, error) {
	a, _, err := get[LeaveAnswer](ctx, c, c.key(service, keyLeft, cell))
	return a, err
}

// HasLeft reports whether that life of the cell has left, as a peer's word says.
func (c *Client) HasLeft(ctx context.Context, service string, cell Cell) (bool, error) {
	a, err := c.LeaveAnswer(ctx, service, cell.Name)
	if err != nil || a == nil || a.Incarnation != cell.Incarnation || a.Phase != LeaveLeft {
		return false, err
	}
	what, v := a.signed(service)
	return c.prove(what, v, a.MAC) == nil, nil
}

// AwaitLeft returns when that life of the cell has left, and tells progress,
// which may be nil, of each answer on the way. It returns ErrNotLeft when the
// cell says that it can't carry out the order that stands, and the cause of ctx
// when that ends first. An answer of another life, to an earlier order, or that
// isn't a peer's, is none.
func (c *Client) AwaitLeft(ctx context.Context, service, cell, incarnation string, progress func(LeaveAnswer)) error {
	watching, found := context.WithCancel(ctx)
	defer found()
	var outcome error
	final := false
	err := watchKey(watching, c, c.key(service, keyLeft, cell), func(a *LeaveAnswer) {
		if a == nil || final || a.Incarnation != incarnation {
			return
		}
		what, v := a.signed(service)
		if err := c.prove(what, v, a.MAC); err != nil {
			c.log.WarnContext(ctx, "an answer to an order to leave is not believed", "cell", cell, "phase", a.Phase, "err", err)
			return
		}
		if progress != nil {
			progress(*a)
		}
		switch {
		case a.Phase == LeaveLeft:
			final = true
		case a.Phase == LeaveFailed && c.answers(ctx, service, *a):
			final, outcome = true, fmt.Errorf("%w: %s", ErrNotLeft, a.Error)
		}
		if final {
			found()
		}
	})
	if final {
		return outcome
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("wait until %s.%s has left: %w", cell, incarnation, err)
}

// answers reports whether an answer is one to the order that stands. One that
// can't be read is taken for it: the answer is a peer's.
func (c *Client) answers(ctx context.Context, service string, a LeaveAnswer) bool {
	o, err := c.LeaveOrder(ctx, service, a.Cell)
	return err != nil || o == nil || o.At.Equal(a.Order)
}
