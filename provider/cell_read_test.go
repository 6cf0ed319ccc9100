package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
)

// planned is a step that only plans, and expects of it what is to be done.
func planned(config string, before func(), action plancheck.ResourceActionType) resource.TestStep {
	return resource.TestStep{
		PreConfig: before, Config: config, PlanOnly: true, ExpectNonEmptyPlan: true,
		ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectResourceAction(cellAddress, action)}},
	}
}

func kill(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		// One may end by itself when another is killed.
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
	for _, pid := range pids {
		await(t, "the end of a process", func() bool { return !alive(pid) })
	}
}

func TestReadGone(t *testing.T) {
	r := newRig(t)
	config := r.cell("well")
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft,
		Steps: []resource.TestStep{
			{Config: config},
			planned(config, func() { kill(t, r.processes()...) }, plancheck.ResourceActionCreate),
			{Config: config, Check: func(*terraform.State) error {
				if n := len(r.processes()); n != 1 {
					return fmt.Errorf("%d processes, want 1", n)
				}
				if m := r.member("web-1"); m == nil || len(m.Older) > 0 {
					return fmt.Errorf("registered: %+v", m)
				}
				return nil
			}},
		},
	})
}

// The sidecar is dead and its children run on: among them one in a session of
// its own, and one that wrote over its environment as well.
func TestReadDead(t *testing.T) {
	r := newRig(t)
	config := r.cell("well brood", `drain = { grace = "1s" }`)
	var old []int
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft,
		Steps: []resource.TestStep{
			{Config: config},
			planned(config, func() {
				await(t, "four processes", func() bool { return len(r.said()) == 4 })
				old = r.said()
				// The one without a mark is found only while its parent lives.
				for _, pid := range old[1:] {
					if !strings.Contains(environ(pid), "TEST_RIG=") {
						kill(t, pid)
					}
				}
				kill(t, old[0])
			}, plancheck.ResourceActionReplace),
			{Config: config, Check: func(*terraform.State) error {
				for _, pid := range old {
					if alive(pid) {
						return fmt.Errorf("process %d of the dead cell is left", pid)
					}
				}
				return nil
			}},
		},
	})
}

func environ(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return ""
	}
	return string(b)
}

func TestReadElsewhere(t *testing.T) {
	r := newRig(t)
	config := r.cell("well")
	folder := filepath.Join(r.dir, r.service, "web-1")
	record := filepath.Join(folder, "cell.json")
	var original []byte
	edit := func(change func(string) string) func() {
		return func() {
			b, err := os.ReadFile(record)
			if err != nil {
				t.Fatal(err)
			}
			original = b
			if err := os.WriteFile(record, []byte(change(string(b))), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	restore := func() {
		if err := os.WriteFile(record, original, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		t.Fatal(err)
	}
	other := func(s string) string { return strings.ReplaceAll(s, strings.TrimSpace(string(machine)), "m2") }
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft,
		Steps: []resource.TestStep{
			{Config: config},
			{PreConfig: edit(other), Config: config, PlanOnly: true, ExpectError: spaced("runs on host")},
			{Config: config, PlanOnly: true, ExpectError: spaced("(machine id m2)")},
			{Config: config, Destroy: true, ExpectError: spaced("run Terraform on host")},
			{PreConfig: restore, Config: config, PlanOnly: true},
			// Another state directory: the processes are seen, the record isn't.
			{
				Config:   strings.Replace(config, fmt.Sprintf("state_directory = %q", r.dir), fmt.Sprintf("state_directory = %q", r.dir+"2"), 1),
				PlanOnly: true, ExpectError: spaced("was it born under another state_directory?"),
			},
			{Config: config, PlanOnly: true},
		},
	})
	if n := len(r.processes()); n != 0 {
		t.Errorf("%d processes left", n)
	}
}

// Somebody else has begun the cell anew: the state takes over what runs.
func TestReadChanged(t *testing.T) {
	r := newRig(t)
	config := r.cell("well")
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft,
		Steps: []resource.TestStep{
			{Config: config},
			planned(config, func() {
				record := filepath.Join(r.dir, r.service, "web-1", "cell.json")
				b, err := os.ReadFile(record)
				if err != nil {
					t.Fatal(err)
				}
				changed := strings.Replace(string(b), `"TEST_RIG"`, `"OTHER"`, 1)
				if err := os.WriteFile(record, []byte(changed), 0o600); err != nil {
					t.Fatal(err)
				}
			}, plancheck.ResourceActionReplace),
			{Config: config},
		},
	})
}

func TestConsulAway(t *testing.T) {
	r := newRigAlone(t)
	config := r.cell("well")
	stop := func() {
		if err := r.consul.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	start := func() {
		if err := r.consul.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft,
		Steps: []resource.TestStep{
			{Config: config},
			{PreConfig: stop, Config: config, PlanOnly: true, ExpectError: spaced("consul is unreachable")},
			{Config: config, PlanOnly: true, ExpectError: spaced("Next: put that right and try again; nothing was changed, and the cell stays in the state")},
			{PreConfig: func() { kill(t, r.processes()...) }, Config: config, PlanOnly: true, ExpectError: spaced("Cell not read")},
			planned(config, start, plancheck.ResourceActionCreate),
			{Config: config},
		},
	})
}
