package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
)

const (
	// usualTimeout is for commands that have none.
	usualTimeout = 10 * time.Minute
	// tailLines and tailBytes are how much of a failed command's output is told.
	tailLines = 20
	tailBytes = 4 << 10
)

// command runs one of the genome's commands, unless it says that there is no need.
func (i *installation) command(ctx context.Context, c bundle.Command) error {
	limit, err := time.ParseDuration(c.Timeout)
	if err != nil {
		limit = usualTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s", limit))
	defer cancel()
	if len(c.Unless) > 0 {
		err := run(ctx, c.Unless)
		var exit *exec.ExitError
		if err == nil {
			return nil
		}
		if !errors.As(err, &exit) || ctx.Err() != nil {
			return fmt.Errorf("find out whether it is needed: %w", err)
		}
	}
	return run(ctx, c.Command)
}

// run runs a command without a shell in a process group of its own, which is
// ended whole when ctx is.
func run(ctx context.Context, command []string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second // for those that left the group with its output
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if text := out.String(); text != "" {
		return fmt.Errorf("%s: %w; it said last:\n%s", strings.Join(command, " "), err, text)
	}
	return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - 2*tailBytes; over > 0 {
		t.text = bytes.Clone(t.text[over:])
	}
	return len(p), nil
}

// String is the last lines.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.ToValidUTF8(strings.TrimSpace(string(t.text[max(0, len(t.text)-tailBytes):])), "?")
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}

// maskError puts stars in the place of each secret that an error's text holds. What
// it wraps stays as it is for whoever decides on it.
func maskError(err error, secrets map[string]string) error {
	text := err.Error()
	for _, value := range secrets {
		if value = strings.TrimSpace(value); value != "" {
			text = strings.ReplaceAll(text, value, "***")
		}
	}
	if text == err.Error() {
		return err
	}
	return &maskedError{text: text, cause: err}
}

type maskedError struct {
	text  string
	cause error
}

func (e *maskedError) Error() string { return e.text }

// Is compares with what was masked; it isn't unwrapped, as that would show it.
func (e *maskedError) Is(target error) bool { return errors.Is(e.cause, target) }
