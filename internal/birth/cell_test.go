package birth

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func contextOfProgram() context.Context { return context.Background() }

// await waits for a condition; the limit is only there so that the test ends.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came to be: %s", what)
		}
	}
}

// pids are the processes that said in the cell's log that they run.
func pids(t *testing.T, p *Processes) []int {
	t.Helper()
	lines, err := p.Tail("crawler", "crawler-1", 1000)
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, line := range lines {
		var pid int
		if _, err := fmt.Sscanf(line, "ready %d", &pid); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

func running(t *testing.T, pid int) bool {
	t.Helper()
	p, ok, err := stat(pid)
	if err != nil {
		t.Fatal(err)
	}
	return ok && p.running()
}

// killLogged ends by force what a failed test has left.
func killLogged(t *testing.T, p *Processes) {
	t.Helper()
	for _, pid := range pids(t, p) {
		if m := readMark(pid); running(t, pid) && (strings.HasSuffix(title(pid), ".test)") || m.ID != "") {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func hold(t *testing.T, p *Processes) *Held {
	t.Helper()
	h, err := p.Hold(t.Context(), "crawler", "crawler-1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Release)
	return h
}

// begin starts a cell and waits until n of its processes run.
func begin(t *testing.T, h *Held, program string, n int) *Newborn {
	t.Helper()
	newborn, err := h.Start(testSpec(program))
	if err != nil {
		t.Fatal(err)
	}
	await(t, fmt.Sprintf("%d processes of %q", n, program), func() bool { return len(pids(t, h.Processes)) == n })
	return newborn
}

func TestStartIsDetached(t *testing.T) {
	p := store(t)
	h := hold(t, p)
	// A descriptor that this program was itself born with, as from a shell.
	leaked, err := os.Create(filepath.Join(t.TempDir(), "leaked"))
	if err != nil {
		t.Fatal(err)
	}
	defer leaked.Close()
	fd, err := unix.FcntlInt(leaked.Fd(), unix.F_DUPFD, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	begin(t, h, "describe", 1)
	lines, err := p.Tail("crawler", "crawler-1", 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range lines {
		if !strings.HasPrefix(line, "ready") {
			got = append(got, strings.ReplaceAll(line, p.Directory(), "DIR"))
		}
	}
	want := []string{
		"session true",
		"fd 0 /dev/null", "fd 1 DIR/crawler/crawler-1/cell.log", "fd 2 DIR/crawler/crawler-1/cell.log",
		"directory DIR/crawler/crawler-1/work",
		"env HOMEOSTAT_BORN_AT=2024-02-03T04:05:06Z", "env HOMEOSTAT_CELL=crawler-1", "env HOMEOSTAT_CELL_ID=crawler-1.01a",
		"env HOMEOSTAT_GENERATION=0", "env HOMEOSTAT_INCARNATION=01a", "env HOMEOSTAT_SERVICE=crawler",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := h.End(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
}

func TestAdopt(t *testing.T) {
	p := store(t)
	h := hold(t, p)
	first := begin(t, h, "wait", 1)

	cases := map[string]struct {
		change  func(*Spec)
		adopted bool
	}{
		"the same":               {func(*Spec) {}, true},
		"another lineage":        {func(s *Spec) { s.Lineage.Reason = "lag" }, true},
		"another incarnation":    {func(s *Spec) { s.Incarnation = "01b" }, false},
		"another command":        {func(s *Spec) { s.Command = append(s.Command, "-x") }, false},
		"another environment":    {func(s *Spec) { s.Environment = map[string]string{"A": "b"} }, false},
		"another data directory": {func(s *Spec) { s.DataDirectory = "/srv/x/y" }, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			spec := testSpec("wait")
			c.change(&spec)
			got, err := h.Adopt(spec)
			if err != nil {
				t.Fatal(err)
			}
			if (got != nil) != c.adopted {
				t.Fatalf("adopted %v, want %v", got != nil, c.adopted)
			}
			if got != nil && (got.identity != first.identity || !got.Adopted) {
				t.Errorf("adopted %+v, want process %+v", got, first.identity)
			}
		})
	}
	t.Run("start beside it", func(t *testing.T) {
		spec := testSpec("wait")
		spec.Incarnation = "01b"
		if _, err := h.Start(spec); err == nil || !strings.Contains(err.Error(), "1 processes of crawler-1.01a still run") {
			t.Errorf("got %v, want a refusal", err)
		}
	})
	t.Run("ended", func(t *testing.T) {
		if err := h.End(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		if running(t, first.PID) {
			t.Error("it runs after End")
		}
		if got, err := h.Adopt(testSpec("wait")); err != nil || got != nil {
			t.Errorf("adopted %v, %v", got, err)
		}
	})
}

// A starter that is killed at any instant leaves at most one process, and the
// next one finds it.
func TestStarterKilledAtAnyInstant(t *testing.T) {
	p := store(t)
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	adopted, begun := 0, 0
	for i := range 25 {
		incarnation := fmt.Sprintf("01k%03d", i)
		starter := exec.Command(os.Args[0])
		starter.Env = append(os.Environ(), programVariable+"=start "+p.Directory()+" "+incarnation)
		out, err := starter.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := starter.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
		// The work of the starter takes some milliseconds from here.
		time.Sleep(time.Duration(random.IntN(12000)) * time.Microsecond)
		if err := starter.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = starter.Wait()

		h, err := p.Hold(t.Context(), "crawler", "crawler-1")
		if err != nil {
			t.Fatal(err)
		}
		spec := testSpec("wait")
		spec.Incarnation = incarnation
		newborn, err := h.Adopt(spec)
		if err == nil && newborn == nil {
			begun++
			if err = h.End(t.Context(), time.Second); err == nil {
				newborn, err = h.Start(spec)
			}
		} else {
			adopted++
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := marked(t, spec.ID()); n != 1 {
			t.Fatalf("round %d: %d processes of the cell, want 1", i, n)
		}
		if sight, err := p.Look("crawler", "crawler-1"); err != nil || sight.Condition != Alive || sight.Record.PID != newborn.PID {
			t.Fatalf("round %d: saw %+v, %v", i, sight, err)
		}
		if err := errors.Join(h.End(t.Context(), time.Second), h.Forget()); err != nil {
			t.Fatal(err)
		}
		if n := marked(t, spec.ID()); n != 0 {
			t.Fatalf("round %d: %d processes left", i, n)
		}
		h.Release()
	}
	t.Logf("adopted %d, begun anew %d", adopted, begun)
	if entries, err := os.ReadDir(p.Directory()); err != nil || len(entries) != 0 {
		t.Errorf("left in the state directory: %v, %v", entries, err)
	}
}

func marked(t *testing.T, id string) int {
	t.Helper()
	all, err := processes()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, process := range all {
		if readMark(process.PID).ID == id {
			n++
		}
	}
	return n
}

func TestAdoptWithoutNoteOfTheProcess(t *testing.T) {
	p := store(t)
	h := hold(t, p)
	first := begin(t, h, "tree wait +wait", 3)
	r := first.Record
	r.PID, r.Started = 0, 0
	if err := r.write(h.dir); err != nil {
		t.Fatal(err)
	}
	got, err := h.Adopt(testSpec("tree wait +wait"))
	if err != nil || got == nil || got.identity != first.identity {
		t.Fatalf("adopted %+v, %v, want %+v", got, err, first.identity)
	}
	if err := h.End(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
}

func TestEndLeavesNothing(t *testing.T) {
	cases := map[string]struct {
		program string
		n       int
		kill    bool // the first process is killed before
	}{
		"one":                               {"wait", 1, false},
		"one that ignores SIGTERM":          {"stubborn", 1, false},
		"children that ignore SIGTERM":      {"tree stubborn stubborn", 3, false},
		"a child in its own session":        {"tree +stubborn", 2, false},
		"a child without its environment":   {"tree clobbered", 2, false},
		"both, as PostgreSQL's":             {"tree +clobbered +clobbered", 3, false},
		"orphans":                           {"tree stubborn +stubborn", 3, true},
		"an orphan without its environment": {"tree clobbered", 2, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := store(t)
			h := hold(t, p)
			newborn := begin(t, h, c.program, c.n)
			all := pids(t, p)
			if c.kill {
				if err := newborn.signal(syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				await(t, "the end of the first process", func() bool { return !running(t, newborn.PID) })
				sight, err := p.Look("crawler", "crawler-1")
				if err != nil || sight.Condition != Dead || sight.Left != c.n-1 {
					t.Errorf("saw %+v, %v, want dead with %d left", sight, err, c.n-1)
				}
			}
			if err := h.End(t.Context(), 200*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			for _, pid := range all {
				if running(t, pid) {
					t.Errorf("process %s is left", title(pid))
				}
			}
			if sight, err := p.Look("crawler", "crawler-1"); err != nil || sight.Condition != Gone {
				t.Errorf("saw %+v, %v, want gone", sight, err)
			}
			if err := h.End(t.Context(), time.Second); err != nil {
				t.Errorf("end it again: %v", err)
			}
		})
	}
}

// A leader's Terraform begins other cells, which are its descendants for a
// while and yet not its processes.
func TestEndSparesOtherCells(t *testing.T) {
	p := store(t)
	h := hold(t, p)
	begin(t, h, "tree +@wait wait", 3)
	all := pids(t, p)
	if err := h.End(t.Context(), 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	var left []int
	for _, pid := range all {
		if running(t, pid) {
			left = append(left, pid)
		}
	}
	if len(left) != 1 || readMark(left[0]).ID != "other.1" {
		t.Fatalf("left %v, want the one of the other cell", left)
	}
	if err := syscall.Kill(left[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "its end", func() bool { return !running(t, left[0]) })
}

func TestEndRefusesToEndItself(t *testing.T) {
	p := store(t)
	h := hold(t, p)
	me, _, err := stat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r := newRecord(testSpec("wait"), p.host)
	r.PID, r.Started = me.PID, me.Started
	if err := r.write(h.dir); err != nil {
		t.Fatal(err)
	}
	if err := h.End(t.Context(), time.Second); !errors.Is(err, ErrSelf) {
		t.Errorf("got %v, want ErrSelf", err)
	}
	if err := os.Remove(filepath.Join(h.dir, "cell.json")); err != nil {
		t.Fatal(err)
	}
}

func TestEndIsInterruptible(t *testing.T) {
	p := store(t)
	h := hold(t, p)
	newborn := begin(t, h, "stubborn", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.End(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	if !running(t, newborn.PID) {
		t.Error("it was killed although its grace was not over")
	}
	if err := h.End(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
}

func TestStartFails(t *testing.T) {
	p := store(t)
	h := hold(t, p)
	spec := testSpec("wait")
	spec.Command = []string{"/no/such/program"}
	if _, err := h.Start(spec); err == nil || !strings.Contains(err.Error(), `start "/no/such/program"`) {
		t.Errorf("got %v", err)
	}
	if sight, err := p.Look("crawler", "crawler-1"); err != nil || sight.Record != nil {
		t.Errorf("left a record: %+v, %v", sight, err)
	}
}

func TestExitAndLog(t *testing.T) {
	p := store(t)
	h := hold(t, p)
	newborn, err := h.Start(testSpec("fail"))
	if err != nil {
		t.Fatal(err)
	}
	await(t, "its end", func() bool {
		alive, err := newborn.Running()
		return err == nil && !alive
	})
	if got := newborn.Exit(t.Context()); got != "exit status 3" {
		t.Errorf("exit %q", got)
	}
	lines, err := p.Tail("crawler", "crawler-1", 5)
	if err != nil || !slices.Equal(lines, []string{"no such table"}) {
		t.Errorf("log %q, %v", lines, err)
	}
}

func TestOtherHosts(t *testing.T) {
	p := store(t)
	h := hold(t, p)
	begin(t, h, "wait", 1)
	other := func(change func(*Host)) *Processes {
		q := *p
		change(&q.host)
		return &q
	}
	t.Run("another machine", func(t *testing.T) {
		q := other(func(h *Host) { h.Machine, h.Name = "m2", "beta" })
		_, err := q.Look("crawler", "crawler-1")
		elsewhere, ok := errors.AsType[*ElsewhereError](err)
		if !ok || elsewhere.There.Name != p.host.Name || !strings.Contains(err.Error(), "this is host beta (machine id m2)") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another container", func(t *testing.T) {
		q := other(func(h *Host) { h.Namespace = "pid:[1]" })
		if _, err := q.Look("crawler", "crawler-1"); err == nil || !strings.Contains(err.Error(), "another process id namespace") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another boot", func(t *testing.T) {
		q := other(func(h *Host) { h.Boot, h.Namespace = "b2", "pid:[1]" })
		if sight, err := q.Look("crawler", "crawler-1"); err != nil || sight.Condition != Gone {
			t.Errorf("saw %+v, %v", sight, err)
		}
	})
	if err := h.End(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
}
