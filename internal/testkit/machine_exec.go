package testkit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/machine"
)

// Exec runs a command on the machine as root without entering it by its door, to
// judge from outside, and returns what it printed. When ctx is done the command
// is killed.
func (m *Machine) Exec(ctx context.Context, command ...string) (string, error) {
	first, err := m.first()
	if err != nil {
		return "", err
	}
	args := append([]string{
		"--target", strconv.Itoa(first), "--all", "--", "env", "-i",
		"HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}, command...)
	cmd := exec.CommandContext(ctx, "nsenter", args...)
	// nsenter only waits for the command, which is in its process group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("run %q on machine %s: %w: %s", command, m.Name(), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Path is where a file of the machine is found from outside while it is on.
func (m *Machine) Path(path string) (string, error) {
	first, err := m.first()
	if err != nil {
		return "", err
	}
	return filepath.Join("/proc", strconv.Itoa(first), "root", path), nil
}

// Process is the id, as it is known here, of a process of the machine whose command
// line begins with the words; 0 when there is none. It looks at the machine's own
// processes only, so that what lives for a moment can be met.
func (m *Machine) Process(words string) (int, error) {
	pids, err := machine.CgroupProcesses(m.cgroupPath())
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.HasPrefix(strings.ReplaceAll(string(line), "\x00", " "), words) {
			return pid, nil
		}
	}
	return 0, nil
}

// LetIn gives a machine of which the keys are late its keys and its authority.
func (m *Machine) LetIn(ctx context.Context) error {
	_, err := m.Exec(ctx, machine.LetIn(m.spec.User, strings.Join(m.spec.AuthorizedKeys, "\n"), m.spec.UserCA)...)
	return err
}

// first is the machine's first process, as it is known here.
func (m *Machine) first() (int, error) {
	pids, err := machine.CgroupProcesses(m.cgroupPath())
	if err != nil {
		return 0, err
	}
	first, err := machine.First(pids)
	if err != nil {
		return 0, fmt.Errorf("find the first process of machine %s: %w", m.Name(), err)
	}
	return first, nil
}
