package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/mask"
)

// How much of a console is shown, and how long its command may take.
const (
	consoleLines = 25
	consoleBytes = 16 << 10
	consoleLimit = 30 * time.Second
)

// readConsole runs the command that prints a machine's console and returns the
// last lines, without the secrets. That it fails is a line too.
func readConsole(ctx context.Context, command, secrets []string) []string {
	if len(command) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, consoleLimit, fmt.Errorf("it took longer than %v", consoleLimit))
	defer cancel()
	out := &tail{limit: consoleBytes}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	// What it has started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var lines []string
	if text := strings.TrimRight(printable(mask.New(secrets...).Apply(out.String())), "\n "); text != "" {
		lines = strings.Split(text, "\n")
		lines = lines[max(0, len(lines)-consoleLines):]
	}
	if err != nil {
		lines = append(lines, fmt.Sprintf("(%s: %v)", command[0], errors.Join(err, context.Cause(ctx))))
	}
	return lines
}

// printable leaves out what a terminal would take for commands.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(text, "?"))
}

// tail keeps the end of what is written to it.
type tail struct {
	limit int
	text  []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if len(t.text) > 2*t.limit {
		t.text = append(t.text[:0], t.text[len(t.text)-t.limit-1:]...)
	}
	return len(p), nil
}

// String is what was kept, in whole lines: the rest of one may be that of a secret.
func (t *tail) String() string {
	if len(t.text) <= t.limit {
		return string(t.text)
	}
	_, whole, _ := strings.Cut(string(t.text[len(t.text)-t.limit:]), "\n")
	return whole
}
