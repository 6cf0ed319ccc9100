package install

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/mask"
)

const (
	// endGrace is what a command gets between SIGTERM and SIGKILL. A caller over
	// SSH gives this process two seconds.
	endGrace = time.Second
	// folders are where commands of the genome find others.
	folders = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// errTimeout is the cause when a command ran out of its own time.
var errTimeout = errors.New("it ran longer than its timeout")

// commands runs the genome's commands, in order. One that ended well isn't run
// again when the installation is taken up.
func (w *work) commands(ctx context.Context) error {
	for i, c := range w.bundle.Genome.Run {
		if i < w.made.Ran {
			continue
		}
		limit, err := time.ParseDuration(c.Timeout)
		if err != nil {
			return fmt.Errorf("run %s: %w", phrase(c.Command), err)
		}
		if err := w.step(ctx, "run %s", w.mask().Apply(phrase(c.Command))); err != nil {
			return err
		}
		if err := w.runUnless(ctx, c.Command, c.Unless, limit); err != nil {
			return err
		}
		w.made.Ran = i + 1
		if err := w.write(); err != nil {
			return err
		}
	}
	return nil
}

// runUnless runs a command, unless another one ends with 0.
func (w *work) runUnless(ctx context.Context, command, unless []string, limit time.Duration) error {
	if len(unless) > 0 {
		err := w.run(ctx, unless, limit)
		var status *exec.ExitError
		if err == nil || !errors.As(err, &status) || !status.Exited() {
			return err
		}
	}
	return w.run(ctx, command, limit)
}

// run runs a command of the genome's. Its error has the last lines of its output,
// without secrets.
func (w *work) run(ctx context.Context, words []string, limit time.Duration) error {
	return w.execute(ctx, words, w.commandEnvironment(), limit, w.mask())
}

// execute runs a command to its end, or to that of its time. Its error doesn't show
// what the mask hides.
func (m *Machine) execute(ctx context.Context, words, environment []string, limit time.Duration, secrets mask.Mask) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w of %s", errTimeout, limit))
	defer cancel()
	out := &tail{}
	cmd := exec.CommandContext(ctx, find(words[0]), words[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = "/", out, out, environment
	// A group of its own, so that what it started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = endGrace
	m.reached()
	err := cmd.Run()
	m.reached()
	// A daemon that it began may hold its output; that is no failure.
	if err == nil || errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return nil
	}
	if ctx.Err() != nil {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // most often nothing of it is left
		}
		err = context.Cause(ctx)
	}
	return &commandError{phrase: secrets.Apply(phrase(words)), output: out.last(secrets), cause: err}
}

// commandError is a command that failed, with the end of its output.
type commandError struct {
	phrase, output string
	cause          error
}

func (e *commandError) Error() string {
	text := fmt.Sprintf("run %s: %v", e.phrase, e.cause)
	if e.output != "" {
		text += "\n" + e.output
	}
	return text
}

func (e *commandError) Unwrap() error { return e.cause }

// find is where a program lies. Who got in as somebody else than root may have a
// PATH without the folders of those that are for root.
func find(program string) string {
	if _, err := exec.LookPath(program); err == nil || strings.Contains(program, "/") {
		return program
	}
	for _, folder := range filepath.SplitList(folders) {
		if path, err := exec.LookPath(filepath.Join(folder, program)); err == nil {
			return path
		}
	}
	return program
}

// commandEnvironment is what commands see: the cell's environment, without any
// of this process's, and without the mark of the cell's own processes.
func (w *work) commandEnvironment() []string {
	all := []string{"PATH=" + folders, "HOME=/root", "LANG=C.UTF-8"}
	environment := w.environment()
	delete(environment, birth.Marker)
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		all = append(all, name+"="+environment[name])
	}
	return all
}

// systemctlLimit is how long systemd may take to start or stop something.
const systemctlLimit = 15 * time.Minute

// Systemctl has systemd do something on the machine.
func (m *Machine) Systemctl(ctx context.Context, arguments ...string) error {
	if m.Systemd != nil {
		return m.Systemd(ctx, arguments...)
	}
	words := append([]string{"systemctl"}, arguments...)
	return m.execute(ctx, words, []string{"PATH=" + folders, "LANG=C.UTF-8"}, systemctlLimit, mask.New())
}

// hasSystemd reports whether systemd runs this machine.
func (m *Machine) hasSystemd() bool {
	info, err := os.Stat(m.path("/run/systemd/system"))
	return m.Systemd != nil || err == nil && info.IsDir()
}
