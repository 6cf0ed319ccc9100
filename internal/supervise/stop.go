package supervise

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	// stepMin and stepMax bound the time between two looks at what is left.
	stepMin, stepMax = 10 * time.Millisecond, 200 * time.Millisecond
	// killTime is how long processes may take to go after SIGKILL. One that is
	// still there waits in the kernel, for a disk or a network file system.
	killTime = 10 * time.Second
	// quietLooks is how many looks in a row must find nothing. A process that is
	// just becoming another program shows no environment for an instant, and one
	// that begins while /proc is listed isn't on the list.
	quietLooks = 3
)

// stop ends every process of the application and returns when none is left:
// SIGTERM to its process group, SIGTERM to what outlived the first process,
// and SIGKILL to all once the grace is over. It is also what clears up after a
// first process that ended by itself, whose children may hold its port.
func (a *Application) stop(s *started) error {
	deadline := time.Now().Add(a.Grace)
	asked := a.askGroup(s)
	select {
	case <-s.done:
	case <-time.After(time.Until(deadline)):
	}
	quiet := 0
	for pause := stepMin; ; pause = min(2*pause, stepMax) {
		left, err := a.family.members(true)
		late := time.Since(deadline)
		if err == nil && len(left) == 0 && s.ended() {
			if quiet++; quiet == quietLooks {
				return nil
			}
			time.Sleep(stepMin)
			continue
		}
		quiet = 0
		switch {
		case err != nil && late > 0:
			return fmt.Errorf("end the application: %w", errors.Join(err, a.killGroup(s)))
		case late > killTime:
			return fmt.Errorf("end the application: processes %v are still there %v after SIGKILL", ids(left), killTime)
		case late > 0:
			a.signalAll(left, syscall.SIGKILL)
		default:
			a.askRest(left, asked)
		}
		time.Sleep(pause)
	}
}

// askGroup sends SIGTERM to the process group of a first process that hasn't
// ended, and returns who was in it. They are not asked again: many programs
// take a second SIGTERM for impatience.
func (a *Application) askGroup(s *started) map[identity]bool {
	asked := map[identity]bool{}
	if s.ended() {
		return asked
	}
	pid := s.cmd.Process.Pid
	members, err := a.family.members(false)
	for _, m := range members {
		asked[m.identity] = m.group == pid
	}
	// Its status may have been taken by now, and then the group may be gone.
	if err = errors.Join(err, ignoreGone(syscall.Kill(-pid, syscall.SIGTERM))); err != nil {
		a.Log.Warn("could not ask the application to end", "pid", pid, "error", err)
	}
	return asked
}

// killGroup is what is left to do where /proc can't be read.
func (a *Application) killGroup(s *started) error {
	if s.ended() {
		return nil
	}
	return ignoreGone(syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL))
}

// askRest sends SIGTERM, once each, to the processes that outlived the first.
func (a *Application) askRest(left []member, asked map[identity]bool) {
	for _, m := range left {
		if !asked[m.identity] {
			asked[m.identity] = true
			a.signalAll([]member{m}, syscall.SIGTERM)
		}
	}
}

func (a *Application) signalAll(members []member, sig syscall.Signal) {
	for _, m := range members {
		if err := m.signal(sig); err != nil {
			a.Log.Warn("could not signal a process of the application", "pid", m.pid, "signal", sig, "error", err)
		}
	}
}

// signal reaches this process and never one that got its id since: the handle
// that os.FindProcess returns stays with the process it was made for.
func (m member) signal(sig syscall.Signal) error {
	p, err := os.FindProcess(m.pid)
	if err != nil {
		return fmt.Errorf("find process %d: %w", m.pid, err)
	}
	defer func() { _ = p.Release() }()
	if now, err := read(m.pid); err != nil || now.identity != m.identity {
		return ignoreGone(err)
	}
	return ignoreGone(p.Signal(sig))
}

func ignoreGone(err error) error {
	if gone(err) || errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

func (s *started) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func ids(members []member) []int {
	var pids []int
	for _, m := range members {
		pids = append(pids, m.pid)
	}
	return pids
}
