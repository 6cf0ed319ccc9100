package main

import (
	"context"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
)

// finishShutting shuts the rest of the door of the cell's machine where that went
// down in the middle of it. A birth that is being installed still needs it open.
func (n *node) finishShutting(ctx context.Context) {
	if n.machine == nil {
		return
	}
	c, err := n.machine.Claim()
	if err == nil && c != nil && c.Phase == install.Installed && c.Door != nil {
		err = door.Finish(ctx, *c.Door)
	}
	if err != nil {
		n.leading.log.Error("could not shut the rest of the door by which birth got in", "error", err)
	}
}
