package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/cloud"
)

// bootRig is a rig whose cells are born by the first boot of machines.
type bootRig struct {
	*rig
	cloud *cloud.Cloud
	store *cloud.Store
}

// secret is the content of the one secret that cells get.
const secret = "no state holds this"

func newBootRig(t *testing.T, o cloud.Options) *bootRig {
	t.Helper()
	return bootRigOn(t, newRig(t), o)
}

func bootRigOn(t *testing.T, r *rig, o cloud.Options) *bootRig {
	t.Helper()
	b := &bootRig{rig: r, cloud: cloud.New(t, r.consul.Addr(), o), store: cloud.Serve(t)}
	b.publish("one")
	return b
}

func (b *bootRig) publish(release string) {
	b.t.Helper()
	b.store.Publish(b.fleet, b.service, fmt.Sprintf("command = [\"app\"]\nenvironment = { RELEASE = %q }\n", release))
}

// bootOptions are what differs between configurations.
type bootOptions struct {
	Format string // shell by default
	Join   string // more of homeostat_join
	Boot   string // more of boot
	Cell   string // more of homeostat_cell
}

// config has one cell, named web-1, on a machine of the cloud.
func (b *bootRig) config(o bootOptions) string {
	b.t.Helper()
	if o.Format == "" {
		o.Format = formatShell
	}
	key := filepath.Join(filepath.Dir(b.dir), "key")
	if err := os.WriteFile(key, []byte(secret), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return b.provider() + fmt.Sprintf(`
resource "homeostat_join" "web" {
  service = %[1]q
  name    = "web-1"
  %[3]s
}
resource "terraform_data" "machine" {
  input = provider::homeostat::user_data({
    format      = %[2]q
    join        = homeostat_join.web
    environment = null
  })
  %[6]s
  lifecycle {
    ignore_changes       = [input]
    replace_triggered_by = [homeostat_join.web.id]
  }
}
resource "homeostat_cell" "web" {
  service = %[1]q
  name    = "web-1"
  boot = {
    join    = homeostat_join.web
    machine = terraform_data.machine.id
    secrets = { key = %[7]q }
    %[4]s
  }
  %[5]s
  lifecycle {
    ignore_changes       = [boot.secrets, boot.console]
    replace_triggered_by = [homeostat_join.web.id]
  }
}
`, b.service, o.Format, o.Join, o.Boot, o.Cell, b.cloud.Provisioners(), key)
}

// gone is what must hold after every test: no machine, ticket or registration.
func (b *bootRig) gone(*terraform.State) error {
	await(b.t, "the end of all machines", func() bool { return len(b.cloud.Machines()) == 0 })
	if keys := b.keysBelow("homeostat/boot."); len(keys) > 0 {
		return fmt.Errorf("left in Consul: %v", keys)
	}
	return b.nothingLeft(nil)
}

// keysBelow are the keys in Consul of this rig's cells.
func (b *bootRig) keysBelow(prefix string) []string {
	b.t.Helper()
	client, err := b.consul.Client()
	if err != nil {
		b.t.Fatal(err)
	}
	pairs, _, err := client.KV().List(prefix, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	var all []string
	for _, p := range pairs {
		if strings.Contains(string(p.Value), b.service) {
			all = append(all, p.Key)
		}
	}
	return all
}

// only is the one machine there is.
func (b *bootRig) only() *cloud.Machine {
	b.t.Helper()
	machines := b.cloud.Machines()
	if len(machines) != 1 {
		b.t.Fatalf("%d machines, want 1", len(machines))
	}
	for _, m := range machines {
		return m
	}
	return nil
}

// inTurn makes a pattern of texts that stand one after the other.
func inTurn(texts []string) *regexp.Regexp {
	var all []string
	for _, text := range texts {
		all = append(all, spaced(text).String())
	}
	return regexp.MustCompile("(?s)" + strings.Join(all, ".*"))
}

func TestBirthByBoot(t *testing.T) {
	for _, format := range []string{formatShell, formatCloudInit} {
		t.Run(format, func(t *testing.T) {
			b := newBootRig(t, cloud.Options{})
			incarnation := "01" + format // Consul's agent tells registrations apart by it
			b.record(fleet.Record{Count: 1, Names: []string{"web-1"}, Next: 2, Orders: []fleet.Order{{
				ID: "1-1", Add: []fleet.Newborn{{Name: "web-1", Incarnation: incarnation, Parent: "web-0", Generation: 4, Reason: "lag is 3 min, the bound is 30 s"}},
			}}})
			config := b.config(bootOptions{Format: format})
			value := func(name string, check knownvalue.Check) statecheck.StateCheck {
				return statecheck.ExpectKnownValue(cellAddress, tfjsonpath.New(name), check)
			}
			text := knownvalue.StringExact
			resource.UnitTest(t, resource.TestCase{
				ProtoV6ProviderFactories: factories(), CheckDestroy: b.gone,
				Steps: []resource.TestStep{{
					Config: config,
					ConfigStateChecks: []statecheck.StateCheck{
						value("incarnation", text(incarnation)), value("parent", text("web-0")), value("generation", knownvalue.Int64Exact(4)),
						value("reason", text("lag is 3 min, the bound is 30 s")), value("status", text(statusRunning)),
						value("address", text("127.0.0.1")), value("born_at", knownvalue.NotNull()), value("sealed_at", knownvalue.Null()),
					},
					Check: func(state *terraform.State) error {
						got, err := os.ReadFile(filepath.Join(b.only().Root(), "etc/homeostat/secrets/key"))
						if err != nil || string(got) != secret {
							return errors.Join(err, fmt.Errorf("the machine's secret is %q", got))
						}
						if strings.Contains(state.String(), secret) {
							return fmt.Errorf("the state holds the secret")
						}
						if m := b.member("web-1"); m == nil || m.Parent != "web-0" || m.Genome == "" {
							return fmt.Errorf("registered as %+v", m)
						}
						return nil
					},
				}, {
					PreConfig: func() { b.publish("two") },
					Config:    config, PlanOnly: true,
				}, {
					// What counts for the next ticket changes no machine.
					Config: b.config(bootOptions{Format: format, Join: `lifetime = "7m"`}),
					ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
						plancheck.ExpectResourceAction("homeostat_join.web", plancheck.ResourceActionUpdate),
						plancheck.ExpectResourceAction("terraform_data.machine", plancheck.ResourceActionNoop),
						plancheck.ExpectResourceAction(cellAddress, plancheck.ResourceActionNoop),
					}},
				}},
			})
			answer, err := b.fleet.LeaveAnswer(t.Context(), b.service, "web-1")
			if err != nil || answer == nil || answer.Phase != fleet.LeaveLeft {
				t.Errorf("the cell's last word is %+v, %v", answer, err)
			}
			if n := b.cloud.Booted(); n != 1 {
				t.Errorf("%d machines were booted, want 1", n)
			}
		})
	}
}

// A birth that fails makes its ticket void, and the next apply goes on with
// another machine.
func TestBirthByBootFails(t *testing.T) {
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

// A Terraform that was killed between ordering a machine and writing that down leaves
// one that no state knows, with a ticket that is good. The cell is born on the other
// one all the same; where any machine will do, it lives on the first, and that ends
// with it.
func TestOrphanedMachine(t *testing.T) {
	for name, c := range map[string]struct {
		boot   string
		orphan bool // is the cell's
	}{"awaited by its id": {"", false}, "any machine": {"any_machine = true", true}} {
		t.Run(name, func(t *testing.T) {
			b := newBootRig(t, cloud.Options{})
			cli := newCLI(t, b.rig)
			cli.write(b.config(bootOptions{Boot: c.boot}))
			cli.must("apply", "-auto-approve", "-target=terraform_data.machine")
			await(t, "the machine", func() bool { return len(b.cloud.Machines()) == 1 })
			orphan := b.only()
			await(t, "its hello", func() bool {
				return len(b.keysBelow("homeostat/boot.tickets/")) == 1 && strings.Contains(b.mails(), "/hello/")
			})
			cli.must("state", "rm", "terraform_data.machine")
			out := cli.must("apply", "-auto-approve")
			var other *cloud.Machine
			for id, m := range b.cloud.Machines() {
				if id != orphan.ID {
					other = m
				}
			}
			cell, spare := other, orphan
			if c.orphan {
				cell, spare = orphan, other
			}
			await(t, "the end of the one that isn't the cell", spare.Off)
			if m := b.member("web-1"); m == nil || m.Machine != cell.ID {
				t.Errorf("registered as %+v, want on %s\n%s", m, cell.ID, out)
			}
			cli.must("destroy", "-auto-approve")
			if c.orphan {
				await(t, "the end of the machine that no state knows", orphan.Off)
			}
			if err := b.cloud.End(orphan.ID); err != nil {
				t.Error(err)
			}
			if err := b.gone(nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// mails are the names of all that machines and births have said.
func (b *bootRig) mails() string {
	b.t.Helper()
	client, err := b.consul.Client()
	if err != nil {
		b.t.Fatal(err)
	}
	keys, _, err := client.KV().Keys("homeostat/boot.joins/", "", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Join(keys, "\n")
}

// The cell alone is replaced, though its ticket was used by the life before.
func TestTicketOfAnotherLife(t *testing.T) {
	b := newBootRig(t, cloud.Options{})
	config := b.config(bootOptions{})
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: b.gone,
		Steps: []resource.TestStep{
			{Config: config},
			{
				Config: config, Taint: []string{cellAddress},
				ExpectError: inTurn([]string{"the machine that came with this ticket was this cell, and has left or was removed", "terraform apply -replace='ADDRESS'"}),
			},
			{Config: config},
		},
	})
	if n := b.cloud.Booted(); n != 2 {
		t.Errorf("%d machines were booted, want 2", n)
	}
}

// Nothing is published any more, as after Consul has lost its data: a cell that lives
// is planned from its own birth's values, and only a new ticket is refused.
func TestBootedCellOutlivesWhatIsPublished(t *testing.T) {
	b := newBootRig(t, cloud.Options{})
	config := b.config(bootOptions{})
	client, err := b.consul.Client()
	if err != nil {
		t.Fatal(err)
	}
	lose := func() {
		if _, err := client.KV().DeleteTree("homeostat/"+b.service+"/", nil); err != nil {
			t.Fatal(err)
		}
		if p, err := b.fleet.Published(t.Context(), b.service); p != nil || err != nil {
			t.Fatalf("published %+v, %v", p, err)
		}
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: b.gone,
		Steps: []resource.TestStep{
			{Config: config},
			{PreConfig: lose, Config: config, PlanOnly: true},
			{Config: config, Taint: []string{joinAddress}, PlanOnly: true, ExpectError: spaced("nothing is published for " + b.service)},
		},
	})
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

// What a birth would stumble over is told before a machine is paid for.
func TestBootSecretsArePlanned(t *testing.T) {
	b := newBootRig(t, cloud.Options{})
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, fleet.ValueLimit), 0o600); err != nil {
		t.Fatal(err)
	}
	config := func(file string) string {
		return regexp.MustCompile(`secrets = .*`).ReplaceAllString(b.config(bootOptions{}), fmt.Sprintf("secrets = { key = %q }", file))
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: b.gone,
		Steps: []resource.TestStep{
			{Config: config(filepath.Join(t.TempDir(), "none")), ExpectError: inTurn([]string{"read the secret key", "no such file", "nothing was changed"})},
			{Config: config(large), ExpectError: spaced("too large for Consul's KV")},
		},
	})
	if n := b.cloud.Booted(); n != 0 {
		t.Errorf("%d machines were booted", n)
	}
}

// A cell that is healthy only after its birth was given up is adopted by the next
// apply, whether its ticket was made void or not.
func TestBirthByBootComesLate(t *testing.T) {
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

// A birth that was cut, and of which a cell has come, is removed: the cell leaves
// before its machine goes.
func TestCutBirthByBootLeaves(t *testing.T) {
	healthy := make(chan struct{})
	b := newBootRig(t, cloud.Options{Health: healthyAfter(healthy, fleet.Warning)})
	c := newCLI(t, b.rig)
	c.write(b.config(bootOptions{}))
	run := c.start("apply", "-auto-approve")
	await(t, "the cell's registration", func() bool { return b.member("web-1") != nil })
	was := b.member("web-1").Incarnation
	if err := run.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = run.wait(t) // it was cut
	close(healthy)
	await(t, "its health", func() bool { m := b.member("web-1"); return m != nil && m.Health == fleet.Passing })
	c.must("destroy", "-auto-approve")
	answer, err := b.fleet.LeaveAnswer(t.Context(), b.service, "web-1")
	if err != nil || answer == nil || answer.Phase != fleet.LeaveLeft || answer.Incarnation != was {
		t.Errorf("the cell's last word is %+v, %v", answer, err)
	}
	if err := b.gone(nil); err != nil {
		t.Error(err)
	}
}

// A cell that its leader found dead is not waited for.
func TestDeadBootedCellIsNotWaitedFor(t *testing.T) {
	var dead atomic.Bool
	b := newBootRig(t, cloud.Options{
		Leaves: func(fleet.Cell) bool { return false },
		Health: func(fleet.Cell) fleet.Health {
			if dead.Load() {
				return fleet.Critical
			}
			return fleet.Passing
		},
	})
	config := b.config(bootOptions{Cell: `timeouts = { delete = "1h" }`})
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: b.gone,
		Steps: []resource.TestStep{
			{Config: config},
			{PreConfig: func() {
				dead.Store(true)
				await(t, "the cell is critical", func() bool { return b.member("web-1").Health == fleet.Critical })
				b.record(fleet.Record{Names: []string{}, Orders: []fleet.Order{{
					ID: "1", Reason: "a test", Placed: time.Now(), Remove: []string{"web-1"}, Dead: []string{b.member("web-1").ID()},
				}}})
			}, Config: config, Destroy: true},
		},
	})
}

// Whoever can't leave by order doesn't keep its machine from being destroyed; but
// a cell that lives is not destroyed in silence.
func TestBootedCellDoesNotLeave(t *testing.T) {
	b := newBootRig(t, cloud.Options{Leaves: func(fleet.Cell) bool { return false }})
	config := b.config(bootOptions{Cell: `timeouts = { delete = "2s" }`})
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: b.gone,
		Steps: []resource.TestStep{
			{Config: config},
			{Config: config, Destroy: true, ExpectError: spaced("it took longer than timeouts.delete = 2s, and it is still passing in Consul")},
			{PreConfig: func() { b.cloud.Remove(b.only().ID) }, Config: b.config(bootOptions{Cell: `timeouts = { delete = "30s" }`})},
		},
	})
	if ts, err := b.fleet.Tombstones(t.Context(), b.service); err != nil || len(ts) == 0 {
		t.Errorf("tombstones %+v, %v", ts, err)
	}
}

// Consul has lost what it knew of tickets: a cell that lives keeps its machine.
func TestTicketLost(t *testing.T) {
	b := newBootRig(t, cloud.Options{})
	config := b.config(bootOptions{})
	client, err := b.consul.Client()
	if err != nil {
		t.Fatal(err)
	}
	lose := func() {
		for _, key := range b.keysBelow("homeostat/boot.tickets/") {
			if _, err := client.KV().Delete(key, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: b.gone,
		Steps: []resource.TestStep{
			{Config: config},
			{PreConfig: lose, Config: config, PlanOnly: true},
			{
				// Silence alone is no reason to replace a machine.
				PreConfig: func() {
					if keys := b.keysBelow("homeostat/boot.tickets/"); len(keys) != 1 {
						t.Fatalf("the plan has noted %v, want the ticket", keys)
					}
					lose()
					b.cloud.Remove(b.only().ID)
					await(t, "the cell's silence", func() bool { m := b.member("web-1"); return m != nil && m.Silent })
				},
				Config: config, PlanOnly: true,
			},
			{
				PreConfig: func() {
					if err := b.fleet.Deregister(t.Context(), b.member("web-1").ID()); err != nil {
						t.Fatal(err)
					}
				},
				Config: config, PlanOnly: true, ExpectNonEmptyPlan: true,
			},
		},
	})
}

// A Terraform that is cut in a birth leaves a machine that the next one takes up.
func TestBirthByBootIsCut(t *testing.T) {
	for name, signal := range map[string]os.Signal{"killed": os.Kill, "interrupted": os.Interrupt} {
		t.Run(name, func(t *testing.T) {
			healthy := make(chan struct{})
			b := newBootRig(t, cloud.Options{Health: healthyAfter(healthy, fleet.Warning)})
			c := newCLI(t, b.rig)
			c.write(b.config(bootOptions{}))
			run := c.start("apply", "-auto-approve")
			await(t, "the cell's registration", func() bool { return b.member("web-1") != nil })
			was := b.member("web-1").Incarnation
			if err := run.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = run.wait(t) // it was cut
			close(healthy)
			c.must("apply", "-auto-approve", "-lock-timeout=30s")
			if m := b.member("web-1"); m == nil || m.Incarnation != was || b.cloud.Booted() != 1 {
				t.Errorf("registered as %+v, was %s; %d machines were booted", m, was, b.cloud.Booted())
			}
			c.must("plan", "-detailed-exitcode")
			c.must("destroy", "-auto-approve")
			if err := b.gone(nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// The cell's secret is in the machine alone, and the ticket's token in the state and
// the machine's user data.
func TestBirthByBootLeaksNothing(t *testing.T) {
	b := newBootRig(t, cloud.Options{})
	c := newCLI(t, b.rig)
	c.write(b.config(bootOptions{}))
	traced := func(args ...string) {
		t.Helper()
		cmd := c.command(t.Context(), args...)
		// Terraform's own log shows what a terraform_data holds, here the user data.
		cmd.Env = append(cmd.Env, "TF_LOG_PROVIDER=TRACE", "TF_LOG_PATH="+filepath.Join(c.root, "trace.log"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("terraform %v: %v\n%s", args, err, out)
		} else if err := os.WriteFile(filepath.Join(c.root, args[0]+".out"), out, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	traced("plan", "-out=first.plan")
	traced("apply", "first.plan")
	b.publish("two")
	traced("plan", "-out=second.plan")
	client, err := b.consul.Client()
	if err != nil {
		t.Fatal(err)
	}
	pairs, _, err := client.KV().List("", nil)
	if err != nil {
		t.Fatal(err)
	}
	token := tokenOf(t, filepath.Join(c.root, "terraform.tfstate"))
	for _, p := range pairs {
		if strings.Contains(string(p.Value), secret) || strings.Contains(string(p.Value), token) {
			t.Errorf("Consul holds a secret at %s", p.Key)
		}
	}
	if found := filesWith(t, c.root, secret); len(found) > 0 {
		t.Errorf("the secret is in %v", found)
	}
	// A plan holds the state that it was made from.
	if found := filesWith(t, c.root, token); !slices.Equal(found, []string{"second.plan", "terraform.tfstate"}) {
		t.Errorf("the token is in %v", found)
	}
	c.must("destroy", "-auto-approve")
	if err := b.gone(nil); err != nil {
		t.Error(err)
	}
}

// filesWith are the files in a folder that hold a text, plans unpacked.
func filesWith(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // a folder, of which Terraform's plugins are
		}
		if plan, err := zip.NewReader(bytes.NewReader(content), int64(len(content))); err == nil {
			for _, f := range plan.File {
				part, err := fs.ReadFile(plan, f.Name)
				if err != nil {
					t.Fatal(err)
				}
				content = append(content, part...)
			}
		}
		if strings.Contains(string(content), text) {
			found = append(found, e.Name())
		}
	}
	return found
}

// tokenOf is the ticket's token in a state file.
func tokenOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`"token": "([^"]+)"`).FindSubmatch(text)
	if found == nil {
		t.Fatal("the state has no token")
	}
	return string(found[1])
}
