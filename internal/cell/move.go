package cell

import (
	"context"
	"time"
)

// A cell that holds data is emptied before it leaves:
//
//	marked -> drains (takes nothing more) -> command -> moved
//	   |                                    |   ^
//	   |                                    +---+ failed: again after moveRetry
//	   +---- mark taken back: the command is stopped, nothing is moved
//
// Only the leader's mark has data moved: a sidecar that is asked to end, or a
// person's destroy, must not empty a database.

// moveRetry is how long after the command has failed it is run again.
const moveRetry = 30 * time.Second

// toMove begins or takes back the moving of what the cell holds.
func (c *Cell) toMove(begin bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !begin {
		c.moved, c.moving = false, ""
		if c.stopMoving != nil {
			c.stopMoving()
		}
	}
	wake(c.move)
}

// moveData has the data moved while the leader's mark stands, until ctx ends.
func (c *Cell) moveData(ctx context.Context) {
	if c.Move == nil {
		return
	}
	for ctx.Err() == nil {
		moving, due := c.beginMove(ctx)
		if !due {
			select {
			case <-ctx.Done():
			case <-c.move:
			}
			continue
		}
		err := c.Move(moving)
		if c.endMove(moving, err) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-c.move: // the mark was taken back, or set anew
		case <-time.After(moveRetry):
		}
	}
}

// beginMove says whether there is something to move now, with what ends when
// that is taken back.
func (c *Cell) beginMove(ctx context.Context) (context.Context, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ordered == "" || c.moved || !c.told || c.unsure {
		return nil, false
	}
	select {
	case <-c.move: // what it would say is known
	default:
	}
	moving, stop := context.WithTimeout(ctx, c.Service.Drain.CommandTimeout)
	c.stopMoving, c.moving = stop, "; its data are being moved"
	c.Log.Info("moving what the cell holds", "cell", c.Identity.Name, "because", c.ordered)
	return moving, true
}

// endMove takes the command's result, and says whether there is nothing to wait
// for.
func (c *Cell) endMove(moving context.Context, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := moving.Err() != nil && c.ordered == ""
	c.stopMoving()
	c.stopMoving = nil
	switch {
	case taken:
		c.Log.Info("the cell stays: moving what it holds was stopped", "cell", c.Identity.Name)
		return true
	case err != nil:
		c.moving = "; its data could not be moved: " + err.Error()
		c.Log.Error("could not move what the cell holds; it stays until that is done", "cell", c.Identity.Name, "again_in", moveRetry, "error", err)
		return false
	default:
		c.moved, c.moving = c.ordered != "", "; its data have been moved"
		c.Log.Info("what the cell held has been moved", "cell", c.Identity.Name)
		return true
	}
}

func (c *Cell) movingNow() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moving
}
