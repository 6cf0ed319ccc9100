// Package supervise keeps the application beside a sidecar running: it starts
// it, watches its health, passes signals on, starts it again with growing
// pauses when it ends, and when it is told to stop leaves no process of it
// behind.
//
// It leaves out what an unwell application means for the service: that is for
// those who read State. It neither registers anything nor restarts what is
// unwell but runs.
//
// An application is more than the process that was started. What that process
// forks, and what the forks leave behind when they end, is told from the
// sidecar's other children by four signs: a parent in the application, the
// application's process group, having been seen in the application before, and
// the environment variable Mark. See family.go. So that double-forked children
// come to this process, and not to the machine's init, it declares itself a
// child subreaper (prctl(2), PR_SET_CHILD_SUBREAPER), and reaps them; see
// reap.go for how that stays clear of os/exec.
//
//	         start              ended, or failed to start
//	pause --------> running ------------------------------> clear the rest
//	  ^                | ctx ends                                 |
//	  |                v                                          |
//	  |             stopping: SIGTERM, grace, SIGKILL -> Run ends |
//	  +-----------------------------------------------------------+
package supervise

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Mark is the environment variable that all processes of an application carry.
// Its value names the sidecar's process.
const Mark = "HOMEOSTAT_APPLICATION"

// ErrNotRunning is returned for a signal to an application that doesn't run at
// the moment.
var ErrNotRunning = errors.New("the application isn't running")

// Config says what to run and how. Zero fields have the defaults named.
type Config struct {
	// Command is the program and its arguments. Empty for an application that
	// somebody else runs: then only its health is watched.
	Command []string
	// Directory is where it runs; empty for the sidecar's own.
	Directory string
	// Environment is the whole of its environment, less Mark, as name=value.
	Environment []string
	// Output receives what it writes to its standard output and error.
	Output io.Writer
	// Host and Port are where the application listens; 127.0.0.1, and 0 for
	// one that doesn't listen. See FreePort.
	Host string
	Port int
	// Health says when it is well.
	Health Health
	// Grace is how long it may take to end after SIGTERM, before SIGKILL; 10 s.
	Grace time.Duration
	// BackoffMin and BackoffMax bound the pause before it is started again,
	// which doubles each time; 500 ms, 30 s. A life that went on for
	// StableAfter once it was well makes the pause begin anew; 30 s.
	BackoffMin, BackoffMax, StableAfter time.Duration
	// Log is told of starts, ends and changes of health; slog.Default().
	Log *slog.Logger
}

// State is what is known of the application at one instant.
type State struct {
	Running bool
	// PID is its first process, 0 while it isn't running.
	PID int
	// Restarts counts the starts after the first.
	Restarts int
	// LastExit says how it ended last; empty if it never did.
	LastExit string
	Healthy  bool
	// Starting is set from a start until the application is well for the first
	// time, for as long as Health.Grace allows.
	Starting bool
	// Why says in a phrase why it isn't healthy; empty if it is.
	Why string
	// Since is when Running, Healthy or Starting changed last.
	Since time.Time
}

// Application is a program that is kept running. Its methods may be called
// from several goroutines, Run once.
type Application struct {
	Config
	family *family

	mu      sync.Mutex
	state   State
	process *os.Process
}

// Tell adds a variable to the application's environment. It is for before Run.
func (a *Application) Tell(name, value string) {
	a.Environment = append(a.Environment[:len(a.Environment):len(a.Environment)], name+"="+value)
}

// New checks the configuration. A command that can't be found is an error here
// rather than a restart every half minute.
func New(cfg Config) (*Application, error) {
	if len(cfg.Command) > 0 {
		if err := checkCommand(cfg); err != nil {
			return nil, err
		}
	} else if cfg.Health.HTTP == "" && !cfg.Health.TCP {
		return nil, errors.New("watch an application that somebody else runs: without a health check, " +
			"over HTTP or TCP, nothing tells whether it is well")
	}
	if (cfg.Health.HTTP != "" || cfg.Health.TCP) && cfg.Port == 0 {
		return nil, errors.New("check the application's health over the network: it has no port")
	}
	if cfg.Port < 0 || cfg.Port > 65535 {
		return nil, fmt.Errorf("port %d of the application: a port is a number from 1 to 65535", cfg.Port)
	}
	cfg.Host = cmp.Or(cfg.Host, "127.0.0.1")
	cfg.Health = cfg.Health.withDefaults()
	cfg.Grace = cmp.Or(cfg.Grace, 10*time.Second)
	cfg.BackoffMin = cmp.Or(cfg.BackoffMin, 500*time.Millisecond)
	cfg.BackoffMax = max(cfg.BackoffMin, cmp.Or(cfg.BackoffMax, 30*time.Second))
	cfg.StableAfter = cmp.Or(cfg.StableAfter, 30*time.Second)
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	if cfg.Output == nil {
		cfg.Output = io.Discard
	}
	family, err := newFamily(cfg.Environment)
	if err != nil {
		return nil, err
	}
	a := &Application{Config: cfg, family: family}
	a.state = State{Why: "not started yet", Since: time.Now()}
	return a, nil
}

func checkCommand(cfg Config) error {
	if cfg.Directory != "" {
		if info, err := os.Stat(cfg.Directory); err != nil {
			return fmt.Errorf("run the application in %s: %w", cfg.Directory, err)
		} else if !info.IsDir() {
			return fmt.Errorf("run the application in %s: it is not a directory", cfg.Directory)
		}
	}
	program := cfg.Command[0]
	if strings.Contains(program, "/") && !filepath.IsAbs(program) {
		program = filepath.Join(cmp.Or(cfg.Directory, "."), program)
		if !filepath.IsAbs(program) {
			program = "./" + program // not to be looked for on PATH
		}
	}
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("find the application's program: %w", err)
	}
	return nil
}

// Address is where the application listens, host:port.
func (a *Application) Address() string {
	return net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
}

// State returns what is known now.
func (a *Application) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

// Signal passes a signal on to the application's first process. What it means
// for the processes below is that one's to say.
func (a *Application) Signal(sig syscall.Signal) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.process == nil {
		return fmt.Errorf("pass on %v: %w", sig, ErrNotRunning)
	}
	if err := a.process.Signal(sig); errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("pass on %v: %w", sig, ErrNotRunning)
	} else if err != nil {
		return fmt.Errorf("pass on %v to process %d: %w", sig, a.process.Pid, err)
	}
	return nil
}

// change sets the state, and Since where what counts has changed.
func (a *Application) change(set func(*State)) {
	a.mu.Lock()
	before := a.state
	set(&a.state)
	now := a.state
	if now.Running != before.Running || now.Healthy != before.Healthy || now.Starting != before.Starting {
		a.state.Since = time.Now()
	}
	a.mu.Unlock()
	if now.Healthy != before.Healthy {
		a.Log.Info("the application's health changed", "healthy", now.Healthy, "why", now.Why)
	}
}
