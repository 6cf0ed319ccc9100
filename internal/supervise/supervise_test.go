package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// actAs makes the test binary the application: it serves what stands in files.
const actAs = "SUPERVISE_TEST_SERVE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(actAs); dir != "" {
		serve(dir)
	}
	goleak.VerifyTestMain(m)
}

// serve answers /healthz with the status and text of the file health, and
// anything else with a redirect there.
func serve(dir string) {
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		text, err := os.ReadFile(filepath.Join(dir, "health"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		status, err := strconv.Atoi(string(text[:3]))
		if err != nil {
			status = http.StatusInternalServerError
		}
		w.WriteHeader(status)
		_, _ = w.Write(text[3:])
	})
	http.Handle("/", http.RedirectHandler("/healthz", http.StatusFound))
	if err := http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// buffer is a writer that can be read while it is written to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// rig is an application under test.
type rig struct {
	*Application
	t      *testing.T
	dir    string
	out    *buffer
	log    *buffer
	stop   context.CancelFunc
	ended  chan struct{}
	result error
}

// run supervises a shell script, unless cfg names a command.
func run(t *testing.T, script string, cfg Config) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), out: &buffer{}, log: &buffer{}, ended: make(chan struct{})}
	if script != "" {
		cfg.Command = []string{"sh", "-c", script}
		cfg.Directory = r.dir
	}
	if cfg.Environment == nil {
		cfg.Environment = os.Environ()
	}
	cfg.Output, cfg.Log = r.out, slog.New(slog.NewTextHandler(r.log, nil))
	if cfg.BackoffMin == 0 {
		cfg.BackoffMin = time.Millisecond
	}
	var err error
	if r.Application, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	go func() {
		defer close(r.ended)
		r.result = r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.ended
		if t.Failed() {
			t.Logf("output:\n%s\nlog:\n%s", r.out, r.log)
		}
	})
	return r
}

// end stops the application and checks that nothing of it is left.
func (r *rig) end() State {
	r.t.Helper()
	r.stop()
	select {
	case <-r.ended:
	case <-time.After(30 * time.Second):
		r.t.Fatal("it doesn't stop")
	}
	if r.result != nil {
		r.t.Errorf("stop: %v", r.result)
	}
	left, err := r.family.members(true)
	if err != nil || len(left) > 0 {
		r.t.Errorf("left behind: %v, %v", left, err)
	}
	s := r.State()
	if s.Running || s.Healthy || s.PID != 0 || s.Why != "stopped" {
		r.t.Errorf("after the stop: %+v", s)
	}
	return s
}

// until waits for a state.
func (r *rig) until(what string, is func(State) bool) State {
	r.t.Helper()
	var s State
	eventually(r.t, what, func() bool { s = r.State(); return is(s) })
	return s
}

// kill ends the first process with SIGKILL and waits for the next life.
func (r *rig) kill() State {
	r.t.Helper()
	first := r.until("start", func(s State) bool { return s.Running })
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	return r.until("the next life", func(s State) bool { return s.Running && s.PID != first.PID })
}

// pid waits for a file that the application writes, and returns the process
// id in it.
func (r *rig) pid(name string) int {
	r.t.Helper()
	var pid int
	eventually(r.t, "a process id in "+name, func() bool {
		text, err := os.ReadFile(filepath.Join(r.dir, name))
		if err != nil || !bytes.HasSuffix(text, []byte("\n")) {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	})
	return pid
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
		time.Sleep(2 * time.Millisecond) // between two looks
	}
}

// alive tells whether the process runs; a zombie doesn't.
func alive(pid int) bool {
	m, err := read(pid)
	return err == nil && !m.zombie
}

// present tells whether there is such a process, zombie or not.
func present(pid int) bool { return syscall.Kill(pid, 0) == nil }

const forever = "while :; do sleep 1; done"

func TestStartSignalStop(t *testing.T) {
	r := run(t, `echo "args $#"; trap 'echo got usr1' USR1; trap 'echo bye; exit 7' TERM; echo ready; `+
		`while :; do sleep 0.01; done`, Config{Health: Health{Interval: 10 * time.Millisecond}})
	s := r.until("health", func(s State) bool { return s.Healthy })
	if !s.Running || s.PID == 0 || s.Starting || s.Why != "" || s.Restarts != 0 || s.LastExit != "" {
		t.Errorf("well: %+v", s)
	}
	eventually(t, "the traps", func() bool { return strings.Contains(r.out.String(), "ready") })
	if err := r.Signal(syscall.SIGUSR1); err != nil {
		t.Error(err)
	}
	eventually(t, "the signal", func() bool { return strings.Contains(r.out.String(), "got usr1") })
	if s := r.end(); s.LastExit != "exit status 7" {
		t.Errorf("stopped: %+v", s)
	}
	// Some shells say that the sleep they waited for was terminated.
	got := strings.ReplaceAll(r.out.String(), "Terminated\n", "")
	if want := "args 0\nready\ngot usr1\nbye\n"; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
	if err := r.Signal(syscall.SIGUSR1); !errors.Is(err, ErrNotRunning) {
		t.Errorf("signal after the end: %v", err)
	}
}

func TestKilledIsStartedAgain(t *testing.T) {
	r := run(t, "sleep 1000 & echo $! >child; "+forever, Config{})
	child := r.pid("child")
	second := r.kill()
	if second.Restarts != 1 || second.LastExit != "signal: killed" {
		t.Errorf("second life: %+v", second)
	}
	if alive(child) {
		t.Error("the child of the first life runs in the second")
	}
	r.end()
}

func TestEndsAtOnce(t *testing.T) {
	for name, test := range map[string]struct{ script, exit string }{
		"with an error": {"exit 3", "exit status 3"},
		"in good order": {"exit 0", "exit status 0"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, test.script, Config{BackoffMin: 4 * time.Millisecond, BackoffMax: time.Minute})
			s := r.until("fifth restart", func(s State) bool { return s.Restarts >= 5 && strings.Contains(s.Why, "again") })
			if s.Healthy || s.LastExit != test.exit || !strings.HasPrefix(s.Why, "ended with "+test.exit+" after ") {
				t.Errorf("state %+v", s)
			}
			r.end()
			pauses := pauses(t, r.log.String())
			for i := 1; i < len(pauses); i++ {
				if pauses[i] <= pauses[i-1] {
					t.Errorf("the pauses don't grow: %v", pauses)
				}
			}
		})
	}
}

// pauses reads the pauses between starts from the log.
func pauses(t *testing.T, log string) []time.Duration {
	var ds []time.Duration
	for line := range strings.SplitSeq(log, "\n") {
		_, text, ok := strings.Cut(line, "pause=")
		if !ok {
			continue
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		ds = append(ds, d)
	}
	if len(ds) < 5 {
		t.Fatalf("%d pauses in the log:\n%s", len(ds), log)
	}
	return ds
}

// A life in good health makes the next pause short again.
func TestPauseBeginsAnew(t *testing.T) {
	r := run(t, `echo x >>lives; if [ $(wc -l <lives) -eq 5 ]; then echo $$ >stable; `+forever+`; fi`, Config{
		BackoffMin: 4 * time.Millisecond, BackoffMax: time.Minute, StableAfter: time.Second,
		Health: Health{Interval: 10 * time.Millisecond},
	})
	stable := r.pid("stable")
	s := r.until("a healthy life", func(s State) bool { return s.PID == stable && s.Healthy })
	eventually(t, "a stable life", func() bool { return time.Since(s.Since) > 1100*time.Millisecond })
	if err := syscall.Kill(stable, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.until("another life", func(now State) bool { return now.Restarts > s.Restarts+1 })
	r.end()
	pauses := pauses(t, r.log.String())
	if before, after := pauses[3], pauses[4]; after >= before {
		t.Errorf("the pause after a stable life is %v, the one before it %v", after, before)
	}
}

func TestIgnoresTerm(t *testing.T) {
	r := run(t, "trap '' TERM; echo ready; "+forever, Config{Grace: 50 * time.Millisecond})
	eventually(t, "the trap", func() bool { return r.out.String() != "" })
	if s := r.end(); s.LastExit != "signal: killed" {
		t.Errorf("state %+v", s)
	}
}

func TestNewRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		cfg  Config
		want string
	}{
		"a program that isn't on PATH":  {Config{Command: []string{"no-such-program"}}, "find the application's program"},
		"a program that isn't there":    {Config{Command: []string{"./no-such-program"}, Directory: "/"}, "/no-such-program"},
		"a file that is no program":     {Config{Command: []string{file}}, "permission denied"},
		"a directory that isn't there":  {Config{Command: []string{"sh"}, Directory: "/no/such"}, "no such file"},
		"a directory that is a file":    {Config{Command: []string{"sh"}, Directory: file}, "not a directory"},
		"a check without a port":        {Config{Command: []string{"sh"}, Health: Health{TCP: true}}, "no port"},
		"a port out of bounds":          {Config{Command: []string{"sh"}, Port: 70000}, "65535"},
		"neither a command nor a check": {Config{}, "nothing tells whether it is well"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := New(Config{Command: []string{"bin/sh"}, Directory: "/"}); err != nil {
		t.Errorf("a program relative to the directory: %v", err)
	}
}
