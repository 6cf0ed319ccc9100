package testkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startLimit is how long a server may take to become ready. It is far above
// what any takes on an idle machine; many tests share two cores.
const startLimit = 90 * time.Second

// server is what the servers of this package have in common: one directory,
// one process at a time, started again over the same data. Its methods are
// promoted to each of them.
type server struct {
	name      string
	directory string // everything the server writes
	data      string // below directory; what Wipe removes
	owned     bool   // directory was made here and is removed at the end
	stopWith  syscall.Signal
	program   func() program
	ready     func(context.Context) error
	prepare   func(context.Context) error // before each start; may be nil
	ports     []int

	mu      sync.Mutex
	process *process
}

// Directory is where the server keeps its data, configuration and log.
func (s *server) Directory() string { return s.directory }

// Log is the path of the server's log.
func (s *server) Log() string { return filepath.Join(s.directory, s.name+".log") }

// PID is the server's process id, or 0 when it doesn't run.
func (s *server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil || s.process.ended() {
		return 0
	}
	return s.process.pid
}

// Start starts the server over the data it has, on the address it had, and
// returns when it is ready. It does nothing when the server runs.
func (s *server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil && !s.process.ended() {
		return nil
	}
	if s.prepare != nil {
		if err := s.prepare(ctx); err != nil {
			return fmt.Errorf("prepare %s: %w", s.name, err)
		}
	}
	p := s.program()
	p.name, p.log = s.name, s.Log()
	process, err := p.start()
	if err != nil {
		return err
	}
	if err := process.until(ctx, startLimit, s.ready); err != nil {
		return err
	}
	s.process = process
	return nil
}

// Stop ends the server in the orderly way. Its data stay.
func (s *server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	return s.process.stop(s.stopWith, 20*time.Second)
}

// Kill ends the server and its children with SIGKILL. Its data stay as they are.
func (s *server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	return s.process.kill()
}

// Pause stops the server with SIGSTOP: connections hang, nothing answers.
// It returns when the server stands still.
func (s *server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return fmt.Errorf("pause %s: it doesn't run", s.name)
	}
	return s.process.pause()
}

// Continue lets a paused server go on.
func (s *server) Continue() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return fmt.Errorf("continue %s: it doesn't run", s.name)
	}
	return s.process.signal(syscall.SIGCONT)
}

// Wipe kills the server and removes its data, as when a disk is lost. Start
// brings an empty one up on the same address.
func (s *server) Wipe() error {
	if err := s.Kill(); err != nil {
		return err
	}
	if err := os.RemoveAll(s.data); err != nil {
		return fmt.Errorf("remove the data of %s: %w", s.name, err)
	}
	return nil
}

// Close kills the server for good and removes the directory if this package
// made it.
func (s *server) Close() error {
	err := s.Kill()
	if s.owned {
		err = errors.Join(err, os.RemoveAll(s.directory))
	}
	returnPorts(s.ports)
	s.ports = nil
	return err
}

// place gives the server its directory: the one asked for, or a new one that
// Close, or at the latest the guardian, removes.
func (s *server) place(directory string) error {
	if directory != "" {
		absolute, err := filepath.Abs(directory)
		if err != nil {
			return fmt.Errorf("place %s: %w", s.name, err)
		}
		s.directory = absolute
		return os.MkdirAll(absolute, 0o755)
	}
	g, err := guard()
	if err != nil {
		return err
	}
	s.owned = true
	if s.directory, err = os.MkdirTemp(g.directory, s.name+"-"); err != nil {
		return fmt.Errorf("place %s: %w", s.name, err)
	}
	return os.Chmod(s.directory, 0o711)
}

// endWith closes the server with the test, and shows the end of its log when
// the test failed.
func (s *server) endWith(tb testing.TB) {
	tb.Helper()
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("end of the log of %s:\n%s", s.name, tailOf(s.Log()))
		}
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
}

// shared is a server that one test process starts once.
type shared[S any] struct {
	once  sync.Once
	value S
	err   error
}

// get starts the server on the first call. Its life is the process's: the
// guardian ends it.
func (s *shared[S]) get(start func(context.Context) (S, error)) (S, error) {
	s.once.Do(func() { s.value, s.err = start(context.Background()) })
	return s.value, s.err
}
