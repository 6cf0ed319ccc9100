package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// moveOutput is how much of the end of a command's output is kept, in bytes.
const moveOutput = 16 << 10

// runMove runs the command that moves what a cell holds. It ends with ctx, and
// then none of its process group is left. The end of what it wrote goes to the
// log, its last line into the error.
func runMove(ctx context.Context, command, environment []string, log *slog.Logger) error {
	var output lastBytes
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment, &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if cmd.Process != nil {
		// What it left behind in its group, or didn't end when asked to; mostly
		// there is nothing, which isn't an error.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	log.Info("the drain command has ended", "command", command[0], "error", err, "output", output.String())
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return fmt.Errorf("run the drain command %s: %w: %s", command[0], err, cmp.Or(output.lastLine(), "it wrote nothing"))
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct{ kept []byte }

// Write implements io.Writer.
func (l *lastBytes) Write(p []byte) (int, error) {
	l.kept = append(l.kept, p...)
	if extra := len(l.kept) - moveOutput; extra > 0 {
		l.kept = append(l.kept[:0], l.kept[extra:]...)
	}
	return len(p), nil
}

func (l *lastBytes) String() string { return strings.ToValidUTF8(string(l.kept), "") }

func (l *lastBytes) lastLine() string {
	lines := strings.Split(strings.TrimSpace(l.String()), "\n")
	return lines[len(lines)-1]
}
