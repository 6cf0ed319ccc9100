package cell

import (
	"cmp"
	"context"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// drainRetry is how long after a failure the application is told again.
const drainRetry = time.Second

// spoolLimit is how long a spool has for its last messages where the policy gives a
// drain less.
const spoolLimit = 10 * time.Second

// Draining is why the cell drains, or nothing.
func (c *Cell) Draining() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining
}

// watchMark follows the leader's mark that this cell is to leave.
func (c *Cell) watchMark(ctx context.Context) {
	err := c.Fleet.WatchLeaving(ctx, c.Identity.Service, c.Identity.Name, func(mark *fleet.Leaving) {
		why := ""
		if mark != nil && (mark.Incarnation == "" || mark.Incarnation == c.Identity.Incarnation) {
			why = mark.Reason
			if why == "" {
				why = "the leader marked this cell to leave"
			}
		}
		c.drain(func() { c.ordered = why })
		c.toMove(why != "")
	})
	if err != nil && ctx.Err() == nil {
		c.Log.Error("no longer following whether this cell is to leave", "error", err)
	}
}

// watchSlow follows the leader's mark that this cell is slow.
func (c *Cell) watchSlow(ctx context.Context) {
	err := c.Fleet.WatchSlow(ctx, c.Identity.Service, c.Identity.Name, func(mark *fleet.Slow) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.slow = ""
		if mark != nil && (mark.Incarnation == "" || mark.Incarnation == c.Identity.Incarnation) {
			c.slow = cmp.Or(mark.Reason, "the leader marked this cell as slow")
		}
	})
	if err != nil && ctx.Err() == nil {
		c.Log.Error("no longer following whether this cell is slow", "error", err)
	}
}

func (c *Cell) isSlow() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slow
}

// Ask begins or takes back a drain that somebody asked this sidecar for, such
// as the provider before a delete.
func (c *Cell) Ask(why string) { c.drain(func() { c.asked = why }) }

// drain changes who wants the cell to drain, and has the application told of it
// if that makes a difference.
func (c *Cell) drain(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.draining
	change()
	c.draining = cmp.Or(c.leaving, c.ordered, c.asked)
	if begin := c.draining != ""; begin != (before != "") {
		c.since = c.Now()
		if c.Proxy != nil {
			c.Proxy.Drain(begin)
		}
		c.Log.Info("drain", "begin", begin, "cell", c.Identity.Name)
		if c.Spool != nil {
			c.Spool.Hurry(begin)
		}
	}
	wake(c.nudge)
}

// wake wakes who waits for the channel, or has it look again when it is awake.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// tellDrain keeps the application told of what is wanted of it, in the order in
// which that changes. What it doesn't take it is told again.
func (c *Cell) tellDrain(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		want, settled := c.wanted()
		if settled {
			select {
			case <-ctx.Done():
			case <-c.nudge:
			}
			continue
		}
		c.mu.Lock()
		c.unsure = true // until it has answered
		c.mu.Unlock()
		limit, cancel := context.WithTimeout(ctx, c.Service.Health.Timeout+5*time.Second)
		err := c.App.Drain(limit, want)
		cancel()
		c.mu.Lock()
		if err == nil {
			c.unsure, c.told, c.toldAt = false, want, c.Now()
			wake(c.move)
		}
		c.mu.Unlock()
		if err == nil {
			failing = false
			continue
		}
		if !failing {
			c.Log.Warn("could not tell the application; going on trying", "drain", want, "error", err)
		}
		failing = true
		_ = wait.For(ctx, drainRetry) // the loop's condition looks at ctx
	}
}

// wanted is what the application is to be told, and whether it surely knows.
func (c *Cell) wanted() (drain, settled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	drain = c.draining != ""
	return drain, c.told == drain && !c.unsure
}

func (c *Cell) isTold() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told && !c.unsure
}

// FinishWork lets an application that was asked to drain finish what it has in
// hand, for as long as limit. One that isn't well has nothing to finish. What the
// spool holds is on its way meanwhile; see EmptySpool.
func (c *Cell) FinishWork(ctx context.Context, limit time.Duration) {
	if ok, _ := c.App.Well(); !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c.AwaitIdle(ctx, c.Service.Health.Timeout+5*time.Second, 50*time.Millisecond)
}

// EmptySpool sends what the application has left in the spool, for as long as the
// policy lets a cell drain, once it gives no more.
func (c *Cell) EmptySpool(ctx context.Context) error {
	if c.Spool == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, max(c.Service.Drain.Timeout, spoolLimit))
	defer cancel()
	return c.Spool.Flush(ctx)
}

// AwaitIdle returns when the application has been told to drain and is known to
// have nothing in hand, or when ctx ends. Where the policy names no gauge of
// what is in flight, and there is no proxy, that can't be known, and it returns
// once it is told. One
// that can't be told within limit isn't waited for.
func (c *Cell) AwaitIdle(ctx context.Context, limit, every time.Duration) {
	for until := c.Now().Add(limit); !c.isTold() && c.Now().Before(until) && ctx.Err() == nil; {
		_ = wait.For(ctx, every) // the loop's condition looks at ctx
	}
	for ctx.Err() == nil && !c.idle(ctx) {
		_ = wait.For(ctx, every) // the loop's condition looks at ctx
	}
}

// idle says whether nothing is known to be in hand.
func (c *Cell) idle(ctx context.Context) bool {
	if c.Proxy != nil && !c.Proxy.Idle() {
		return false
	}
	if c.Service.Metrics.InFlight == "" {
		return true
	}
	scrape, err := c.App.Scrape(ctx)
	if err != nil {
		return false
	}
	v, err := scrape.Value(c.Service.Metrics.InFlight, nil)
	return err == nil && v == 0
}
