package cell

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// A cell leaves by order without anybody getting in:
//
//	order -> draining -> stopping -> removing -> deregister -> left
//	  |          |           |           |
//	refused      +-- sidecar ended: the next one takes the order up again
//
// What fails ends in the answer "failed", and a new order begins anew. What
// is done stays done: nothing of it is harmed by being done twice.

// ErrLeft is what Run returns of a cell that has left by order: its sidecar is
// to end, and nothing has failed.
var ErrLeft = errors.New("the cell has left")

const (
	// removeLimit is how long removing what a birth has installed may take.
	removeLimit = 10 * time.Minute
	// wordLimit is how long it is tried to give an answer that somebody waits
	// for, and wordGrace how long once the sidecar is asked to end.
	wordLimit = time.Hour
	wordGrace = 10 * time.Second
	wordRetry = time.Second
)

// Order is the order to leave that the cell has taken up, nil where there is none.
func (c *Cell) Order() *fleet.LeaveOrder {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order
}

// followOrders carries out the orders to leave, until ctx ends. It returns true
// as soon as the cell has left but for saying so. An order that comes while
// another is carried out is looked at when that has failed.
func (c *Cell) followOrders(ctx context.Context) bool {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	left := false
	err := c.Fleet.WatchLeave(watching, c.Identity.Service, c.Identity.Name, func(o *fleet.LeaveOrder) {
		if o == nil || left || ctx.Err() != nil {
			return
		}
		if left = c.leave(ctx, *o); left {
			stop()
		}
	})
	if !left && ctx.Err() == nil {
		c.Log.Error("no longer following orders to leave", "error", err)
		<-ctx.Done()
	}
	return left
}

// leave carries an order out, and says whether the cell has left.
func (c *Cell) leave(ctx context.Context, o fleet.LeaveOrder) bool {
	if err := c.refusal(o); err != nil {
		c.refuse(ctx, o, err)
		return false
	}
	c.Log.Info("ordered to leave", "cell", o.ID(), "by", o.By, "epoch", o.Epoch, "reason", o.Reason)
	c.drain(func() { c.order, c.leaving = &o, cmp.Or(o.Reason, "ordered to leave") })
	for _, step := range []struct {
		phase fleet.LeavePhase
		do    func(context.Context) error
	}{
		{fleet.LeaveDraining, c.finishOrdered},
		{fleet.LeaveStopping, c.stopOrdered},
		{fleet.LeaveRemoving, c.remove},
	} {
		c.tell(ctx, c.answer(o, step.phase, nil))
		err := step.do(ctx)
		if ctx.Err() != nil && step.phase != fleet.LeaveRemoving {
			return false // The sidecar ends; the next one takes the order up.
		}
		if err != nil {
			c.Log.Error("could not leave; waiting for another order", "phase", step.phase, "error", err)
			_ = c.insist(ctx, c.answer(o, fleet.LeaveFailed, fmt.Errorf("%s: %w", step.phase, err))) // It has said so.
			return false
		}
	}
	return true
}

// refusal says why an order isn't carried out.
func (c *Cell) refusal(o fleet.LeaveOrder) error {
	if err := c.Fleet.CheckLeave(c.Identity.Service, o); err != nil {
		return err
	}
	if o.Incarnation != c.Identity.Incarnation {
		return fmt.Errorf("it is for the life %s, and the cell lives as %s", o.Incarnation, c.Identity.Incarnation)
	}
	if c.Leave == nil {
		return errors.New("the cell can't leave by order: its sidecar doesn't know what its birth has installed")
	}
	return nil
}

// refuse says why an order isn't carried out. The last word of an earlier life
// stands, though its order is still there.
func (c *Cell) refuse(ctx context.Context, o fleet.LeaveOrder, why error) {
	c.Log.Warn("an order to leave is refused", "cell", c.Identity.ID(), "ordered", o.ID(), "by", o.By, "because", why)
	last, err := c.Fleet.LeaveAnswer(ctx, c.Identity.Service, c.Identity.Name)
	if err == nil && last != nil && last.Incarnation == o.Incarnation && last.Phase == fleet.LeaveLeft {
		return
	}
	_ = c.insist(ctx, c.answer(o, fleet.LeaveFailed, fmt.Errorf("the order is refused: %w", why))) // It has said so.
}

// finishOrdered lets the application finish what it has in hand for as long as
// the policy allows, counted from when it was first asked to.
func (c *Cell) finishOrdered(ctx context.Context) error {
	c.mu.Lock()
	drained := c.Now().Sub(c.since)
	c.mu.Unlock()
	c.FinishWork(ctx, max(0, c.Service.Drain.Timeout-drained))
	return nil
}

// stopOrdered leaves the tombstone before anything is ended, so that nobody
// takes what follows for a crash.
func (c *Cell) stopOrdered(ctx context.Context) error {
	o := c.Order()
	t := fleet.Tombstone{Cell: o.Cell, Incarnation: o.Incarnation, By: o.By, Reason: cmp.Or(o.Reason, "ordered to leave")}
	if err := c.Fleet.Tombstone(ctx, c.Identity.Service, t); err != nil {
		c.Log.Warn("could not leave a tombstone", "error", err)
	}
	if c.Stop != nil {
		if err := c.Stop(ctx); err != nil {
			return err
		}
	}
	// What is removed next may hold the only copy.
	return c.EmptySpool(ctx)
}

// remove isn't cut short by the sidecar being asked to end, which may well be
// a part of it.
func (c *Cell) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeLimit)
	defer cancel()
	return c.Leave(ctx, *c.Order())
}

// Resumes reports whether the sidecar of this life was past draining when it
// ended: then its application isn't to be started again, since a part of it may
// be removed already. While Consul doesn't say so, it is started.
func (c *Cell) Resumes(ctx context.Context) bool {
	if c.Leave == nil {
		return false
	}
	a, err := c.Fleet.LeaveAnswer(ctx, c.Identity.Service, c.Identity.Name)
	if err != nil || a == nil || a.Incarnation != c.Identity.Incarnation {
		return false
	}
	switch a.Phase {
	case fleet.LeaveDraining, fleet.LeaveFailed:
		return false
	}
	o, err := c.Fleet.LeaveOrder(ctx, c.Identity.Service, c.Identity.Name)
	return err == nil && o != nil && c.refusal(*o) == nil
}

func (c *Cell) answer(o fleet.LeaveOrder, phase fleet.LeavePhase, failed error) fleet.LeaveAnswer {
	a := fleet.LeaveAnswer{Cell: c.Identity.Name, Incarnation: o.Incarnation, Order: o.At, Phase: phase}
	if failed != nil {
		a.Error = failed.Error()
	}
	return a
}

// tell gives an answer on the way, which nobody depends on.
func (c *Cell) tell(ctx context.Context, a fleet.LeaveAnswer) {
	if err := c.Fleet.AnswerLeave(ctx, c.Identity.Service, a); err != nil {
		c.Log.Warn("could not say how far the cell is with leaving; going on", "phase", a.Phase, "error", err)
	}
}

// insist gives an answer that somebody waits for, however long Consul is away.
func (c *Cell) insist(ctx context.Context, a fleet.LeaveAnswer) error {
	trying, cancel := context.WithTimeout(context.WithoutCancel(ctx), wordLimit)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(wordGrace, cancel) })()
	for told := false; ; told = true {
		err := c.Fleet.AnswerLeave(trying, c.Identity.Service, a)
		if err == nil {
			return nil
		}
		if !told {
			c.Log.Warn("could not answer the order to leave; going on trying", "phase", a.Phase, "error", err)
		}
		if wait.For(trying, wordRetry) != nil {
			return err
		}
	}
}

// lastWord confirms that the cell has left. It is the last thing the cell does.
func (c *Cell) lastWord(ctx context.Context) error {
	o := c.Order()
	word := c.answer(*o, fleet.LeaveLeft, nil)
	word.Reusable = c.Reusable && o.Reuse
	if err := c.insist(ctx, word); err != nil {
		return fmt.Errorf("the cell has left and could not say so: %w", err)
	}
	c.Log.Info("the cell has left", "cell", o.ID())
	return ErrLeft
}
