package birth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// killTime is how long processes may take to go after SIGKILL. One that is
// still there waits in the kernel, for a disk or a network file system.
const killTime = 10 * time.Second

// lastGrace is what processes get that outlived their sidecar, at least.
const lastGrace = 2 * time.Second

// ErrSelf says that the caller is itself part of the cell it is to end.
var ErrSelf = errors.New("this run is itself part of the cell, so it can't end it")

// Born notes that the birth is over: the cell has been seen passing.
func (h *Held) Born() error {
	r, err := readRecord(h.dir)
	if err != nil {
		return err
	}
	if r == nil {
		return fmt.Errorf("finish the birth of %s/%s: its record is gone", h.service, h.name)
	}
	r.Phase = Born
	return r.write(h.dir)
}

// End ends every process of the cell and returns when none is left: SIGTERM to
// the sidecar, which stops its application; after grace SIGTERM to what
// outlived it; then SIGKILL for all. The log stays until Forget.
func (h *Held) End(ctx context.Context, grace time.Duration) error {
	r, err := readRecord(h.dir)
	if err != nil || r == nil {
		return err
	}
	sameBoot, err := h.host.sees(r.cell(), r.Host)
	if err != nil {
		return err
	}
	if sameBoot {
		if err := h.endProcesses(ctx, *r, grace); err != nil {
			return fmt.Errorf("end the processes of cell %s: %w", r.cell(), err)
		}
	}
	r.Phase, r.PID, r.Started = Ended, 0, 0
	return r.write(h.dir)
}

func (h *Held) endProcesses(ctx context.Context, r Record, grace time.Duration) error {
	// Without a note of it, the first process is looked for by its mark.
	leader, err := findLeader(r)
	if err != nil {
		return err
	}
	if leader != (identity{}) {
		r.PID, r.Started = leader.PID, leader.Started
	}
	hunt := newHunt(r)
	found, err := hunt.sweep()
	if err != nil {
		return err
	}
	if includesSelf(found) {
		return ErrSelf
	}
	until := time.Now().Add(grace)
	if leader != (identity{}) {
		if err := leader.signal(syscall.SIGTERM); err != nil {
			return err
		}
		if err := hunt.waitFor(ctx, until, func(found []process) bool { return !has(found, leader) }); err != nil {
			return err
		}
	}
	if err := hunt.terminateRest(ctx, leader, until); err != nil {
		return err
	}
	return hunt.kill(ctx)
}

// terminateRest asks those to end that outlived their sidecar.
func (h *hunt) terminateRest(ctx context.Context, leader identity, until time.Time) error {
	found, err := h.sweep()
	if err != nil || len(found) == 0 || has(found, leader) {
		return err
	}
	if err := signalAll(found, syscall.SIGTERM); err != nil {
		return err
	}
	if least := time.Now().Add(lastGrace); until.Before(least) {
		until = least
	}
	return h.waitFor(ctx, until, func(found []process) bool { return len(found) == 0 })
}

// kill stops all processes first, so that none can begin another while they
// are counted, and kills them when a sweep finds no new one.
func (h *hunt) kill(ctx context.Context) error {
	until := time.Now().Add(killTime)
	for quiet := 0; ; {
		found, frozen := h.freeze()
		killed := signalAll(found, syscall.SIGKILL)
		if err := errors.Join(frozen, killed); err != nil {
			return err
		}
		if len(found) == 0 {
			if quiet++; quiet == quietLooks {
				return nil
			}
			if wait.For(ctx, 5*time.Millisecond) != nil {
				return context.Cause(ctx)
			}
			continue
		}
		quiet = 0
		if err := h.waitFor(ctx, time.Now().Add(time.Second), func(found []process) bool { return len(found) == 0 }); err != nil {
			return err
		}
		left, err := h.sweep()
		if err != nil {
			return err
		}
		if len(left) > 0 && time.Now().After(until) {
			return fmt.Errorf("%d are still there %v after SIGKILL: %s", len(left), killTime, titles(left))
		}
	}
}

// freeze returns all it found even when it fails, so that none stays stopped.
func (h *hunt) freeze() ([]process, error) {
	var found []process
	for frozen := map[identity]bool{}; ; {
		next, err := h.sweep()
		if err != nil {
			return found, err
		}
		found = next
		fresh := slices.DeleteFunc(slices.Clone(found), func(p process) bool { return frozen[p.identity] })
		if len(fresh) == 0 {
			return found, nil
		}
		if err := signalAll(fresh, syscall.SIGSTOP); err != nil {
			return found, err
		}
		for _, p := range fresh {
			frozen[p.identity] = true
		}
	}
}

func signalAll(all []process, sig syscall.Signal) error {
	var errs []error
	for _, p := range all {
		errs = append(errs, p.signal(sig))
	}
	return errors.Join(errs...)
}

// waitFor sweeps, ever more seldom, until done says so or the time is over;
// only the context's end is an error.
func (h *hunt) waitFor(ctx context.Context, until time.Time, done func([]process) bool) error {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		found, err := h.sweep()
		if err != nil || done(found) {
			return err
		}
		left := time.Until(until)
		if left <= 0 {
			return nil
		}
		if wait.For(ctx, min(pause, left)) != nil {
			return fmt.Errorf("%d processes left: %w", len(found), context.Cause(ctx))
		}
	}
}

func has(found []process, id identity) bool {
	for _, p := range found {
		if p.identity == id {
			return true
		}
	}
	return false
}

func titles(found []process) string {
	var all []string
	for _, p := range found[:min(len(found), 5)] {
		all = append(all, title(p.PID))
	}
	return strings.Join(all, ", ")
}
