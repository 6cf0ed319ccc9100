package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

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
	t.Parallel()
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
