package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
)

// wantsFile has systemd run the birth at each boot.
const wantsFile = "/etc/systemd/system/multi-user.target.wants/" + unitName

// errHeld says that a birth, or what removes its remains, is at work.
var errHeld = errors.New("another process makes a cell of this machine, or removes what that has left")

// RemoveRemains removes what a birth has left on a machine that is a cell. The birth
// does so itself, and goes on with it after a reboot, but not once it has told systemd
// to run it no more: a machine that ended just then would keep the rest. While systemd
// would run it, or it runs, nothing is done.
func RemoveRemains(ctx context.Context, m *install.Machine) error {
	n := &Newborn{Machine: m}
	there, err := n.exists(wantsFile)
	if err != nil || there {
		return err
	}
	unit, err := n.exists(unitFile)
	if err != nil {
		return err
	}
	folder, err := n.exists(directory)
	if err != nil || !unit && !folder {
		return err
	}
	release, err := n.hold()
	if errors.Is(err, errHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	defer release()
	return n.finish(ctx)
}

func (n *Newborn) exists(path string) (bool, error) {
	_, err := os.Lstat(n.at(path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// hold locks the birth's folder, where there is one, for as long as this process lives
// or until it is released.
func (n *Newborn) hold() (release func(), err error) {
	folder, err := os.Open(n.at(directory))
	if errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lock the birth: %w", err)
	}
	if err := unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = folder.Close() // it was only read
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errHeld
		}
		return nil, fmt.Errorf("lock the birth: %w", err)
	}
	return func() { _ = folder.Close() }, nil
}
