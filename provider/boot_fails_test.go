package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/cloud"
)

// A birth that fails makes its ticket void, and the next apply goes on with
// another machine.
func TestBirthByBootFails(t *testing.T) {
	t.Parallel()
	first := func() func(string) bool {
		seen := false
		return func(string) bool {
			defer func() { seen = true }()
			return seen
		}
	}
	sick := func(incarnation *string) func(fleet.Cell) fleet.Health {
		return func(c fleet.Cell) fleet.Health {
			if *incarnation == "" {
				*incarnation = c.Incarnation
			}
			if c.Incarnation == *incarnation {
				return fleet.Critical
			}
			return fleet.Passing
		}
	}
	cases := map[string]struct {
		options cloud.Options
		config  bootOptions
		want    []string
	}{
		"no machine comes": {
			cloud.Options{Comes: first()},
			bootOptions{
				Cell: `timeouts = { create = "2s" }`,
				Boot: `console = ["sh", "-c", "echo kernel panic; echo the key is '` + secret + `'; printf 'a\\033[31mb'; exit 3"]`,
			},
			[]string{
				"wait for the machine: receive web-1.", "it took longer than timeouts.create = 2s; no machine has come with the ticket",
				"another one is issued, and with it another machine is made", "Last lines of its machine's console:", "kernel panic", "the key is ***", "a[31mb", "(sh: exit status 3)",
			},
		},
		"the ticket expires": {
			cloud.Options{Comes: first()}, bootOptions{Join: `lifetime = "1s"`}, []string{"receive web-1.", "the ticket has expired"},
		},
		"never healthy": {
			cloud.Options{Health: sick(new(string))}, bootOptions{Cell: `timeouts = { create = "20s" }`},
			[]string{"wait until it is passing: it took longer than timeouts.create = 20s, and then it is registered in Consul, and critical", "The machine was heard last"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBootRig(t, c.options)
			failing := b.config(c.config)
			var steps []resource.TestStep
			steps = append(steps, resource.TestStep{Config: failing, ExpectError: inTurn(c.want)})
			steps = append(steps, resource.TestStep{
				Config: b.config(bootOptions{}),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction("homeostat_join.web", plancheck.ResourceActionReplace),
					plancheck.ExpectResourceAction("terraform_data.machine", plancheck.ResourceActionReplace),
					plancheck.ExpectResourceAction(cellAddress, plancheck.ResourceActionReplace),
				}},
			})
			resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: factories(), CheckDestroy: b.gone, Steps: steps})
			if n := b.cloud.Booted(); n != 2 {
				t.Errorf("%d machines were booted, want 2", n)
			}
		})
	}
}

// Consul is away when the birth begins: that is waited for, and spoils nothing.
func TestBirthByBootWaitsForConsul(t *testing.T) {
	b := bootRigOn(t, newRigAlone(t), cloud.Options{})
	c := newCLI(t, b.rig)
	c.write(b.config(bootOptions{}))
	c.must("apply", "-auto-approve", "-target=terraform_data.machine")
	c.must("plan", "-out=birth.plan")
	if err := b.consul.Stop(); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(c.root, "provider.log")
	cmd := c.command(t.Context(), "apply", "birth.plan")
	cmd.Env = append(cmd.Env, "TF_LOG_PROVIDER=WARN", "TF_LOG_PATH="+log)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "the birth's wait for Consul", func() bool {
		text, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(text), "Consul is waited for")
	})
	if err := b.consul.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("apply: %v\n%s", err, &out)
	}
	c.must("plan", "-detailed-exitcode")
	c.must("destroy", "-auto-approve")
	if err := b.gone(nil); err != nil {
		t.Error(err)
	}
}

// A cell that is healthy only after its birth was given up is adopted by the next
// apply, whether its ticket was made void or not.
func TestBirthByBootComesLate(t *testing.T) {
	t.Parallel()
	for name, sick := range map[string]fleet.Health{"void ticket": fleet.Critical, "good ticket": fleet.Warning} {
		t.Run(name, func(t *testing.T) {
			healthy := make(chan struct{})
			b := newBootRig(t, cloud.Options{Health: healthyAfter(healthy, sick)})
			c := newCLI(t, b.rig)
			c.write(b.config(bootOptions{Cell: `timeouts = { create = "20s" }`}))
			out, code := c.terraform("apply", "-auto-approve")
			if code == 0 || !spaced("it took longer than timeouts.create").MatchString(out) {
				t.Fatalf("the first apply ends with %d:\n%s", code, out)
			}
			was := b.member("web-1")
			close(healthy)
			await(t, "its health", func() bool { m := b.member("web-1"); return m != nil && m.Health == fleet.Passing })
			c.must("apply", "-auto-approve")
			if m := b.member("web-1"); m == nil || was == nil || m.Incarnation != was.Incarnation || b.cloud.Booted() != 1 {
				t.Errorf("registered as %+v, was %+v; %d machines were booted", m, was, b.cloud.Booted())
			}
			c.must("plan", "-detailed-exitcode")
			c.must("destroy", "-auto-approve")
			if err := b.gone(nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// healthyAfter has cells be sick until a channel is closed.
func healthyAfter(healthy <-chan struct{}, sick fleet.Health) func(fleet.Cell) fleet.Health {
	return func(fleet.Cell) fleet.Health {
		select {
		case <-healthy:
			return fleet.Passing
		default:
			return sick
		}
	}
}
