package supervise

import (
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

func TestReapsOrphans(t *testing.T) {
	r := run(t, `(sh -c 'echo $$ >orphan; sleep 0.05' &); `+forever, Config{})
	pid := r.pid("orphan")
	eventually(t, "the orphan's status to be taken", func() bool { return !present(pid) })
	r.end()
}

// A child of this program must be left for os/exec to wait for, however late
// that is.
func TestReapsNoChildOfOurs(t *testing.T) {
	r := run(t, `while :; do (sh -c 'sleep 0.01' &); sleep 0.02; done`, Config{})
	for name, attributes := range map[string]*syscall.SysProcAttr{
		"in our process group":          nil,
		"in a process group of its own": {Setpgid: true},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", "exit 5")
			cmd.SysProcAttr = attributes
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "a zombie", func() bool {
				m, err := read(cmd.Process.Pid)
				return err == nil && m.zombie
			})
			for range 3 {
				if err := r.reapOnce(); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Wait(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 5 {
				t.Errorf("wait: %v", err)
			}
		})
	}
	r.end()
}

func TestSIGCHLDIsGivenBack(t *testing.T) {
	r := run(t, forever, Config{})
	r.until("start", func(s State) bool { return s.Running })
	r.end()
	if signal.Ignored(syscall.SIGCHLD) {
		t.Error("SIGCHLD is ignored, which makes the kernel take all statuses")
	}
}
