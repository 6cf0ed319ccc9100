package machine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// gate holds a command back until it is told to go; if who would tell it dies
// before, its input ends and it never begins.
const gate = `read -r _ && exec "$@" </dev/null`

// Launch starts a command in a control group and in a session of its own, with
// its output appended to a file, and doesn't wait for it: it goes on when this
// process has ended. There is no instant at which it runs and the group doesn't
// know of it. (Linux can also have it born there, but then kills it at once in a
// group in which all was killed before: seen with 6.18.)
func Launch(command []string, cgroup, log string) error {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", command[0], err)
	}
	defer func() { _ = output.Close() }()
	cmd := exec.Command("sh", append([]string{"-c", gate, "sh"}, command...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	tell, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", command[0], err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", command[0], err)
	}
	err = os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0)
	if err == nil {
		_, err = io.WriteString(tell, "go\n")
	}
	err = errors.Join(err, tell.Close())
	go func() { _ = cmd.Wait() }() // collects it; how it ended, it says itself
	if err != nil {
		return fmt.Errorf("start %s: %w", command[0], err)
	}
	return nil
}

// KillCgroup ends all that runs in a control group and in those below it, and
// returns when it is gone.
func KillCgroup(path string) error {
	return Within(goneLimit, func() error {
		pids, err := CgroupProcesses(path)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have gone by itself
		}
		return fmt.Errorf("end what runs in %s: processes %v are still there", path, pids)
	})
}
