package machine

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"syscall"
)

// MountDisk makes the disk where a directory can't be it: when it has a size, in
// bytes, and when the directory lies on an overlay, as in a container, on which
// there can't be another. It is mounted where the switch is, and so kept while the
// machine is off; with the removal of the directory the kernel unmounts it there.
func MountDisk(ctx context.Context, theSwitch int, directory string, size int64) error {
	bytes, err := memorySize(directory, size)
	if err != nil || bytes == "" {
		return err
	}
	return AtSwitch(ctx, theSwitch, "--mount", "mount", "-t", "tmpfs", "-o", "size="+bytes, "machine", directory)
}

// memorySize is the size of a disk in memory, or "" where it isn't there.
func memorySize(directory string, size int64) (string, error) {
	if size > 0 {
		return strconv.FormatInt(size, 10), nil
	}
	const overlay = 0x794c7630
	var system syscall.Statfs_t
	if err := syscall.Statfs(directory, &system); err != nil {
		return "", fmt.Errorf("look at the file system of %s: %w", directory, err)
	}
	if system.Type == overlay {
		return "50%", nil
	}
	return "", nil
}

// AtSwitch runs a command in one of the namespaces of the process that holds the
// switch: --net, --mount.
func AtSwitch(ctx context.Context, theSwitch int, namespace string, command ...string) error {
	arguments := append([]string{"--target", strconv.Itoa(theSwitch), namespace}, command...)
	if out, err := exec.CommandContext(ctx, "nsenter", arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("run %q at the switch: %w: %s", command, err, bytes.TrimSpace(out))
	}
	return nil
}
