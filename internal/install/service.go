package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
)

// units starts what the genome wants to run before the cell.
func (w *work) units(ctx context.Context) error {
	if !w.hasSystemd() {
		return nil
	}
	if err := w.Systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	for _, name := range w.bundle.Genome.Units {
		if err := w.step(ctx, "start %s", name); err != nil {
			return err
		}
		if !w.active(ctx, name) {
			w.note(Made{Kind: StartedUnit, Path: name})
			if err := w.write(); err != nil {
				return err
			}
		}
		if err := w.Systemctl(ctx, "start", name); err != nil {
			return err
		}
	}
	return nil
}

// begin starts the cell, now and, under systemd, at each boot.
func (w *work) begin(ctx context.Context) error {
	if err := w.step(ctx, "start the cell"); err != nil {
		return err
	}
	if !w.hasSystemd() {
		return w.beginDetached(ctx)
	}
	if err := os.MkdirAll(w.path(unitLink[:strings.LastIndex(unitLink, "/")]), 0o755); err != nil {
		return fmt.Errorf("have the cell started at boot: %w", err)
	}
	if err := w.link(unitLink, unitFile); err != nil {
		return fmt.Errorf("have the cell started at boot: %w", err)
	}
	verb := "start"
	if w.made.Restart {
		verb = "restart" // it may run with what it was started with before
	}
	if err := w.Systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	return w.Systemctl(ctx, verb, unitName)
}

// beginDetached starts the cell in a session of its own, unless it runs.
func (w *work) beginDetached(ctx context.Context) error {
	running, err := cellProcesses(w.request.ID())
	if err != nil {
		return err
	}
	if slices.ContainsFunc(running, func(p cellProcess) bool { return p.isSidecar(w.path(Program)) }) {
		if !w.made.Restart {
			return nil
		}
		if err := w.stopDetached(ctx, w.request.ID()); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(w.path(logFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("open the cell's log: %w", err)
	}
	defer func() { _ = log.Close() }() // the cell has its own
	words := w.command(w.Root)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.Env = append(w.commandEnvironment(), birth.Marker+"="+w.request.ID())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	w.reached()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the cell: %w", err)
	}
	return cmd.Process.Release()
}

// stop ends the cell, unless it is the one that asks for it: then it ends by
// itself, when all else is done.
func (m *Machine) stop(ctx context.Context, c *Claim) error {
	if !m.hasSystemd() {
		return m.stopDetached(ctx, c.ID())
	}
	within, err := withinUnit()
	if err != nil || within {
		return err
	}
	err = m.Systemctl(ctx, "stop", unitName)
	if _, gone := os.Lstat(m.path(unitFile)); errors.Is(gone, os.ErrNotExist) && !m.active(ctx, unitName) {
		return nil // systemd may not know it any more, or yet
	}
	return err
}

// runs reports whether a life of the cell does.
func (m *Machine) runs(ctx context.Context, c *Claim) (bool, error) {
	if m.hasSystemd() {
		return m.active(ctx, unitName), nil
	}
	all, err := cellProcesses(c.ID())
	return len(all) > 0, err
}

func (m *Machine) active(ctx context.Context, unit string) bool {
	return m.Systemctl(ctx, "is-active", "--quiet", unit) == nil
}

// withinUnit reports whether this process belongs to the cell's unit.
func withinUnit() (bool, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read which unit this is: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if slices.Contains(strings.Split(strings.TrimSpace(line), "/"), unitName) {
			return true, nil
		}
	}
	return false, nil
}
