package main

import (
	"context"
	"errors"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/boot"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
)

// finishEvery is how often it is looked whether birth has left something half done.
const finishEvery = 5 * time.Second

// keepFinishing does the rest of what a birth does last on the cell's machine where that,
// or the process that did it, ended in the middle of it, until ctx ends: it shuts the
// door by which birth got in, and removes what a first boot has left.
func (n *node) keepFinishing(ctx context.Context) {
	if n.machine == nil {
		return
	}
	told := ""
	for {
		err := n.finishBirth(ctx)
		if err != nil && err.Error() != told && ctx.Err() == nil {
			told = err.Error()
			n.leading.log.Error("could not finish what birth has left half done on this machine; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(finishEvery):
		}
	}
}

// finishBirth leaves alone a birth that is being installed, which still needs the door
// open, and a door that is shut.
func (n *node) finishBirth(ctx context.Context) error {
	c, err := n.machine.Claim()
	if err != nil || c == nil || c.Phase != install.Installed {
		return err
	}
	if c.Door != nil {
		err = door.Finish(ctx, *c.Door)
	}
	return errors.Join(err, boot.RemoveRemains(ctx, n.machine))
}
