package testkit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// postgresAccount is who runs PostgreSQL, which refuses to run as root: nil for
// this process's own account, and for root that of its package or nobody.
func postgresAccount() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("read the ids of account %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("run PostgreSQL: it refuses to run as root, and there is neither an account postgres nor nobody")
}

// mayEnter reports whether an account may pass through every directory from
// the root to dir.
func mayEnter(account syscall.Credential, dir string) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil || !passes(account, info) {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}

func passes(account syscall.Credential, info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch mode := info.Mode().Perm(); {
	case ok && stat.Uid == account.Uid:
		return mode&0o100 != 0
	case ok && stat.Gid == account.Gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}
