package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user that PostgreSQL runs as; nil is this program's own.
type account struct{ uid, gid uint32 }

// unprivileged gives the account for PostgreSQL, which refuses to run as root:
// this one, or when that is root the user postgres, else nobody.
func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("read the id of user %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("read the group of user %s: %w", name, err)
		}
		return &account{uint32(uid), uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody; start the cell as another user")
}

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// own gives a directory to the account.
func (a *account) own(directory string) error {
	if a == nil {
		return nil
	}
	if err := a.reaches(directory); err != nil {
		return err
	}
	if err := os.Lchown(directory, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("give the data directory to user %d: %w", a.uid, err)
	}
	return nil
}

// reaches checks that the account may enter every folder above a directory,
// which PostgreSQL would report less clearly.
func (a *account) reaches(directory string) error {
	for above := filepath.Dir(directory); ; above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if err != nil {
			return fmt.Errorf("look at %s: %w", above, err)
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		entered := info.Mode()&0o001 != 0 || ok && owner.Uid == a.uid && info.Mode()&0o100 != 0
		if !entered {
			return fmt.Errorf("PostgreSQL runs as user %d, who may not enter %s (%s); allow it or put the data elsewhere",
				a.uid, above, info.Mode())
		}
		if above == filepath.Dir(above) {
			return nil
		}
	}
}
