package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
)

// Phase is how far a machine is with its cell.
//
//	(no claim) -> installing -> installed -> removing -> left -> (no claim)
//	                  |                         ^
//	                  +---- cut, or failed -----+
type Phase string

// The phases of a claim.
const (
	Installing Phase = "installing"
	Installed  Phase = "installed"
	Removing   Phase = "removing"
	// Left: all is undone and the door, where it was to be, open. Only the claim
	// is there still, so that the leaving can be confirmed.
	Left Phase = "left"
)

// claimFormat is the format of claims that this version writes and reads.
const claimFormat = 1

// Claim says whose a machine is. It holds no secret.
type Claim struct {
	Format      int          `json:"format"`
	Service     string       `json:"service"`
	Name        string       `json:"name"`
	Incarnation string       `json:"incarnation"`
	Bundle      string       `json:"bundle"`
	Genome      string       `json:"genome"`
	Phase       Phase        `json:"phase"`
	Door        *door.Access `json:"door,omitempty"`
	Reuse       bool         `json:"reuse,omitempty"`
	PowerOff    bool         `json:"power_off,omitempty"`
	// Made is what birth made or was about to make, in that order.
	Made []Made `json:"made,omitempty"`
	// Ran is how many of the genome's commands ended well.
	Ran int `json:"ran,omitempty"`
	// Restart is set while a cell that runs may do so with other files than those
	// that are there.
	Restart bool `json:"restart,omitempty"`
}

// ID names one life of a cell: "<name>.<incarnation>".
func (c *Claim) ID() string { return c.Name + "." + c.Incarnation }

func (c *Claim) String() string {
	return fmt.Sprintf("%s/%s, incarnation %s (%s)", c.Service, c.Name, c.Incarnation, c.Phase)
}

// Claim reads whose the machine is, nil if it is nobody's.
func (m *Machine) Claim() (*Claim, error) {
	text, err := os.ReadFile(m.path(claimFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read whose the machine is: %w", err)
	}
	var c Claim
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("read whose the machine is, %s: %w", claimFile, err)
	}
	if c.Format != claimFormat {
		return nil, fmt.Errorf("read whose the machine is, %s: it has format %d and this version knows %d", claimFile, c.Format, claimFormat)
	}
	return &c, nil
}

// admit is nil if a request may have the machine: it is free, or the same cell's.
// Of an earlier life that was installed it must be known that it runs no more.
func (m *Machine) admit(ctx context.Context, r Request) error {
	c, err := m.Claim()
	if err != nil || c == nil || c.Phase == Left {
		return err
	}
	why := ""
	if c.Service == r.Service && c.Name == r.Name {
		if c.Incarnation == r.Incarnation || c.Phase != Installed {
			return nil
		}
		runs, err := m.runs(ctx, c)
		if err != nil || !runs {
			return err
		}
		why = ", and it runs"
	}
	return fmt.Errorf("%w: %s%s; if it is to go, call 'homeostat machine remove %s' on that machine, then 'homeostat machine release'", ErrOccupied, c, why, c.ID())
}

// isOf reports whether an installation of the request can go on with what the
// claim says.
func (c *Claim) isOf(r Request) bool {
	return c.Service == r.Service && c.ID() == r.ID() && c.Bundle == r.Bundle && (c.Phase == Installing || c.Phase == Installed)
}

// writeClaim puts the claim on disk.
func (m *Machine) writeClaim(c *Claim) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err == nil {
		err = m.put(place{path: claimFile, mode: 0o600, text: append(text, '\n')})
	}
	if err != nil {
		return fmt.Errorf("write whose the machine is: %w", err)
	}
	return nil
}

const (
	// lockLimit is how long an installation or removal waits for another one,
	// which may just be ending with its connection.
	lockLimit = time.Minute
	lockPause = 50 * time.Millisecond
)

// lock keeps other installations and removals away until the function returned
// is called. What is locked is the directory itself, so nothing more is left.
func (m *Machine) lock(ctx context.Context) (unlock func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lockLimit, fmt.Errorf("another installation or removal has run for %s", lockLimit))
	defer cancel()
	for {
		d, err := m.tryLock()
		if err == nil {
			return func() { _ = d.Close() }, nil // nothing was written by it
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock the machine: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lock the machine: %w", context.Cause(ctx))
		case <-time.After(lockPause):
		}
	}
}

func (m *Machine) tryLock() (*os.File, error) {
	dir := m.path(Home)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, unix.EWOULDBLOCK // it was removed this instant
	}
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil && !sameFile(d, dir) {
		err = unix.EWOULDBLOCK
	}
	if err == nil {
		err = d.Chmod(0o700)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// sameFile reports whether a directory that is open is the one of that name: it
// may have been removed, and made anew by another.
func sameFile(d *os.File, path string) bool {
	opened, err1 := d.Stat()
	named, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(opened, named)
}

// roomier adds what to do where a disk is full.
func roomier(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: make room on the machine's disk and repeat it", err)
	}
	return err
}
