package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/prometheus/procfs"
)

// cellMark names the cell in the environment of everything that runs in it.
const cellMark = "HOMEOSTAT_CELL_ID"

// identity tells one process from all others of a boot: process ids are used
// again, the pair of id and start time is not.
type identity struct {
	pid     int
	started uint64
}

// member is one process of the application.
type member struct {
	identity
	parent, group, session int
	zombie                 bool
}

// family knows the processes that come of the application's first ones.
//
// A process belongs to it when its parent does; when it is in the process
// group of a first process; when it was seen in the family before, as an
// orphan shows no more whose child it was; or when its environment carries the
// mark, which survives double forks and sessions of their own. It also belongs
// when it is an orphan that has come to this process with a session of its own
// and an environment without any mark, neither the application's nor the
// cell's: programs that show a title in place of their environment, as
// PostgreSQL's do, look like that, and what this sidecar starts otherwise does
// not. A process that carries the mark of another cell never belongs to it: a
// leader's Terraform, or the application itself, may give birth to cells.
//
// What escapes all of these between two looks is a process that is left by its
// parent, with a process group but no session of its own, and has cleared its
// environment.
type family struct {
	self  int
	value string // of the mark
	cell  string // the value of cellMark, if any
	// adopts is set where all that this sidecar starts carries the cell's mark.
	adopts bool

	mu sync.Mutex
	// first holds the first processes, which os/exec waits for.
	first map[identity]bool
	// groups holds the process groups of first processes that may have members.
	groups map[int]bool
	known  map[identity]bool
}

func newFamily(environment []string) (*family, error) {
	self, err := procfs.Self()
	if err != nil {
		return nil, fmt.Errorf("read /proc, which tells what the application has started: %w", err)
	}
	stat, err := self.Stat()
	if err != nil {
		return nil, fmt.Errorf("read this process's own entry in /proc: %w", err)
	}
	cell := lookup(environment, cellMark)
	return &family{
		self:   os.Getpid(),
		value:  strconv.Itoa(os.Getpid()) + "." + strconv.FormatUint(stat.Starttime, 10),
		cell:   cell,
		adopts: cell != "" && os.Getenv(cellMark) == cell,
		first:  map[identity]bool{},
		groups: map[int]bool{},
		known:  map[identity]bool{},
	}, nil
}

// begin adds a first process, which leads a process group of its own.
func (f *family) begin(pid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.groups[pid] = true
	if m, err := read(pid); err == nil {
		f.first[m.identity], f.known[m.identity] = true, true
	}
}

// members returns the family's living processes, oldest first. A deep look
// reads the mark of every process on the machine, a shallow one none.
func (f *family) members(deep bool) ([]member, error) {
	all, own, err := f.survey(deep)
	return slices.DeleteFunc(all, func(m member) bool { return !own[m.pid] || m.zombie }), err
}

// survey lists all processes and tells which are the family's.
func (f *family) survey(deep bool) (all []member, own map[int]bool, err error) {
	// The list is made under the lock: a first process that begins meanwhile
	// would be forgotten for not being on it.
	f.mu.Lock()
	defer f.mu.Unlock()
	if all, err = processes(); err != nil {
		return nil, nil, err
	}
	own = map[int]bool{}
	// A child may have a lower id than its parent when ids begin anew, so this
	// goes on until nothing is added.
	for added := true; added; {
		added = false
		for _, m := range all {
			if !own[m.pid] && f.owns(m, own, deep) {
				own[m.pid], added = true, true
			}
		}
	}
	f.remember(all, own)
	return all, own, nil
}

func (f *family) owns(m member, own map[int]bool, deep bool) bool {
	if m.pid == f.self {
		return false
	}
	near := own[m.parent] || f.known[m.identity] || f.groups[m.group]
	if m.zombie || !near && !deep {
		return near // a zombie's environment can't be read
	}
	environment, err := environ(m.pid)
	if err != nil {
		return near
	}
	cell, mark := lookup(environment, cellMark), lookup(environment, Mark)
	switch {
	case f.cell != "" && cell != "" && cell != f.cell:
		return false
	case near || mark == f.value:
		return true
	default:
		return f.adopts && cell == "" && mark == "" && m.parent == f.self && m.session == m.pid
	}
}

// remember keeps what was seen of the family, zombies included, and forgets
// what is gone.
func (f *family) remember(all []member, own map[int]bool) {
	known, groups := map[identity]bool{}, map[int]bool{}
	for _, m := range all {
		if own[m.pid] {
			known[m.identity] = true
			if f.groups[m.group] {
				groups[m.group] = true
			}
		}
	}
	f.known, f.groups = known, groups
	for id := range f.first {
		if !known[id] {
			delete(f.first, id)
		}
	}
}

// orphan tells whether a zombie child of this process was left by somebody
// else's child, so that nothing in this program waits for it. Those that this
// program started itself, for os/exec to wait for, are in its own process
// group, or lead one in its own session.
func (f *family) orphan(m member) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first[m.identity] {
		return false
	}
	return f.known[m.identity] || m.session == m.pid || m.group != m.pid && m.group != syscall.Getpgrp()
}

// processes lists all processes, the oldest first.
func processes() ([]member, error) {
	procs, err := procfs.AllProcs()
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	all := make([]member, 0, len(procs))
	for _, p := range procs {
		m, err := read(p.PID)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b member) int {
		if a.started != b.started {
			return int(a.started) - int(b.started)
		}
		return a.pid - b.pid
	})
	return all, nil
}

func read(pid int) (member, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return member{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	s, err := p.Stat()
	if err != nil {
		return member{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	return member{
		identity: identity{pid: pid, started: s.Starttime},
		parent:   s.PPID, group: s.PGRP, session: s.Session,
		zombie: s.State == "Z" || s.State == "X",
	}, nil
}

// environ returns a process's environment. It can't be read of one that has
// ended, or that belongs to somebody else.
func environ(pid int) ([]string, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return nil, fmt.Errorf("read process %d: %w", pid, err)
	}
	environment, err := p.Environ()
	if err != nil {
		return nil, fmt.Errorf("read the environment of process %d: %w", pid, err)
	}
	return environment, nil
}

// gone tells the error of reading a process that has ended meanwhile.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// lookup returns a variable's value: the last one, as for os/exec.
func lookup(environment []string, name string) string {
	for _, entry := range slices.Backward(environment) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
