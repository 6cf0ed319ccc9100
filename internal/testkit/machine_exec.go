package testkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
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

// LetIn gives a machine of which the keys are late its keys and its authority.
func (m *Machine) LetIn(ctx context.Context) error {
	_, err := m.Exec(ctx, "sh", "-c", letInScript, "sh", m.spec.User, strings.Join(m.spec.AuthorizedKeys, "\n"), m.spec.UserCA)
	return err
}

// first is the machine's first process, as it is known here: the one that has the
// id 1 two namespaces further down than what started it.
func (m *Machine) first() (int, error) {
	box := m.box.PID()
	depth := len(namespaceIDs(box)) + 2
	for _, pid := range family(box) {
		ids := namespaceIDs(pid)
		if len(ids) != depth || ids[depth-1] != "1" {
			continue
		}
		// Before it is systemd it is a part of nspawn, and not in its place.
		if program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && filepath.Base(program) == "systemd" {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("find the first process of machine %s: %w", m.Name(), errMachineOff)
}

var errMachineOff = errors.New("it is off, or hasn't begun to boot")

// namespaceIDs are the ids of a process, from this process's namespace down to
// its own.
func namespaceIDs(pid int) []string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil // it ended meanwhile
	}
	for line := range strings.Lines(string(status)) {
		if ids, found := strings.CutPrefix(line, "NSpid:"); found {
			return strings.Fields(ids)
		}
	}
	return nil
}
