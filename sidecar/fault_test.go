package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// The tests of this file's name each make a fault for real, in a house of their
// own, and look from outside at what comes of it: at the log, at `status`, and
// at what record, state, Consul and /proc agree on.

// patience is the limit of every wait for something that takes seconds on an
// idle machine. It is there so that a test ends.
const patience = 2 * time.Minute

// script is a cell's first process. What it does wrong is told by the file
// "fault" in the house, or one for the cell: each test of births names it there,
// and takes it away.
const script = `#!/bin/sh
export OUTBREAK='%[1]s/outbreak'
case "$(cat "%[1]s/fault-of-$HOMEOSTAT_CELL" 2>/dev/null || cat '%[1]s/fault' 2>/dev/null)" in
quota)  echo "the quota is used up: Request cancelled, Plugin did not respond" >&2; exit 3 ;;
exits)  exec '%[2]s' run -policy '%[1]s/homeostat.hcl' -- false ;;
port)   exec '%[2]s' run -policy '%[1]s/homeostat.hcl' -port "$(cat '%[1]s/port')" -- sleep 100000 ;;
unwell) exec '%[2]s' run -policy '%[1]s/unwell.hcl' -- sleep 100000 ;;
hold)   touch "%[1]s/held-$HOMEOSTAT_CELL"; while [ -e '%[1]s/fault' ]; do sleep 0.1; done ;;
esac
policy='%[1]s/homeostat.hcl'
test -e "%[1]s/policy-of-$HOMEOSTAT_CELL" && policy="%[1]s/policy-of-$HOMEOSTAT_CELL"
exec '%[2]s' run -policy "$policy" -- %[3]s
`

// faulty lays out a house whose cells can be made to fail, for a test that runs
// beside others.
func faulty(t *testing.T, o houseOptions) *house {
	t.Helper()
	needServers(t)
	t.Parallel()
	return faultyHouse(t, o)
}

// faultyHouse is faulty for a test that does so already.
func faultyHouse(t *testing.T, o houseOptions) *house {
	t.Helper()
	h := newHouse(t, o)
	command := strings.Join(o.Command, " ")
	if command == "" {
		command = "sleep 100000"
	}
	h.write("cell.sh", fmt.Sprintf(script, h.dir, h.program, command))
	if o.Module == "" {
		h.rewrite("pod/main.tf", func(text string) string {
			at, end := strings.Index(text, "  command "), strings.Index(text, "  timeouts ")
			return text[:at] + fmt.Sprintf("  command = [\"sh\", %q]\n", filepath.Join(h.dir, "cell.sh")) + text[end:]
		})
	}
	return h
}

// rewrite changes a file of the house.
func (h *house) rewrite(name string, change func(string) string) {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.dir, name))
	h.must(err)
	text := change(string(b))
	if text == string(b) {
		h.t.Fatalf("%s is as it was:\n%s", name, b)
	}
	h.write(name, text)
}

// edit replaces one piece of a file, and returns what puts it back.
func (h *house) edit(name, old, text string) (undo func()) {
	h.t.Helper()
	h.rewrite(name, func(s string) string { return strings.Replace(s, old, text, 1) })
	return func() {
		h.t.Helper()
		h.rewrite(name, func(s string) string { return strings.Replace(s, text, old, 1) })
	}
}

// remove takes a file of the house away.
func (h *house) remove(name string) {
	h.t.Helper()
	h.must(os.Remove(filepath.Join(h.dir, name)))
}

// exists waits for a file of the house.
func (h *house) exists(name string) {
	h.t.Helper()
	h.await("the file "+name, func(context.Context) error {
		_, err := os.Stat(filepath.Join(h.dir, name))
		return err
	})
}

// seldom is the pause between two looks at what is awaited of a house. Most looks
// go through the processes of the whole host, or begin a program, and many tests
// look at a time.
const seldom = 100 * time.Millisecond

// await waits for a condition that lasts, and shows the sidecars' logs when it
// doesn't come.
func (h *house) await(what string, condition func(context.Context) error) {
	h.t.Helper()
	if err := testkit.PollEvery(h.t.Context(), seldom, patience, condition); err != nil {
		h.t.Fatalf("%s: %v\n%s\nof leaders without a cell:\n%s", what, err, h.logs(), strings.Join(h.logsAlone(), ""))
	}
}

// logLines are the lines of all sidecars' logs that hold all the words given.
func (h *house) logLines(words ...string) []string {
	paths, _ := filepath.Glob(filepath.Join(h.dir, "cells", "*", "*", "*.log"))
	alone, _ := filepath.Glob(filepath.Join(h.dir, "*.log"))
	var found []string
	for _, path := range append(paths, alone...) {
		b, _ := os.ReadFile(path) // a cell's folder goes with it
		for line := range strings.Lines(string(b)) {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				found = append(found, strings.TrimSpace(line))
			}
		}
	}
	return found
}

// logsAlone are the last lines of the leaders without a cell.
func (h *house) logsAlone() []string {
	paths, _ := filepath.Glob(filepath.Join(h.dir, "*.log"))
	var lines []string
	for _, path := range paths {
		b, _ := os.ReadFile(path)
		lines = append(lines, slices.Collect(strings.Lines(string(b)))...)
	}
	return lines[max(0, len(lines)-25):]
}

// hears waits until a sidecar has logged a line that holds all the words, and
// prints the first.
func (h *house) hears(words ...string) {
	h.t.Helper()
	var lines []string
	h.await(fmt.Sprintf("no line with %q", words), func(context.Context) error {
		if lines = h.logLines(words...); len(lines) == 0 {
			return errors.New("not heard")
		}
		return nil
	})
	h.t.Logf("heard: %.400s", lines[0])
}

// reads waits until `homeostat status` says all the words.
func (h *house) reads(words ...string) {
	h.t.Helper()
	h.await(fmt.Sprintf("status without %q", words), func(context.Context) error {
		text, code := h.homeostat("status")
		if code != 0 {
			return fmt.Errorf("exit %d:\n%s", code, text)
		}
		for _, w := range words {
			if !strings.Contains(text, w) {
				return fmt.Errorf("%q is not in:\n%s", w, text)
			}
		}
		return nil
	})
}

// lives maps each cell that is passing in Consul to its incarnation.
func (h *house) lives() map[string]string {
	h.t.Helper()
	members, err := h.fleet.Members(h.t.Context(), "pod")
	h.must(err)
	lives := map[string]string{}
	for _, m := range members {
		if m.Health == fleet.Passing {
			lives[m.Name] = m.Incarnation
		}
	}
	return lives
}

// sameLives fails the test if a cell isn't the one it was.
func (h *house) sameLives(before map[string]string) {
	h.t.Helper()
	if now := h.lives(); !maps.Equal(now, before) {
		h.t.Errorf("cells were replaced: %v, were %v\n%s", now, before, h.logs())
	}
}

// leader is the cell that leads, awaited.
func (h *house) leader() string {
	h.t.Helper()
	return h.leaderOf("pod").Cell
}

func (h *house) leaderOf(service string) (holder fleet.Holder) {
	h.t.Helper()
	h.await("nobody leads "+service, func(ctx context.Context) error {
		found, err := h.fleet.Leader(ctx, service)
		if err == nil {
			holder = *found
		}
		return err
	})
	return holder
}

// followers are the cells that don't lead.
func (h *house) followers() []string {
	h.t.Helper()
	leader := h.leader()
	return slices.DeleteFunc(h.processes(), func(name string) bool { return name == leader })
}

// alone starts a leader without a cell.
func (h *house) alone() {
	h.t.Helper()
	h.aloneWith(h.policy())
}

// aloneWith is alone with a policy of its own.
func (h *house) aloneWith(policy string) {
	h.t.Helper()
	log, err := os.OpenFile(filepath.Join(h.dir, "alone-pod.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	h.must(err)
	cmd := exec.Command(h.program, "run", "-service", "pod", "-policy", policy)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = h.env, h.dir, log, log
	h.must(cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed, or the test looks at what it did
		_ = log.Close()
		close(ended)
	}()
	h.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended
		<-ended
	})
}

// signal sends a signal to a cell's sidecar.
func (h *house) signal(cell string, signal syscall.Signal) int {
	h.t.Helper()
	pid := h.sidecar(cell)
	h.must(syscall.Kill(pid, signal))
	return pid
}

// file reads a file of the root module; "" where there is none.
func (h *house) file(name string) string {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.module(), name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.t.Fatal(err)
	}
	return string(b)
}

// policyText is the house's policy with one text in place of another.
func (h *house) policyText(old, text string) string {
	h.t.Helper()
	b, err := os.ReadFile(h.policy())
	h.must(err)
	return strings.ReplaceAll(string(b), old, text)
}
