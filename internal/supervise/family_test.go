package supervise

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// A grandchild that took a session of its own, ignores SIGTERM and was left by
// its parent is still the application's.
func TestDoubleForkedIsEnded(t *testing.T) {
	const daemon = `setsid sh -c 'trap "" TERM; (setsid sh -c "trap \"\" TERM; echo \$\$ >daemon; while :; do sleep 1; done" &) ' ; `
	t.Run("at the stop", func(t *testing.T) {
		r := run(t, daemon+forever, Config{Grace: 50 * time.Millisecond})
		pid := r.pid("daemon")
		eventually(t, "the daemon to become a child of this process", func() bool {
			m, err := read(pid)
			return err == nil && m.parent == os.Getpid() && m.session == pid
		})
		r.end()
		if present(pid) {
			t.Error("the daemon is still there")
		}
	})
	t.Run("when the application is killed", func(t *testing.T) {
		r := run(t, daemon+forever, Config{Grace: 50 * time.Millisecond})
		pid := r.pid("daemon")
		r.kill()
		if alive(pid) {
			t.Error("the daemon of the first life runs in the second")
		}
		r.end()
	})
}

// A child that has a session of its own and has cleared its environment shows
// nothing of where it comes from once its parent has died.
func TestChildWithoutEnvironment(t *testing.T) {
	const script = `env -i setsid sh -c 'echo $$ >child; while :; do /bin/sleep 1; done' & ` + forever
	t.Run("seen before", func(t *testing.T) {
		r := run(t, script, Config{})
		pid := r.pid("child")
		if _, err := r.family.members(false); err != nil {
			t.Fatal(err)
		}
		r.until("start", func(s State) bool { return s.Running })
		r.end()
		if present(pid) {
			t.Error("the child is still there")
		}
	})
	t.Run("adopted", func(t *testing.T) {
		t.Setenv(cellMark, "a.1")
		r := run(t, script, Config{})
		pid := r.pid("child")
		r.kill()
		if alive(pid) {
			t.Error("the child of the first life runs in the second")
		}
		r.end()
	})
}

// A daemon that this program's other children have left carries the cell's
// mark but not the application's.
func TestOtherOrphansAreLeftAlone(t *testing.T) {
	t.Setenv(cellMark, "a.1")
	r := run(t, forever, Config{})
	r.until("start", func(s State) bool { return s.Running })
	if err := exec.Command("sh", "-c", "cd "+r.dir+"; (setsid sh -c 'echo $$ >daemon; exec sleep 300' &)").Run(); err != nil {
		t.Fatal(err)
	}
	pid := r.pid("daemon")
	t.Cleanup(func() {
		if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	})
	r.end()
	if !alive(pid) {
		t.Error("a process that is not the application's was ended with it")
	}
}

// What is born as another cell is no part of the application, wherever it
// came from.
func TestAnotherCellIsLeftAlone(t *testing.T) {
	r := run(t, `(HOMEOSTAT_CELL_ID=b.2 setsid sh -c 'echo $$ >newborn; exec sleep 300' &); `+forever,
		Config{Environment: append(os.Environ(), cellMark+"=a.1")})
	pid := r.pid("newborn")
	t.Cleanup(func() {
		if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	})
	r.end()
	if !alive(pid) {
		t.Error("the newborn was ended with the application of its parent")
	}
}
