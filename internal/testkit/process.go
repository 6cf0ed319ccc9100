package testkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// program says how to start a server.
type program struct {
	name        string // for messages
	command     []string
	directory   string
	environment []string            // nil: this process's
	credential  *syscall.Credential // nil: this process's
	log         string              // file that gets its output, appended
}

// process is a running server: a process group of its own under the guardian.
type process struct {
	program
	pid      int
	guardian *guardian
	mu       sync.Mutex
	status   *syscall.WaitStatus // set once it has ended
}

// gate holds a server back until the guardian knows its process group; if this
// process dies before, the gate's input ends and the server never starts.
const gate = `read -r _ && exec "$@" </dev/null`

// start starts the program. It returns as soon as the program runs.
func (p program) start() (*process, error) {
	g, err := guard()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(p.log), 0o711); err != nil {
		return nil, fmt.Errorf("create the directory of %s's log: %w", p.name, err)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", p.name, err)
	}
	defer log.Close()
	cmd := exec.Command("sh", append([]string{"-c", gate, "sh"}, p.command...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.directory, p.environment, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.credential}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	defer writer.Close()
	cmd.Stdin = reader
	err = cmd.Start()
	reader.Close()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	running := &process{program: p, pid: cmd.Process.Pid, guardian: g}
	// It is waited for by pid and without a goroutine, so that a server that
	// runs in the background is no leak to tests that look for those.
	if err := cmd.Process.Release(); err != nil {
		return nil, errors.Join(err, running.kill())
	}
	if err := g.tell("watch", running.pid); err != nil {
		return nil, errors.Join(err, running.kill())
	}
	if _, err := io.WriteString(writer, "go\n"); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", p.name, err), running.kill())
	}
	return running, nil
}

// ended reports whether the server has exited, and collects it if so. Whatever
// it left of its process group is killed then.
func (p *process) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status != nil {
		return true
	}
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(p.pid, &status, syscall.WNOHANG, nil)
	if errors.Is(err, syscall.EINTR) || (err == nil && pid == 0) {
		return false
	}
	p.collect(status)
	return true
}

// collect notes how the server ended and ends what it left. The caller holds mu.
func (p *process) collect(status syscall.WaitStatus) {
	p.status = &status
	_ = syscall.Kill(-p.pid, syscall.SIGKILL) // ESRCH is the usual and good answer
	_ = p.guardian.tell("forget", p.pid)      // without a guardian there is nothing to forget
}

// signal sends a signal to the server and all that descends from it.
func (p *process) signal(s syscall.Signal) error {
	if p.ended() {
		return fmt.Errorf("send %s to %s: it has ended: %s", s, p.name, p.outcome())
	}
	if err := syscall.Kill(-p.pid, s); err != nil {
		return fmt.Errorf("send %s to %s: %w", s, p.name, err)
	}
	for _, pid := range family(p.pid) {
		_ = syscall.Kill(pid, s) // it may have ended meanwhile
	}
	return nil
}

// pause stops the server and all that descends from it with SIGSTOP and returns when the server
// has stopped, which takes a moment on a busy machine.
func (p *process) pause() error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		stopped, err := p.stopped()
		if err != nil || stopped {
			return err
		}
		time.Sleep(pollInterval)
	}
	return fmt.Errorf("pause %s: it has not stopped after 10 s", p.name)
}

func (p *process) stopped() (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(p.pid, &status, syscall.WUNTRACED|syscall.WNOHANG, nil)
	switch {
	case err != nil && !errors.Is(err, syscall.EINTR):
		return false, fmt.Errorf("pause %s: %w", p.name, err)
	case pid != p.pid:
		return false, nil
	case status.Stopped():
		return true, nil
	default:
		p.collect(status)
		return false, fmt.Errorf("pause %s: it has ended", p.name)
	}
}

// stop asks the server to end with the given signal, and kills it after grace.
func (p *process) stop(with syscall.Signal, grace time.Duration) error {
	if p.ended() {
		return nil
	}
	// Only the server itself is asked: PostgreSQL's own children would take the
	// signal for something else. A paused server could not hear it.
	if err := p.signal(syscall.SIGCONT); err != nil && !p.ended() {
		return err
	}
	if err := syscall.Kill(p.pid, with); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	if p.await(grace) {
		return nil
	}
	if err := p.kill(); err != nil {
		return err
	}
	return fmt.Errorf("stop %s: it ran on for %s after %s and was killed; end of its log:\n%s", p.name, grace, with, p.tail())
}

// killLimit is how long a killed process may take to be gone: the kernel may
// have pages of it to write first.
const killLimit = 10 * time.Second

// kill ends the server and all that descends from it, as a crash of the machine
// would.
func (p *process) kill() error {
	if p.ended() {
		return nil
	}
	descendants := family(p.pid)
	if err := syscall.Kill(-p.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	if !p.await(killLimit) {
		return fmt.Errorf("kill %s: process %d is still there after %s", p.name, p.pid, killLimit)
	}
	return killAll(descendants, killLimit)
}

func (p *process) await(limit time.Duration) bool {
	deadline := time.Now().Add(limit)
	for !p.ended() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(pollInterval)
	}
	return true
}

// until waits until ready returns nil. It gives up when the server ends, when
// the limit is over or ctx is done, kills the server, and says what ready said
// last and what the server's log ends with.
func (p *process) until(ctx context.Context, limit time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := Poll(ctx, limit, func(ctx context.Context) error {
		if p.ended() {
			cancel(errors.New("it ended: " + p.outcome()))
		}
		return ready(ctx)
	})
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("start %s: %w; end of its log:\n%s", p.name, err, p.tail()), p.kill())
}

// toEnd runs the program until it ends, and kills it when the limit is over or
// ctx is done.
func (p program) toEnd(ctx context.Context, limit time.Duration) error {
	running, err := p.start()
	if err != nil {
		return err
	}
	err = Poll(ctx, limit, func(context.Context) error {
		if !running.ended() {
			return fmt.Errorf("run %s: it has not ended", p.name)
		}
		return nil
	})
	if err != nil {
		return errors.Join(err, running.kill())
	}
	if running.status.ExitStatus() != 0 {
		return fmt.Errorf("run %s: %s; end of its log:\n%s", p.name, running.outcome(), running.tail())
	}
	return nil
}

// outcome says how an ended server ended.
func (p *process) outcome() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.status == nil:
		return "still running"
	case p.status.Signaled():
		return "signal " + p.status.Signal().String()
	default:
		return fmt.Sprintf("exit code %d", p.status.ExitStatus())
	}
}

// tail returns the end of the server's log, for messages.
func (p *process) tail() string { return tailOf(p.log) }

// tailOf returns the last lines of a file, for messages.
func tailOf(path string) string {
	const lines, size = 25, 8 << 10
	f, err := os.Open(path)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	defer f.Close()
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, end-size), io.SeekStart)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
