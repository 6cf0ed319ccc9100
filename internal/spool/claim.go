package spool

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// wantedName is the file below a spool's folder that is locked by who waits for the
// folder. The lock ends with its holder, so nobody is waited for in vain.
const wantedName = "wanted"

// claimPause is the pause between two tries to get a folder.
const claimPause = 50 * time.Millisecond

// Claim opens a spool as Open does, for the cell whose own it is. Where another
// process sends it for that cell meanwhile, it is told by Wanted to give it back,
// and waited for up to limit; after that the error is ErrInUse.
func Claim(ctx context.Context, cfg Config, limit time.Duration) (*Spool, error) {
	s, err := Open(ctx, cfg)
	if !errors.Is(err, ErrInUse) {
		return s, err
	}
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var want *os.File
	for {
		if want == nil {
			if want, _ = lockFile(filepath.Join(cfg.Dir, wantedName)); want != nil {
				defer want.Close()
			}
		}
		if s, err := Open(ctx, cfg); !errors.Is(err, ErrInUse) {
			return s, err
		}
		select {
		case <-waiting.Done():
			return nil, err
		case <-time.After(claimPause):
		}
	}
}

// Wanted says whether the cell whose spool is in a folder waits for it.
func Wanted(dir string) bool {
	f, err := os.Open(filepath.Join(dir, wantedName))
	if err != nil {
		return false // nobody has ever waited
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}
