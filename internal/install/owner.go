package install

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// resolve finds who a place is to belong to. A user or group that isn't there
// yet leaves it pending: a command of the genome may make it.
func (f *place) resolve() error {
	var err error
	f.uid, f.gid, err = f.ids()
	var noUser user.UnknownUserError
	var noGroup user.UnknownGroupError
	if f.pending = errors.As(err, &noUser) || errors.As(err, &noGroup); f.pending {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the owner of %s: %w", f.path, err)
	}
	return nil
}

// ids are those that a place is to have.
func (f *place) ids() (uid, gid int, err error) {
	uid, gid, err = lookupOwner(f.owner)
	if f.readOnly {
		uid = 0
	}
	return uid, gid, err
}

// lookupOwner finds the ids of "user" or "user:group"; a user alone comes with
// its own group, and nothing is root.
func lookupOwner(owner string) (uid, gid int, err error) {
	if owner == "" {
		return 0, 0, nil
	}
	name, group, hasGroup := strings.Cut(owner, ":")
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	id := u.Gid
	if hasGroup {
		g, err := user.LookupGroup(group)
		if err != nil {
			return 0, 0, err
		}
		id = g.Gid
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(id)
	return uid, gid, errors.Join(err1, err2)
}

// giveOwner gives a place to whom it belongs, once its user is there.
func (m *Machine) giveOwner(f place) error {
	uid, gid, err := f.ids()
	if err != nil {
		return fmt.Errorf("give %s to %s: %w: no command of the genome made it", f.path, f.owner, err)
	}
	m.reached()
	// A change of the owner takes bits of the mode away.
	if err := errors.Join(os.Chown(m.path(f.path), uid, gid), os.Chmod(m.path(f.path), f.mode)); err != nil {
		return fmt.Errorf("give %s to %s: %w", f.path, f.owner, err)
	}
	return nil
}
