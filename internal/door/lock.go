package door

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockFile is locked by whoever shuts the door, for as long as the process lives. It
// goes with the machine's next boot, and when the door is opened again.
const lockFile = "/run/homeostat-door.lock"

const lockPause = 100 * time.Millisecond

// errBusy says that somebody else is shutting the door.
var errBusy = errors.New("another process is shutting the door")

// tryLock takes the lock, or returns errBusy.
func tryLock() (unlock func(), err error) {
	f, err := os.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the door: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written to it
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errBusy
		}
		return nil, fmt.Errorf("lock the door: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

// lock waits for the lock until ctx ends.
func lock(ctx context.Context) (unlock func(), err error) {
	for {
		unlock, err := tryLock()
		if !errors.Is(err, errBusy) {
			return unlock, err
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errBusy, context.Cause(ctx))
		}
	}
}
