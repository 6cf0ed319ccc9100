package birth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Newborn is a cell's first process, begun or adopted.
type Newborn struct {
	identity
	// Adopted is set when it ran already.
	Adopted bool
	Record  Record

	exit chan string
}

// Running reports whether it still runs.
func (n *Newborn) Running() (bool, error) { return n.running() }

// Exit says how it ended, as far as can be known: a process that was adopted
// is nobody's child here, and nobody is told its status.
func (n *Newborn) Exit(ctx context.Context) string {
	select {
	case status := <-n.exit:
		return status
	case <-ctx.Done():
		return "exit status not known"
	}
}

// Adopt takes over what runs of the same incarnation, command and environment.
// It returns nil when there is nothing of that kind.
func (h *Held) Adopt(spec Spec) (*Newborn, error) {
	if err := h.check(spec); err != nil {
		return nil, err
	}
	r, err := readRecord(h.dir)
	if err != nil || r == nil {
		return nil, err
	}
	sameBoot, err := h.host.sees(r.cell(), r.Host)
	if err != nil || !sameBoot || !r.Of(spec) || r.Phase == Ended {
		return nil, err
	}
	leader, err := findLeader(*r)
	if err != nil || leader == (identity{}) {
		return nil, err
	}
	r.PID, r.Started = leader.PID, leader.Started
	if err := r.write(h.dir); err != nil {
		return nil, err
	}
	return &Newborn{identity: leader, Adopted: true, Record: *r}, nil
}

func (h *Held) check(spec Spec) error {
	if err := spec.Validate(); err != nil {
		return err
	}
	if spec.Service != h.service || spec.Name != h.name {
		return fmt.Errorf("begin cell %s/%s: the lock held is that of %s/%s", spec.Service, spec.Name, h.service, h.name)
	}
	return nil
}

// findLeader returns the cell's first process if it runs. Where the birth was
// cut before its id was noted, it is the process that carries the mark and
// began its own session. One that is about to become its program shows no
// environment for an instant, hence the second and third look.
func findLeader(r Record) (identity, error) {
	if r.PID > 0 {
		alive, err := r.leader().running()
		if err != nil || !alive {
			return identity{}, err
		}
		return r.leader(), nil
	}
	for look := range 3 {
		if look > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		found, err := newHunt(r).sweep()
		if err != nil {
			return identity{}, err
		}
		for _, p := range found {
			if p.Session == p.PID && readMark(p.PID).ID == r.ID() {
				return p.identity, nil
			}
		}
	}
	return identity{}, nil
}

// Start puts the intention on disk, then begins the process in a session of
// its own, with no input, its output in the log file, and no other descriptor.
// It refuses while anything of an earlier life runs.
func (h *Held) Start(spec Spec) (*Newborn, error) {
	if err := h.check(spec); err != nil {
		return nil, err
	}
	sight, err := h.Look(h.service, h.name)
	if err != nil {
		return nil, err
	}
	if sight.Left > 0 {
		return nil, fmt.Errorf("start cell %s: %d processes of %s still run", sight.Record.cell(), sight.Left, sight.Record.ID())
	}
	if err := claimData(spec); err != nil {
		return nil, err
	}
	return h.start(spec)
}

func (h *Held) start(spec Spec) (*Newborn, error) {
	record := newRecord(spec, h.host)
	if err := record.write(h.dir); err != nil {
		return nil, err
	}
	cmd, err := h.command(spec)
	if err != nil {
		return nil, errors.Join(err, h.forgetIntention())
	}
	log, err := os.OpenFile(filepath.Join(h.dir, logFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the cell's log: %w", err), h.forgetIntention())
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	if err := keepDescriptors(); err != nil {
		return nil, errors.Join(err, h.forgetIntention())
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %q: %w", spec.Command[0], err), h.forgetIntention())
	}
	return h.note(record, cmd)
}

// note writes down which process it is. Until its status is taken, its id is
// its own even if it has ended.
func (h *Held) note(record Record, cmd *exec.Cmd) (*Newborn, error) {
	p, ok, err := stat(cmd.Process.Pid)
	if err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("read the start time of process %d", cmd.Process.Pid), err, cmd.Process.Kill(), cmd.Wait())
	}
	record.PID, record.Started = p.PID, p.Started
	newborn := &Newborn{identity: p.identity, Record: record, exit: make(chan string, 1)}
	go func() {
		_ = cmd.Wait() // The state says more than the error does.
		newborn.exit <- cmd.ProcessState.String()
	}()
	if err := record.write(h.dir); err != nil {
		return nil, errors.Join(err, p.signal(syscall.SIGKILL))
	}
	return newborn, nil
}

func (h *Held) command(spec Spec) (*exec.Cmd, error) {
	dir := spec.Directory
	if dir == "" {
		dir = filepath.Join(h.dir, workDirectory)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the cell's working directory: %w", err)
		}
	}
	argv, err := h.scopes.wrap(spec, dir)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = spec.environ(h.environ)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, nil
}

// forgetIntention takes back the record of a birth that never had a process.
func (h *Held) forgetIntention() error {
	return os.Remove(filepath.Join(h.dir, "cell.json"))
}

// keepDescriptors sees to it that no open file of this program reaches a
// newborn. Go's own never do; those that this program was itself born with
// would.
func keepDescriptors() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list open descriptors: %w", err)
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
