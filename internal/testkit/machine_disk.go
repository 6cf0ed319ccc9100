package testkit

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
)

// mountDisk makes the disk where its directory can't be it: when it has a size,
// and when that lies on an overlay, as in a container, on which there can't be
// another. It is mounted where the switch is, and so kept while the machine is off;
// with the removal of its directory the kernel unmounts it there.
func (m *Machine) mountDisk(ctx context.Context) error {
	size, err := m.memorySize()
	if err != nil || size == "" {
		return err
	}
	return m.atSwitch(ctx, "--mount", "mount", "-t", "tmpfs", "-o", "size="+size, "machine", m.box.data)
}

// memorySize is the size of a disk in memory, or "" where it isn't there.
func (m *Machine) memorySize() (string, error) {
	if m.spec.Disk > 0 {
		return strconv.FormatInt(m.spec.Disk, 10), nil
	}
	const overlay = 0x794c7630
	var system syscall.Statfs_t
	if err := syscall.Statfs(m.box.directory, &system); err != nil {
		return "", fmt.Errorf("look at the file system of %s: %w", m.box.directory, err)
	}
	if system.Type == overlay {
		return "50%", nil
	}
	return "", nil
}

// atSwitch runs a command in one of the switch's namespaces.
func (m *Machine) atSwitch(ctx context.Context, namespace string, command ...string) error {
	pid := m.net.box.PID()
	if pid == 0 {
		return fmt.Errorf("reach machine %s from its switch: that has ended", m.Name())
	}
	return run(ctx, "/", nil, "nsenter", append([]string{"--target", strconv.Itoa(pid), namespace}, command...)...)
}
