package remote

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/mask"
)

var (
	//go:embed run.sh
	runScript string
	//go:embed watch.sh
	watchScript string
)

const (
	// inputLimit bounds what a command is given to read, which is kept in memory.
	inputLimit = 4 << 20
	// silence is after how much of it the machine ends a command by itself.
	silence = 20 * time.Second
	// endLimit is how long the machine may take to end a command.
	endLimit = 5 * time.Second
	// drainLimit is how long output may come after the end of a command, which
	// may have left processes that hold its streams. Where it failed, failedLimit is:
	// its output says why, and a machine under load may be late with it.
	drainLimit  = time.Second
	failedLimit = 10 * time.Second
)

// RunError says how a command failed.
type RunError struct {
	Target  string
	Command string
	// Cause is an *ExitError where the command ended by itself.
	Cause error
	// Output is the last lines, secrets masked.
	Output string
}

func (e *RunError) Error() string {
	text := fmt.Sprintf("run %s on %s: %v", e.Command, e.Target, e.Cause)
	if e.Output != "" {
		text += "; the end of its output:\n" + e.Output
	}
	return text
}

// Unwrap returns the cause.
func (e *RunError) Unwrap() error { return e.Cause }

// Run runs a command on the machine as root, without a shell, and waits for it.
// Its arguments are seen by anyone on the machine: what is secret goes to its
// standard input, at most 4 MiB, which it has to read within a minute or so.
// progress gets each line of its output, secrets masked; it may be nil.
//
// When ctx ends, the connection breaks, or this process does, the machine ends
// the command and its process group, by SIGTERM and two seconds later SIGKILL.
// What the command has put into a session of its own stays.
func (m *Machine) Run(ctx context.Context, command []string, stdin io.Reader, progress func(line string)) error {
	secrets := mask.New(m.config.Secrets...)
	out := &output{mask: secrets, progress: progress}
	err := m.run(ctx, command, stdin, out)
	if err == nil {
		return nil
	}
	return &RunError{
		Target:  m.config.target(),
		Command: secrets.Apply(strings.Join(command, " ")),
		Cause:   m.explain(ctx, m.sudoRefused(err, out)),
		Output:  out.tail(),
	}
}

// sudoRefused names the cause where the user may not become root.
func (m *Machine) sudoRefused(err error, out *output) error {
	var exit *ExitError
	if m.config.User != "root" && errors.As(err, &exit) && strings.HasPrefix(out.tail(), "sudo: ") {
		return fmt.Errorf("user %s may not become root with sudo -n: %w", m.config.User, err)
	}
	return err
}

func (m *Machine) run(ctx context.Context, command []string, stdin io.Reader, out *output) error {
	if len(command) == 0 {
		return errors.New("the command is empty")
	}
	input, err := readInput(stdin)
	defer clear(input)
	if err != nil {
		return err
	}
	arguments := append([]string{watchScript, strconv.Itoa(len(input)), arrival(len(input)), seconds(silence)}, command...)
	p, err := m.startWithin(ctx, m.asRoot(runScript, arguments...))
	if err != nil {
		return err
	}
	streams := make(chan struct{}, 2)
	for _, stream := range []io.Reader{p, p.Stderr()} {
		go func() { out.pump(stream); streams <- struct{}{} }()
	}
	fed := make(chan struct{})
	go func() { defer close(fed); feed(ctx, p, input) }()
	err = m.await(ctx, p)
	limit := drainLimit
	var failed *ExitError
	if errors.As(err, &failed) {
		limit = failedLimit
	}
	drain(streams, 2, p, limit)
	p.close()
	<-fed
	return err
}

// startWithin starts a command; only that is cut off when ctx ends.
func (m *Machine) startWithin(ctx context.Context, line string) (*process, error) {
	release := m.bound(ctx)
	defer release()
	return m.start(ctx, line)
}

// await waits for the command's end. When ctx ends it gives the machine time to
// end it; and whatever comes of that, the connection is closed.
func (m *Machine) await(ctx context.Context, p *process) error {
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
	}
	select {
	case <-p.ended:
	case <-time.After(endLimit):
	}
	m.fail(context.Cause(ctx))
	return context.Cause(ctx)
}

// feed gives the command its input, and then signs of life until it has ended.
// When ctx ends, so does the input, which tells the machine to end the command.
func feed(ctx context.Context, p *process, input []byte) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	_, err := p.Write(input)
	for err == nil {
		select {
		case <-p.ended:
			return
		case <-ctx.Done():
			_ = p.CloseWrite() // the connection may have broken, which does the same
			return
		case <-ticker.C:
			_, err = p.Write([]byte{'.'})
		}
	}
}

// drain waits for the ends of n streams, but no longer than the limit.
func drain(streams <-chan struct{}, n int, p *process, limit time.Duration) {
	late := time.NewTimer(limit)
	defer late.Stop()
	for n > 0 {
		select {
		case <-streams:
			n--
		case <-late.C:
			p.close()
		}
	}
}

func readInput(stdin io.Reader) ([]byte, error) {
	if stdin == nil {
		return nil, nil
	}
	input, err := io.ReadAll(io.LimitReader(stdin, inputLimit+1))
	switch {
	case err != nil:
		return input, fmt.Errorf("read the command's input: %w", err)
	case len(input) > inputLimit:
		return input, fmt.Errorf("the command's input is over %d bytes", inputLimit)
	}
	return input, nil
}

// arrival is how many seconds n bytes of input may take on a slow network.
func arrival(n int) string { return seconds(time.Minute + time.Duration(n/4096)*time.Second) }

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
