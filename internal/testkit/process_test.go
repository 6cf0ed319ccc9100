package testkit

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell starts a shell script as a server.
func shell(t *testing.T, script string) *process {
	t.Helper()
	p, err := program{
		name:    "shell",
		command: []string{"sh", "-c", script},
		log:     filepath.Join(t.TempDir(), "log"),
	}.start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.kill(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func notReady(context.Context) error { return errors.New("nobody answers") }

func TestStartThatFailsShowsWhyAndTheLog(t *testing.T) {
	for _, c := range []struct {
		name, script string
		limit        time.Duration
		want         []string
	}{
		{
			name:   "ends at once",
			script: "echo the port is taken >&2; exit 3",
			limit:  time.Minute,
			want:   []string{"exit code 3", "the port is taken"},
		},
		{
			name:   "never becomes ready",
			script: "echo still reading; exec sleep 600",
			limit:  time.Second,
			want:   []string{"nobody answers", "deadline exceeded", "still reading"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := shell(t, c.script)
			err := p.until(t.Context(), c.limit, notReady)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q: %v", want, err)
				}
			}
			if !p.ended() {
				t.Error("the server still runs")
			}
		})
	}
}

func TestStopKillsWhatDoesNotListenAndSaysSo(t *testing.T) {
	p := shell(t, "trap '' TERM; echo deaf; while :; do sleep 1; done")
	Await(t, 10*time.Second, func(context.Context) error {
		if !strings.Contains(p.tail(), "deaf") {
			return errors.New("the server has not begun")
		}
		return nil
	})
	err := p.stop(syscall.SIGTERM, 200*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("error %v, want one that says it was killed", err)
	}
	if got := p.outcome(); got != "signal killed" {
		t.Errorf("outcome %q", got)
	}
}

func TestStopEndsAPausedServer(t *testing.T) {
	p := shell(t, "exec sleep 600")
	if err := p.pause(); err != nil {
		t.Fatal(err)
	}
	if err := p.stop(syscall.SIGTERM, 10*time.Second); err != nil {
		t.Error(err)
	}
}

func TestKillEndsChildrenThatLeftTheGroup(t *testing.T) {
	p := shell(t, "setsid sleep 600 & wait")
	var children []int
	Await(t, 10*time.Second, func(context.Context) error {
		if children = family(p.pid); len(children) == 0 {
			return errors.New("no child yet")
		}
		return nil
	})
	if err := p.kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range children {
		if state := processState(t, pid); state != "" && state != "Z" {
			t.Errorf("child %d is left in state %s", pid, state)
		}
	}
}
