// Package install makes a cell of the machine that it runs on, as root, and takes
// it off again. It is the same for all births on machines: over SSH the content is
// brought first and then this is run there; a first boot downloads the content and
// runs the same. How it came is none of its concern.
//
// What an installation is about to make is on disk, in the machine's claim,
// before it is made. So one that was cut at any instant is taken up by the next
// of the same name and incarnation, or undone, and what was on the machine
// before is there afterwards. What the genome's own commands did is not undone:
// nobody knows what it was. How birth gets in and is kept out afterwards is of
// package door.
package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
)

// Where things lie on a machine, below Machine.Root.
const (
	// Home is Homeostat's own: the claim, and the cache of blobs and bundles.
	Home = "/var/lib/homeostat"
	// Starter is where a birth over SSH puts the program to call this with.
	Starter = Home + "/program"
	// Program is the program that is run as the sidecar, a file of the genome.
	Program = "/usr/local/bin/homeostat"

	claimFile   = Home + "/cell.json"
	blobsDir    = Home + "/blobs"
	bundlesDir  = Home + "/bundle"
	cacheLock   = Home + "/.lock"
	savedDir    = Home + "/saved"
	logFile     = Home + "/cell.log"
	settingsDir = "/etc/homeostat"
	envFile     = settingsDir + "/cell.env"
	secretsDir  = settingsDir + "/secrets"
	unitName    = "homeostat.service"
	unitFile    = "/etc/systemd/system/" + unitName
	unitLink    = "/etc/systemd/system/multi-user.target.wants/" + unitName
)

// Machine is the one that this runs on.
type Machine struct {
	// Root is put before every path; empty but in tests.
	Root string
	Log  *slog.Logger
	// Systemd does what systemctl is asked for; systemctl itself unless set, where
	// systemd runs the machine.
	Systemd func(ctx context.Context, arguments ...string) error
	// OpenDoor opens the door again at leaving; door.Open unless set.
	OpenDoor func(context.Context, door.Access) error

	// at is called between any two changes of the disk. Tests cut there.
	at func()
}

// This is the machine that this runs on.
func This(log *slog.Logger) *Machine { return &Machine{Log: log} }

// ExitOccupied is with what the program ends for ErrOccupied.
const ExitOccupied = 73

// ErrOccupied says that the machine holds another cell.
var ErrOccupied = errors.New("the machine holds another cell")

// path is where a path of the machine lies.
func (m *Machine) path(p string) string { return filepath.Join(m.Root, p) }

func (m *Machine) reached() {
	if m.at != nil {
		m.at()
	}
}

// Install makes the machine the cell of a request and starts it. It may be
// repeated, and goes on where it was cut. What an earlier life of the same name
// has left is undone first, unless that runs: then, and where another cell is, it
// is ErrOccupied. It waits up to a minute for another installation or removal.
// Progress is told what is done next, one short line each, and never holds a
// secret.
func (m *Machine) Install(ctx context.Context, r Request, progress func(step string)) error {
	if err := m.install(ctx, r, progress); err != nil {
		return fmt.Errorf("install cell %s of service %s: %w", r.ID(), r.Service, roomier(err))
	}
	return nil
}

func (m *Machine) install(ctx context.Context, r Request, progress func(string)) error {
	if err := r.check(); err != nil {
		return err
	}
	// Asked before the wait for the lock: an installation that runs tells it too.
	if err := m.admit(ctx, r); err != nil {
		return err
	}
	unlock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	w := &work{Machine: m, request: r, progress: progress}
	for _, step := range []func(context.Context) error{w.open, w.claim, w.files, w.settings, w.commands, w.owners, w.units, w.begin} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	w.made.Phase, w.made.Restart = Installed, false
	return w.write()
}

// Release makes the machine nobody's, once its cell has left. What may be used by
// the next one, content by its digest, stays where the door was opened again. It
// may be repeated.
func (m *Machine) Release(ctx context.Context) error { return m.release(ctx, "") }

// ReleaseCell is Release for one life of a cell. A machine that another one has taken
// since is left alone.
func (m *Machine) ReleaseCell(ctx context.Context, id string) error { return m.release(ctx, id) }

func (m *Machine) release(ctx context.Context, id string) error {
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
		return removeEmpty(m.path(Home))
	case id != "" && c.ID() != id:
		return nil
	case c.Phase != Left:
		return fmt.Errorf("release the machine: cell %s is on it still (%s)", c.ID(), c.Phase)
	}
	return m.forget(c.Reuse)
}

// forget removes what is left of Homeostat's own, files that were half-written
// included, and the claim last. Its directory stays where it holds something
// else.
func (m *Machine) forget(reuse bool) error {
	if !reuse {
		if err := m.removeAll(blobsDir, cacheLock); err != nil {
			return err
		}
	}
	halfWritten, err := filepath.Glob(filepath.Join(m.path(Home), ".homeostat-*"))
	if err != nil {
		return err
	}
	for _, p := range append(halfWritten, m.path(door.Record), m.path(Starter), m.path(claimFile)) {
		m.reached()
		if err := remove(p); err != nil {
			return fmt.Errorf("forget the cell: %w", err)
		}
	}
	return removeEmpty(m.path(Home))
}
