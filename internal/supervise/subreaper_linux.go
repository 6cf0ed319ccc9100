package supervise

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// becomeSubreaper makes orphans below this process its children.
func becomeSubreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the parent of orphans: %w", err)
	}
	return nil
}
