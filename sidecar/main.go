// Command homeostat is the sidecar beside a cell, and the operator's tool.
//
// This package holds flags, signals and wiring, one file a subcommand; the
// logic lies in the packages under internal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes. plan uses exitChanges to say that there is something to do.
const (
	exitOK      = 0
	exitError   = 1
	exitChanges = 2
	exitUsage   = 64
)

// command is one subcommand.
type command struct {
	name    string
	args    string
	summary string
	// flags defines the command's flags and returns what runs it once they
	// are parsed.
	flags func(fs *flag.FlagSet) func(ctx context.Context, std stdio, args []string) error
}

// stdio is where a command reads and writes.
type stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// exitCodeError carries an exit code out of a command. Its message, if it has
// one, is printed.
type exitCodeError struct {
	code int
	err  error
}

func (e *exitCodeError) Error() string { return fmt.Sprintf("exit %d: %v", e.code, e.err) }
func (e *exitCodeError) Unwrap() error { return e.err }

func commands() []command {
	return []command{
		runCommand, planCommand, applyCommand, statusCommand, varsCommand,
		pinCommand, unpinCommand, pauseCommand, resumeCommand, validateCommand, versionCommand,
	}
}

func main() {
	// The sidecar ends on SIGTERM and SIGINT in good order: see run.go. A
	// second signal ends it at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := Main(ctx, os.Args[1:], stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	os.Exit(code)
}

// Main runs one subcommand and returns the exit code.
func Main(ctx context.Context, args []string, std stdio) int {
	if len(args) == 0 {
		usage(std.Err)
		return exitUsage
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
		usage(std.Out)
		return exitOK
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return runOne(ctx, c, args[1:], std)
		}
	}
	_, _ = fmt.Fprintf(std.Err, "homeostat: there is no command %q\n\n", args[0])
	usage(std.Err)
	return exitUsage
}

func runOne(ctx context.Context, c command, args []string, std stdio) int {
	fs := flag.NewFlagSet("homeostat "+c.name, flag.ContinueOnError)
	fs.SetOutput(std.Err)
	run := c.flags(fs)
	fs.Usage = func() {
		_, _ = fmt.Fprintf(fs.Output(), "Usage: homeostat %s [flags] %s\n\n%s\n\n", c.name, c.args, c.summary)
		fs.PrintDefaults()
	}
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	err := run(ctx, std, fs.Args())
	if err == nil {
		return exitOK
	}
	var coded *exitCodeError
	if !errors.As(err, &coded) {
		coded = &exitCodeError{code: exitError, err: err}
	}
	if coded.err != nil {
		_, _ = fmt.Fprintf(std.Err, "homeostat %s: %v\n", c.name, coded.err)
	}
	return coded.code
}

func usage(w io.Writer) {
	_, _ = fmt.Fprint(w, "homeostat keeps a service on plain machines in balance.\n\nUsage: homeostat COMMAND [flags]\n\n")
	for _, c := range commands() {
		_, _ = fmt.Fprintf(w, "  %-10s %s\n", c.name, c.summary)
	}
	_, _ = fmt.Fprint(w, "\nhomeostat COMMAND -h tells a command's flags.\n")
}
