package birth

import (
	"fmt"
	"os"
)

// Self returns the id and the start time, in clock ticks after boot, of this
// very process. Together with the boot they name it for good.
func Self() (pid int, started uint64, err error) {
	p, ok, err := stat(os.Getpid())
	if err != nil {
		return 0, 0, fmt.Errorf("read this process's start time: %w", err)
	}
	if !ok {
		return 0, 0, fmt.Errorf("read this process's start time: /proc doesn't show process %d", os.Getpid())
	}
	return p.PID, p.Started, nil
}

// Running reports whether the process with that id and start time runs on this
// machine since its last boot. A process id that was given to another process
// since is not running.
func Running(pid int, started uint64) (bool, error) {
	return identity{PID: pid, Started: started}.running()
}
