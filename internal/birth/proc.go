package birth

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// identity tells one process from all others of a boot: ids are used again,
// the pair of id and start time is not.
type identity struct {
	PID int
	// Started is field 22 of /proc/PID/stat, clock ticks after boot.
	Started uint64
}

// process is one line of /proc.
type process struct {
	identity
	Parent, Session int
	State           byte
}

// running is false for a process that has ended and only waits to be reaped.
func (p process) running() bool { return p.State != 'Z' && p.State != 'X' }

// parseStat reads the content of /proc/PID/stat. The second field is the
// program's name in parentheses, which may hold anything, parentheses and
// spaces too, so the fields are counted from the last one.
func parseStat(b []byte) (process, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("parse %q: no name in parentheses", b)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:open])))
	if err != nil {
		return process{}, fmt.Errorf("parse the process id: %w", err)
	}
	fields := strings.Fields(string(b[end+1:]))
	if len(fields) < 20 || len(fields[0]) != 1 {
		return process{}, fmt.Errorf("parse process %d: %d fields after the name, of which 20 are needed", pid, len(fields))
	}
	parent, err1 := strconv.Atoi(fields[1])
	session, err2 := strconv.Atoi(fields[3])
	started, err3 := strconv.ParseUint(fields[19], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return process{}, fmt.Errorf("parse process %d: %w", pid, err)
	}
	return process{identity: identity{PID: pid, Started: started}, Parent: parent, Session: session, State: fields[0][0]}, nil
}

// stat reads one process; ok is false when there is none of that id.
func stat(pid int) (p process, ok bool, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if gone(err) {
		return process{}, false, nil
	}
	if err != nil {
		return process{}, false, fmt.Errorf("read process %d: %w", pid, err)
	}
	p, err = parseStat(b)
	return p, err == nil, err
}

// gone reports whether a read of /proc failed because the process ended.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

// running reports whether exactly this process still runs.
func (id identity) running() (bool, error) {
	if id.PID <= 0 {
		return false, nil
	}
	p, ok, err := stat(id.PID)
	return ok && p.identity == id && p.running(), err
}

// signal sends to exactly this process, and does nothing when it has ended.
// The handle that os.FindProcess holds is bound to one process where the
// kernel allows it, so an id that is used again between look and send is safe.
func (id identity) signal(sig syscall.Signal) error {
	handle, err := os.FindProcess(id.PID)
	if err != nil {
		return fmt.Errorf("find process %d: %w", id.PID, err)
	}
	defer func() { _ = handle.Release() }()
	if alive, err := id.running(); err != nil || !alive {
		return err
	}
	err = handle.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("send %v to process %d: %w", sig, id.PID, err)
	}
	return nil
}

// processes lists what runs on this host.
func processes() ([]process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		p, ok, err := stat(pid)
		if err != nil {
			return nil, err
		}
		if ok && p.running() {
			all = append(all, p)
		}
	}
	return all, nil
}

// mark is what a process's environment says about whose it is.
type mark struct {
	// ID is the value of the marker, empty without one.
	ID string
	// Intact is set when the environment can be read and looks like one. A
	// program that writes its title over it, as PostgreSQL does, leaves it
	// otherwise.
	Intact bool
}

// readMark reads the environment of a process. One that may not be read is
// another user's, and so is not ours to judge.
func readMark(pid int) mark {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return mark{Intact: !gone(err)}
	}
	return parseMark(b)
}

func parseMark(environ []byte) mark {
	var m mark
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		name, value, ok := bytes.Cut(entry, []byte{'='})
		if !ok {
			continue
		}
		switch string(name) {
		case Marker:
			m.ID, m.Intact = string(value), true
		case "PATH", "HOME":
			m.Intact = true
		}
	}
	return m
}

// title is a process's command line for people, or its number.
func title(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	line := strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " "))
	if err != nil || line == "" {
		return strconv.Itoa(pid)
	}
	if len(line) > 80 {
		line = line[:80] + "..."
	}
	return fmt.Sprintf("%d (%s)", pid, line)
}
