package testkit

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// NotRunFile is the environment variable that names a file in which NotRun
// notes its lines, one each. go test shows what a skipped test says only when
// it is verbose; make test counts these lines instead.
const NotRunFile = "HOMEOSTAT_NOT_RUN"

// NotRun ends a test that this machine can't run, with one line that says what
// wasn't run and why. Where the environment says CI=true the test fails: there
// everything has to run.
func NotRun(tb testing.TB, what, why string) {
	tb.Helper()
	line := fmt.Sprintf("not run: %s, because %s", what, strings.Join(strings.Fields(why), " "))
	if err := note(os.Getenv(NotRunFile), line); err != nil {
		tb.Error(err)
	}
	if os.Getenv("CI") == "true" {
		tb.Fatal(line)
	}
	tb.Skip(line)
}

// note appends a line to a file. Test processes run side by side; appends of
// one line don't mix.
func note(path, line string) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("note that a test was not run: %w", err)
	}
	if _, err := fmt.Fprintln(f, line); err != nil {
		f.Close()
		return fmt.Errorf("note that a test was not run: %w", err)
	}
	return f.Close()
}
