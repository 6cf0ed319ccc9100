package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
)

// Remove undoes what birth made, whatever cell it is, and opens the door again as
// its last act if the claim says so. The claim stays, as one that left, until
// Release drops it, so that whoever waits can be told in between. It may be
// repeated, and goes on where it was cut. Called from within the cell's own
// sidecar it leaves that running, which then has to end.
func (m *Machine) Remove(ctx context.Context) error { return m.remove(ctx, "", nil) }

// RemoveCell is Remove for one life of a cell, "<name>.<incarnation>". It is
// ErrOccupied if the machine holds another one.
func (m *Machine) RemoveCell(ctx context.Context, id string) error { return m.remove(ctx, id, nil) }

// Leave is RemoveCell by an order, which may want the door to stay shut, whatever the
// birth was told.
func (m *Machine) Leave(ctx context.Context, id string, reuse bool) error {
	return m.remove(ctx, id, &reuse)
}

func (m *Machine) remove(ctx context.Context, id string, reuse *bool) error {
	if _, err := os.Stat(m.path(Home)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := m.Claim()
	switch {
	case err != nil:
		return err
	case c == nil:
		if err := m.forgetBrought(); err != nil {
			return fmt.Errorf("remove what a birth has brought that was cut: %w", err)
		}
		return nil
	case c.Phase == Left:
		return nil
	case id != "" && c.ID() != id:
		return fmt.Errorf("remove cell %s: %w: %s", id, ErrOccupied, c)
	}
	if reuse != nil {
		c.Reuse = c.Reuse && *reuse
	}
	if err := m.leave(ctx, c); err != nil {
		return fmt.Errorf("remove cell %s: %w", c.ID(), err)
	}
	return nil
}

// forgetBrought removes what a birth has brought that was cut before it claimed
// the machine.
func (m *Machine) forgetBrought() error {
	if err := m.removeAll(bundlesDir); err != nil {
		return err
	}
	return m.forget(false)
}

func (m *Machine) leave(ctx context.Context, c *Claim) error {
	c.Phase = Removing
	if err := m.writeClaim(c); err != nil {
		return err
	}
	if err := m.clear(ctx, c); err != nil {
		return err
	}
	if err := m.removeAll(bundlesDir); err != nil {
		return err
	}
	if c.Reuse && c.Door != nil {
		if err := m.openDoor(ctx, *c.Door); err != nil {
			return err
		}
	}
	c.Phase, c.Made, c.Ran, c.Restart = Left, nil, 0, false
	return m.writeClaim(c)
}

func (m *Machine) openDoor(ctx context.Context, a door.Access) error {
	if m.OpenDoor != nil {
		return m.OpenDoor(ctx, a)
	}
	return door.Open(ctx, a)
}

// clear stops the cell and takes back what was made outside of Homeostat's own
// directory: the genome's first, in reverse, and then what a sidecar that
// undoes itself needs to be started again after a cut.
func (m *Machine) clear(ctx context.Context, c *Claim) error {
	if err := m.stop(ctx, c); err != nil {
		return err
	}
	for _, own := range []bool{false, true} {
		for _, made := range slices.Backward(c.Made) {
			if made.Own != own {
				continue
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := m.takeBack(ctx, made); err != nil {
				return fmt.Errorf("undo the %s %s: %w", made.Kind, made.Path, err)
			}
		}
	}
	// Only now may what was saved go: it has been put back.
	if err := m.removeAll(savedDir, logFile); err != nil {
		return err
	}
	if !m.hasSystemd() {
		return nil
	}
	return m.Systemctl(ctx, "daemon-reload")
}

func (m *Machine) takeBack(ctx context.Context, made Made) error {
	if made.Kind != StartedUnit {
		return m.undo(made)
	}
	if !m.hasSystemd() || !m.active(ctx, made.Path) {
		return nil
	}
	return m.Systemctl(ctx, "stop", made.Path)
}

func (m *Machine) removeAll(paths ...string) error {
	for _, p := range paths {
		m.reached()
		if err := os.RemoveAll(m.path(p)); err != nil {
			return fmt.Errorf("remove what birth brought: %w", err)
		}
	}
	return nil
}
