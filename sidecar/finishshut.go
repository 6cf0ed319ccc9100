package main

import (
	"context"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
)

// finishEvery is how often it is looked whether a door was left half shut.
const finishEvery = 5 * time.Second

// keepShutting shuts the rest of the door of the cell's machine where that, or the
// process that shut it, ended in the middle of it, until ctx ends.
func (n *node) keepShutting(ctx context.Context) {
	if n.machine == nil {
		return
	}
	told := ""
	for {
		err := n.finishShutting(ctx)
		if err != nil && err.Error() != told && ctx.Err() == nil {
			told = err.Error()
			n.leading.log.Error("could not shut the rest of the door by which birth got in; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(finishEvery):
		}
	}
}

// finishShutting leaves alone a birth that is being installed, which still needs the
// door open, and a door that is shut.
func (n *node) finishShutting(ctx context.Context) error {
	c, err := n.machine.Claim()
	if err != nil || c == nil || c.Phase != install.Installed || c.Door == nil {
		return err
	}
	return door.Finish(ctx, *c.Door)
}
