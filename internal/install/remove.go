package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
)

// booted reports whether systemd runs this machine, as sd_booted(3) does.
func booted() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// Remove takes the cell off the machine: it undoes what was made, and opens the
// door again where the claim says so, as its last act. The claim stays, as Left,
// until Release, so that whoever waits can be told in between. It may be
// repeated. The cell's own sidecar may call it, which then has to end.
func (m *Machine) Remove(ctx context.Context) error {
	c, err := m.Claim()
	if err != nil || c == nil || c.Phase == Left {
		return err
	}
	if err := m.undo(ctx, c); err != nil {
		return fmt.Errorf("remove %s: %w", c.ID(), err)
	}
	if c.Reuse && c.Door != nil {
		if err := door.Open(ctx, *c.Door); err != nil {
			return fmt.Errorf("remove %s: %w", c.ID(), err)
		}
	}
	c.Phase = Left
	return m.write(c)
}

// Release makes the machine nobody's, once its cell has left. What may be used by
// the next one, content by its digest, stays where the door was opened again.
func (m *Machine) Release() error {
	c, err := m.Claim()
	if err != nil || c == nil {
		return err
	}
	if c.Phase != Left {
		return fmt.Errorf("release the machine: %s is %s on it, and has not left", c.ID(), c.Phase)
	}
	if !c.Reuse {
		return os.RemoveAll(m.at(Home))
	}
	for _, path := range []string{filepath.Join(Home, "bundle"), Starter, door.Record, claimFile} {
		if err := os.RemoveAll(m.at(path)); err != nil {
			return fmt.Errorf("release the machine: %w", err)
		}
	}
	return nil
}

// undo takes everything away that the claim says was made, in reverse.
func (m *Machine) undo(ctx context.Context, c *Claim) error {
	c.Phase = Removing
	if err := m.write(c); err != nil {
		return err
	}
	if err := m.stop(ctx, c); err != nil {
		return err
	}
	for _, made := range slices.Backward(c.Made) {
		if err := m.unmake(made); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(m.at(filepath.Dir(saved("/x")))); err != nil {
		return fmt.Errorf("remove what was kept: %w", err)
	}
	c.Made, c.Units = nil, nil
	return m.write(c)
}

// stop ends the cell, unless it is what calls, and the units begun for it.
func (m *Machine) stop(ctx context.Context, c *Claim) error {
	if c.made(unitFile) {
		verb := []string{"disable", "--now", unitName}
		if own() {
			verb = []string{"disable", unitName} // it ends when this has
		}
		if err := m.Systemd(ctx, verb...); err != nil && !m.gone(unitFile) {
			return fmt.Errorf("stop the cell: %w", err)
		}
	}
	if len(c.Units) > 0 {
		if err := m.Systemd(ctx, append([]string{"disable", "--now", "--"}, c.Units...)...); err != nil {
			return fmt.Errorf("stop the units of the cell: %w", err)
		}
	}
	return nil
}

// own reports whether this process is of the cell's unit.
func own() bool {
	text, err := os.ReadFile("/proc/self/cgroup")
	return err == nil && strings.Contains(string(text), "/"+unitName)
}

func (c *Claim) made(path string) bool {
	return slices.ContainsFunc(c.Made, func(m Made) bool { return m.Path == path })
}

func (m *Machine) gone(path string) bool {
	_, err := os.Lstat(m.at(path))
	return errors.Is(err, fs.ErrNotExist)
}

// unmake takes one thing away. A folder in which something is left stays: that is
// somebody's.
func (m *Machine) unmake(made Made) error {
	at := m.at(made.Path)
	if made.Before != "" {
		if m.gone(made.Before) {
			return nil // an earlier try has put it back
		}
		if err := putBack(m.at(made.Before), at); err != nil {
			return fmt.Errorf("put back what was %s: %w", made.Path, err)
		}
		return nil
	}
	err := os.Remove(at)
	if made.Folder && (errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EBUSY)) {
		m.Log.Warn("a folder that the birth made isn't empty, and stays", "folder", made.Path)
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", made.Path, err)
	}
	return nil
}

// putBack moves a file to where it was, which may be another file system.
func putBack(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if err := copyFile(from, to, info); err != nil {
		return err
	}
	return os.Remove(from)
}
