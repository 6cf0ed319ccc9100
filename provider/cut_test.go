package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func childrenOf(t *testing.T, parent int) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(b), ") ")
		if fields := strings.Fields(after); len(fields) > 1 && fields[1] == strconv.Itoa(parent) && alive(pid) {
			all = append(all, pid)
		}
	}
	return all
}

// A birth is held open by a gate, and cut there. What was begun is taken up by
// the next apply, or cleared away: there is never a second process.
func TestBirthCut(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		cut func(t *testing.T, c *cli, r *running)
		// adopted says that the process which the first apply began is to be
		// the cell's in the end.
		adopted bool
	}{
		"provider killed": {func(t *testing.T, _ *cli, r *running) { kill(t, r.provider(t)) }, true},
		"terraform killed": {func(t *testing.T, _ *cli, r *running) {
			provider := r.provider(t)
			kill(t, r.cmd.Process.Pid)
			await(t, "the end of the provider", func() bool { return !alive(provider) })
		}, true},
		"both killed":    {func(t *testing.T, _ *cli, r *running) { kill(t, r.provider(t), r.cmd.Process.Pid) }, true},
		"sidecar killed": {func(t *testing.T, c *cli, _ *running) { kill(t, c.said()[0]) }, false},
		"all killed": {func(t *testing.T, c *cli, r *running) {
			kill(t, r.provider(t), r.cmd.Process.Pid, c.said()[0])
		}, false},
		"interrupted": {func(t *testing.T, _ *cli, r *running) {
			if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCLI(t, newRig(t))
			gate := filepath.Join(t.TempDir(), "gate")
			c.write(c.cell("gate="+gate, `drain = { grace = "1s" }`))
			run := c.start("apply", "-auto-approve")
			await(t, "a registration", func() bool { return c.member("web-1") != nil })
			first := c.said()
			began := time.Now()
			tc.cut(t, c, run)
			status := run.wait(t)
			t.Logf("ended %v after the cut: %v", time.Since(began).Round(time.Millisecond), status)
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			unlock(t, c)
			c.must("apply", "-auto-approve")
			if out, code := c.terraform("plan", "-detailed-exitcode"); code != 0 {
				t.Errorf("the plan afterwards isn't empty:\n%s", out)
			}
			left := c.processes()
			if len(left) != 1 {
				t.Fatalf("processes %v, want one", left)
			}
			if adopted := left[0] == first[0]; adopted != tc.adopted {
				t.Errorf("adopted: %v, want %v", adopted, tc.adopted)
			}
			c.must("destroy", "-auto-approve")
			if err := c.nothingLeft(nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// unlock takes away the lock file that a killed Terraform left, as a person
// would by force-unlock.
func unlock(t *testing.T, c *cli) {
	t.Helper()
	if err := os.Remove(filepath.Join(c.root, ".terraform.tfstate.lock.info")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

// Ctrl-C ends a birth that waits, at once and in order: Terraform's own limit
// for that is a minute, and what it then kills would leave no state.
func TestBirthInterrupted(t *testing.T) {
	c := newCLI(t, newRig(t))
	c.write(c.cell("sick", `drain = { grace = "1s" }`, `timeouts = { create = "10m" }`))
	run := c.start("apply", "-auto-approve")
	await(t, "a registration", func() bool { return c.member("web-1") != nil })
	if err := run.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if status := run.wait(t); status == nil {
		t.Error("an interrupted apply ends as if it had succeeded")
	}
	for _, want := range []string{"it was interrupted (context canceled), and then", "apply again: the cell stands in the state as tainted"} {
		if !spaced(want).MatchString(run.out.String()) {
			t.Errorf("it says\n%s\nand not %q", run.out, want)
		}
	}
	if out := c.must("state", "list"); strings.TrimSpace(out) != cellAddress {
		t.Errorf("the state has %q", out)
	}
	c.must("destroy", "-auto-approve")
	if err := c.nothingLeft(nil); err != nil {
		t.Error(err)
	}
}

// A removal that was cut is done to the end by the next one.
func TestRemovalCut(t *testing.T) {
	c := newCLI(t, newRig(t))
	c.write(c.cell("well stubborn brood", `drain = { grace = "1m" }`))
	c.must("apply", "-auto-approve")
	await(t, "four processes", func() bool { return len(c.said()) == 4 })
	all := c.said()
	run := c.start("destroy", "-auto-approve")
	testkit.Await(t, time.Minute, func(ctx context.Context) error {
		tombstones, err := c.fleet.Tombstones(ctx, c.service)
		if err == nil && len(tombstones) == 0 {
			err = fmt.Errorf("no tombstone yet")
		}
		return err
	})
	// Terraform first: at the end of its provider it writes the state, and killed
	// while it writes a local one it leaves that empty.
	provider := run.provider(t)
	kill(t, run.cmd.Process.Pid, provider)
	t.Log(run.wait(t))
	unlock(t, c)
	c.write(c.cell("well stubborn brood", `drain = { grace = "1s" }`))
	c.must("apply", "-auto-approve")
	c.must("destroy", "-auto-approve")
	for _, pid := range all {
		if alive(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
	if err := c.nothingLeft(nil); err != nil {
		t.Error(err)
	}
}

// Ctrl-C while the cell drains: it stays, and is taken back.
func TestRemovalInterrupted(t *testing.T) {
	c := newCLI(t, newRig(t))
	c.write(c.cell("well swamped", `drain = { timeout = "1m" }`))
	c.must("apply", "-auto-approve")
	log := filepath.Join(c.dir, c.service, "web-1", "cell.log")
	saw := func(line string) bool {
		b, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(b), line)
	}
	run := c.start("destroy", "-auto-approve")
	await(t, "a drain", func() bool { return saw("drain PUT") })
	if err := run.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if status := run.wait(t); status == nil {
		t.Error("an interrupted destroy ends as if it had succeeded")
	}
	if !saw("drain DELETE") {
		t.Error("the cell was not taken back")
	}
	if tombstones, err := c.fleet.Tombstones(t.Context(), c.service); err != nil || len(tombstones) > 0 {
		t.Errorf("tombstones of a cell that lives: %+v, %v", tombstones, err)
	}
	c.must("plan", "-detailed-exitcode")
	c.write(c.cell("well swamped", `drain = { timeout = "0s" }`))
	c.must("apply", "-auto-approve")
	c.must("destroy", "-auto-approve")
	if err := c.nothingLeft(nil); err != nil {
		t.Error(err)
	}
}
