package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
)

const (
	// stopLimit is how long a sidecar may take to stop: a running apply and the
	// drain of its application. It is that of the unit.
	stopLimit = 10 * time.Minute
	// killLimit is how long killed processes may take to be gone.
	killLimit = 10 * time.Second
	lookPause = 20 * time.Millisecond
)

// cellProcess is a process that carries a cell's mark.
type cellProcess struct {
	pid  int
	line string // words parted by zero bytes
}

// isSidecar tells the sidecar from what it started. A script's words come after
// those of its interpreter.
func (p cellProcess) isSidecar(program string) bool {
	return strings.Contains("\x00"+p.line, "\x00"+program+"\x00run\x00")
}

// cellProcesses lists the processes of a cell, without this one and those it
// descends from: a cell that undoes itself ends by itself.
func cellProcesses(id string) ([]cellProcess, error) {
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	own := ancestry()
	mark := []byte("\x00" + birth.Marker + "=" + id + "\x00")
	var found []cellProcess
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(name))
		if err != nil || own[pid] {
			continue
		}
		environment, err := os.ReadFile(filepath.Join(name, "environ"))
		if err != nil || !bytes.Contains(append([]byte{0}, environment...), mark) {
			continue // it ended, or is the kernel's
		}
		line, err := os.ReadFile(filepath.Join(name, "cmdline"))
		if err != nil || len(line) == 0 {
			continue // it ended this instant
		}
		found = append(found, cellProcess{pid: pid, line: string(line)})
	}
	return found, nil
}

// ancestry is this process and those above it.
func ancestry() map[int]bool {
	own := map[int]bool{}
	for pid := os.Getpid(); pid > 0 && !own[pid]; pid = parentOf(pid) {
		own[pid] = true
	}
	return own
}

func parentOf(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The second field is a name in parentheses, which may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1]) // 0 ends the way up
	return parent
}

// stopDetached has the sidecar stop, and then ends what is left of the cell.
func (m *Machine) stopDetached(ctx context.Context, id string) error {
	sidecars := func() ([]cellProcess, error) {
		all, err := cellProcesses(id)
		var found []cellProcess
		for _, p := range all {
			if p.isSidecar(m.path(Program)) {
				found = append(found, p)
			}
		}
		return found, err
	}
	err := signalUntilGone(ctx, sidecars, syscall.SIGTERM, stopLimit)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("stop the cell: %w", err)
	}
	all := func() ([]cellProcess, error) { return cellProcesses(id) }
	if err := signalUntilGone(ctx, all, syscall.SIGKILL, killLimit); err != nil {
		return fmt.Errorf("stop the cell: %w", err)
	}
	return nil
}

// signalUntilGone sends each process a signal once, and waits until there is
// none.
func signalUntilGone(ctx context.Context, find func() ([]cellProcess, error), signal syscall.Signal, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("its processes run on %s after %v", limit, signal))
	defer cancel()
	told := map[int]bool{}
	for {
		found, err := find()
		if err != nil || len(found) == 0 {
			return err
		}
		for _, p := range found {
			if told[p.pid] {
				continue
			}
			told[p.pid] = true
			if err := syscall.Kill(p.pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lookPause):
		}
	}
}
