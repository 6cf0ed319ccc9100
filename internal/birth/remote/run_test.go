package remote

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// inEachShell runs a test on a machine whose /bin/sh is Debian's, and on one where
// it is bash. They differ in what they do with signals and processes.
func inEachShell(t *testing.T, test func(*testing.T, *testkit.SSHDServer)) {
	t.Helper()
	for _, shell := range []string{"/bin/sh", "/bin/bash"} {
		t.Run(shell, func(t *testing.T) {
			noLeaks(t)
			s := testkit.SSHD(t, testkit.SSHDOptions{Users: []string{"birth"}})
			if out, err := s.Exec(t.Context(), "mount", "--bind", shell, "/bin/sh"); err != nil {
				t.Fatal(err, out)
			}
			test(t, s)
		})
	}
}

func TestRun(t *testing.T) { inEachShell(t, testRun) }

func testRun(t *testing.T, s *testkit.SSHDServer) {
	for _, user := range []string{"root", "birth"} {
		m := dial(t, let(t, s, user))
		for _, c := range []struct {
			name    string
			command []string
			stdin   string
			want    []string // sorted lines
			status  int
		}{
			{name: "arguments are words", command: []string{"printf", "%s\n", "a b", "$HOME", `it's "so"`, ""}, want: []string{"", "$HOME", "a b", `it's "so"`}},
			{name: "input", command: []string{"sh", "-c", "cat; echo end"}, stdin: "one\ntwo", want: []string{"one", "twoend"}},
			{name: "no input", command: []string{"cat"}},
			{name: "much input", command: []string{"wc", "-c"}, stdin: strings.Repeat("\n", 1<<20), want: []string{"1048576"}},
			{name: "input nobody reads", command: []string{"echo", "done"}, stdin: strings.Repeat("x", 1<<20), want: []string{"done"}},
			{name: "both streams", command: []string{"sh", "-c", "echo out; echo err >&2"}, want: []string{"err", "out"}},
			{name: "status", command: []string{"sh", "-c", "echo no; exit 7"}, want: []string{"no"}, status: 7},
			{name: "no such command", command: []string{"no-such-command"}, want: []string{"setsid: failed to execute no-such-command: No such file or directory"}, status: 127},
			{name: "a signal", command: []string{"sh", "-c", "kill -KILL $$"}, status: 137},
			{name: "no newline at the end", command: []string{"printf", "half"}, want: []string{"half"}},
		} {
			t.Run(c.name+" as "+user, func(t *testing.T) {
				var lines []string
				err := m.Run(t.Context(), c.command, strings.NewReader(c.stdin), func(line string) { lines = append(lines, line) })
				var exit *ExitError
				if errors.As(err, &exit) && exit.Status == c.status {
					err = nil
				} else if c.status != 0 {
					t.Errorf("got %v, want exit status %d", err, c.status)
				}
				slices.Sort(lines)
				if err != nil || !slices.Equal(lines, c.want) {
					t.Errorf("it printed %q, %v", lines, err)
				}
			})
		}
	}
	nothingLeft(t, s)
}

func TestRunSaysWhatCameLast(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	const key = "-----BEGIN KEY-----\nc2VjcmV0LWxpbmUtb25l\nc2VjcmV0LWxpbmUtdHdv\n-----END KEY-----\n"
	config := let(t, s, "root")
	config.Secrets = []string{"hunter2", `pass"word\`, key}
	m := dial(t, config)
	script := `i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo "line $i"; done
		cat; printf '%70000s\n' "hunter2"; exit 3`
	stdin := "a hunter2 b\n{\"p\":\"pass\\\"word\\\\\"}\n" + key + base64.StdEncoding.EncodeToString([]byte("hunter2")) + "\n"
	var lines []string
	err := m.Run(t.Context(), []string{"sh", "-c", script, "hunter2"}, strings.NewReader(stdin), func(line string) { lines = append(lines, line) })
	var failed *RunError
	if !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
	if got := strings.Count(failed.Output, "\n") + 1; got != tailLines || strings.Contains(failed.Output, "line 20\n") || !strings.Contains(failed.Output, "line 50\n") {
		t.Errorf("the error has %d lines: %s", got, failed.Output)
	}
	all := strings.Join(lines, "\n") + err.Error()
	for _, secret := range []string{"hunter2", `pass"word`, `pass\"word`, "c2VjcmV0LWxpbmUtb25l", "c2VjcmV0LWxpbmUtdHdv", "aHVudGVyMg"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is seen", secret)
		}
	}
	if !strings.Contains(all, "a *** b") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("the error is %v", err)
	}
	for _, line := range lines {
		if len(line) > lineLimit+10 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

// What a command says may come after the news of its end.
func TestRunWaitsForWhatAFailureSays(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	m := dial(t, let(t, s, "root"))
	err := m.Run(soon(t), []string{"sh", "-c", "{ sleep 2; echo late; } & exit 3"}, nil, nil)
	var failed *RunError
	if !errors.As(err, &failed) || failed.Output != "late" {
		t.Errorf("got %v", err)
	}
}

func TestRunWithoutSudo(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{Users: []string{"birth"}})
	if out, err := s.Exec(t.Context(), "sed", "-i", "/^birth/d", "/etc/sudoers"); err != nil {
		t.Fatal(err, out)
	}
	m := dial(t, let(t, s, "birth"))
	err := m.Run(t.Context(), []string{"true"}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "user birth may not become root") {
		t.Errorf("Run: %v", err)
	}
	c := content{}
	err = m.Upload(t.Context(), []Blob{c.add(1000)}, c.open, nil)
	if err == nil || !strings.Contains(err.Error(), "sudo: ") {
		t.Errorf("Upload: %v", err)
	}
}

// nothingLeft waits until there is nothing on the machine but sshd: no process of
// a command or of a script, and no pipe.
func nothingLeft(t *testing.T, s *testkit.SSHDServer) {
	t.Helper()
	testkit.Await(t, time.Minute, func(ctx context.Context) error {
		for _, look := range [][]string{{"pgrep", "-l", "-v", "-x", "sshd"}, {"find", "/run", "-name", "homeostat.*"}} {
			// That pgrep finds none is an error, which prints nothing.
			if out, _ := s.Exec(ctx, look...); out != "" {
				return fmt.Errorf("left on the machine: %s", out)
			}
		}
		return nil
	})
}

// hang is a command that waits for its end in three processes, none of which
// minds SIGTERM.
var hang = []string{"sh", "-c", "trap '' TERM; echo begun; sleep 1000 & sleep 1000; wait"}

// leave is one whose first process ends at once by SIGTERM, and the other doesn't.
var leave = []string{"sh", "-c", "(trap '' TERM; exec sleep 1000) & echo begun; exec sleep 1000"}

func TestRunEndsWithItsContext(t *testing.T) { inEachShell(t, testRunEndsWithItsContext) }

func testRunEndsWithItsContext(t *testing.T, s *testkit.SSHDServer) {
	for _, user := range []string{"root", "birth"} {
		for _, command := range [][]string{hang, leave} {
			m := dial(t, let(t, s, user))
			ctx, cancel := context.WithCancelCause(soon(t))
			why := errors.New("interrupted")
			err := m.Run(ctx, command, nil, func(string) { cancel(why) })
			if !errors.Is(err, why) || !strings.Contains(err.Error(), "begun") {
				t.Errorf("%q as %s: %v", command, user, err)
			}
			nothingLeft(t, s)
			if err := m.Run(soon(t), []string{"true"}, nil, nil); !errors.Is(err, why) {
				t.Errorf("as %s: the connection lives on: %v", user, err)
			}
		}
	}
}

func TestRunEndsWithItsConnection(t *testing.T) { inEachShell(t, testRunEndsWithItsConnection) }

func testRunEndsWithItsConnection(t *testing.T, s *testkit.SSHDServer) {
	p := newProxy(t, s.Addr())
	for _, user := range []string{"root", "birth"} {
		for _, command := range [][]string{hang, leave} {
			config := let(t, s, user)
			config.Port = p.port(t)
			m := dial(t, config)
			err := m.Run(soon(t), command, strings.NewReader("x"), func(string) { p.cut() })
			if !errors.Is(err, errNoStatus) {
				t.Errorf("%q as %s: %v", command, user, err)
			}
			nothingLeft(t, s)
		}
	}
}

// A cell that a command starts where there is no systemd outlives the command.
func TestRunLeavesWhatWasDetached(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	m := dial(t, let(t, s, "root"))
	// It even holds the streams of the command.
	if err := m.Run(soon(t), []string{"sh", "-c", "setsid sleep 3000 & echo begun"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	if out, err := s.Exec(t.Context(), "pgrep", "-x", "-f", "sleep 3000"); err != nil {
		t.Errorf("it is gone: %v %s", err, out)
	}
	if err := m.Run(t.Context(), []string{"true"}, nil, nil); err != nil {
		t.Errorf("the connection afterwards: %v", err)
	}
}

func TestDeadConnectionIsNoticed(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	m := dial(t, let(t, s, "root"))
	err := m.Run(soon(t), hang, nil, func(string) {
		if err := s.Pause(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Continue(); err != nil {
		t.Fatal(err)
	}
	if err == nil || !strings.Contains(err.Error(), "the connection is dead") {
		t.Errorf("got %v", err)
	}
	nothingLeft(t, s)
}

func FuzzQuote(f *testing.F) {
	for _, word := range []string{"", "a b", "'", `\'`, "$(id)", "\n", "-n", "*", "ü\x80"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if strings.Contains(word, "\x00") {
			return
		}
		got, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+quote(word)).Output()
		if err != nil || string(got) != word {
			t.Errorf("a shell reads %q as %q, %v", word, got, err)
		}
	})
}
