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
	"slices"
	"strings"
	"syscall"

	"github.com/agext/levenshtein"
)

// Exit codes. plan uses exitChanges to say that there is something to do, and
// exitUsage says that the program was called wrongly, as in sysexits.h.
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
	note    string // more about it, for -h
	hidden  bool   // programs call it, and help lists it not
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
		runCommand, frontCommand, planCommand, applyCommand, statusCommand, varsCommand,
		pinCommand, unpinCommand, pauseCommand, resumeCommand, spreadCommand, publishCommand, hostsCommand, simulateCommand,
		validateCommand, versionCommand,
		machineCommand, asCommand,
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
	name, args := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		if len(args) == 0 {
			usage(std.Out)
			return exitOK
		}
		name, args = args[0], []string{"-h"}
	case "-version", "--version":
		name = versionCommand.name
	}
	for _, c := range commands() {
		if c.name == name {
			return c.main(ctx, args, std)
		}
	}
	say(std.Err, "homeostat: there is no command %q%s\nhomeostat help lists all", name, similar(name))
	return exitUsage
}

// main parses the command's flags, runs it, prints its error and returns the
// exit code.
func (c command) main(ctx context.Context, args []string, std stdio) int {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	run := c.flags(fs)
	args, err := parse(fs, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		c.help(fs, std.Out)
		return exitOK
	case err != nil:
		err = misused("%w", err)
	default:
		err = run(ctx, std, args)
	}
	if err == nil {
		return exitOK
	}
	var coded *exitCodeError
	if !errors.As(err, &coded) {
		coded = &exitCodeError{code: exitError, err: err}
	}
	if coded.err != nil {
		say(std.Err, "homeostat %s: %v", c.name, coded.err)
	}
	if coded.code == exitUsage {
		say(std.Err, "homeostat %s -h tells how it is used", c.name)
	}
	return coded.code
}

// parse takes flags from before and behind the command's own arguments. All
// that follows "--" is left as it is.
func parse(fs *flag.FlagSet, args []string) (rest []string, err error) {
	var after []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, after = args[:i], args[i+1:]
	}
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			return append(rest, after...), nil
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
}

func (c command) help(fs *flag.FlagSet, w io.Writer) {
	line := "homeostat " + c.name
	flags := false
	fs.VisitAll(func(*flag.Flag) { flags = true })
	if flags {
		line += " [flags]"
	}
	say(w, "Usage: %s\n\n%s", strings.TrimSpace(line+" "+c.args), c.summary)
	if c.note != "" {
		say(w, "\n%s", c.note)
	}
	if flags {
		say(w, "\nFlags:")
		fs.SetOutput(w)
		fs.PrintDefaults()
	}
}

func usage(w io.Writer) {
	say(w, "homeostat keeps a service on plain machines in balance.\n\nUsage: homeostat COMMAND [flags]\n")
	for _, c := range commands() {
		if !c.hidden {
			say(w, "  %-10s %s", c.name, c.summary)
		}
	}
	say(w, "\nhomeostat COMMAND -h tells a command's flags.")
}

// similar suggests the command that was meant.
func similar(name string) string {
	for _, c := range commands() {
		if !c.hidden && levenshtein.Distance(name, c.name, nil) <= 2 {
			return fmt.Sprintf("; did you mean %q?", c.name)
		}
	}
	return ""
}

// misused is an error in how the program was called.
func misused(format string, args ...any) error {
	return &exitCodeError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// say prints a line. Where it can't be printed there is nobody to tell,
// and the exit code still is.
func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", args...)
}
