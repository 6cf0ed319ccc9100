package door

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// process is one of /proc.
type process struct {
	pid, parent, uid int
	program          string // the file it runs; empty for the kernel's
	line             string // its command line or title, words parted by spaces
}

// base is the name of the program. One that was replaced meanwhile has a note
// behind its name.
func (p process) base() string { return filepath.Base(strings.TrimSuffix(p.program, " (deleted)")) }

// words are those of the command line.
func (p process) words() []string { return strings.Fields(p.line) }

// processes lists those of this machine.
func processes() ([]process, error) {
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		p, err := readProcess(pid)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list processes: %w", err)
		}
		if p != nil {
			all = append(all, *p)
		}
	}
	return all, nil
}

// readProcess returns nil for one that has ended and only waits to be reaped.
func readProcess(pid int) (*process, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return nil, err
	}
	p := &process{pid: pid}
	for text := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(text, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		switch name {
		case "State":
			if fields[0] == "Z" || fields[0] == "X" {
				return nil, nil
			}
		case "PPid":
			p.parent, err = strconv.Atoi(fields[0])
		case "Uid":
			p.uid, err = strconv.Atoi(fields[0])
		}
		if err != nil {
			return nil, err
		}
	}
	line, err := os.ReadFile(dir + "/cmdline")
	if err != nil {
		return nil, err
	}
	p.line = strings.TrimSpace(string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
	if p.program, err = os.Readlink(dir + "/exe"); err != nil {
		p.program = "" // the kernel's own, or one that just ended
	}
	return p, nil
}

// ancestry is this process and those above it, from below.
func ancestry(all []process) []process {
	byID := map[int]process{}
	for _, p := range all {
		byID[p.pid] = p
	}
	var chain []process
	for p, ok := byID[os.Getpid()]; ok; p, ok = byID[p.parent] {
		chain = append(chain, p)
	}
	return chain
}
