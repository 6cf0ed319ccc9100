package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// spaced makes a pattern of a text that Terraform may have broken into lines.
func spaced(text string) *regexp.Regexp {
	words := strings.Fields(text)
	for i, w := range words {
		words[i] = regexp.QuoteMeta(w)
	}
	return regexp.MustCompile(strings.Join(words, `[\s│]+`))
}

func TestBirthFails(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		kind string
		more string
		want []string
	}{
		"ends at once": {"fail", "", []string{
			"Cell not born", "ended before the cell was passing: exit status 7", "Last lines of its log", "cannot open the index: no such file",
			"put it right and apply again; nothing of this birth is left",
		}},
		"never registers": {"mute", `timeouts = { create = "2s" }`, []string{
			"it took longer than timeouts.create = 2s, and then its sidecar has not registered in Consul", "begun ",
		}},
		"never healthy": {"sick", `timeouts = { create = "15s" }`, []string{
			"it took longer than timeouts.create = 15s, and then it is registered in Consul, and critical: the database refuses connections",
		}},
		"never healthy, and stubborn": {"sick stubborn brood", "timeouts = { create = \"15s\" }\n drain = { grace = \"1s\" }", []string{"the database refuses connections"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			var steps []resource.TestStep
			for _, want := range c.want {
				steps = append(steps, resource.TestStep{Config: r.cell(c.kind, c.more), ExpectError: spaced(want)})
			}
			// Nothing is in the state either, so the next one is a birth.
			steps = append(steps, resource.TestStep{
				PreConfig: func() {
					if err := r.nothingLeft(nil); err != nil {
						t.Error(err)
					}
				},
				Config: r.cell("well"), PlanOnly: true, ExpectNonEmptyPlan: true,
				ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPreRefresh: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(cellAddress, plancheck.ResourceActionCreate),
				}},
			})
			resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft, Steps: steps})
		})
	}
}

func TestBirthRefused(t *testing.T) {
	t.Parallel()
	t.Run("no such program", func(t *testing.T) {
		r := newRig(t)
		config := strings.Replace(r.cell("well"), os.Args[0], "/no/such/program", 1)
		resource.UnitTest(t, resource.TestCase{
			ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft,
			Steps: []resource.TestStep{{Config: config, ExpectError: spaced(`start "/no/such/program"`)}},
		})
	})
	t.Run("data that is gone", func(t *testing.T) {
		r := newRig(t)
		data := filepath.Join(t.TempDir(), "data")
		config := r.cell("well", fmt.Sprintf("data_directory = %q", data))
		resource.UnitTest(t, resource.TestCase{
			ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft,
			Steps: []resource.TestStep{
				{Config: config},
				{Config: r.provider()},
				{
					PreConfig: func() {
						if err := os.Remove(data); err != nil {
							t.Fatal("the data directory doesn't outlive the cell: ", err)
						}
					},
					Config: config, ExpectError: spaced("the cell's data directory is gone: " + data),
				},
			},
		})
	})
	t.Run("a cell that is another state's", func(t *testing.T) {
		r := newRig(t)
		resource.UnitTest(t, resource.TestCase{
			ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft,
			Steps: []resource.TestStep{
				{Config: r.cell("well")},
				{Config: r.cell("well") + r.resource("twin", "web-1", "well"), ExpectError: spaced("belongs to a Terraform state: apply where that state is, or give this one another name; if no state holds it, import it with 'terraform import ADDRESS " + r.service + "/web-1'")},
			},
		})
	})
	t.Run("a cell that runs on another host", func(t *testing.T) {
		r := newRig(t)
		there := fleet.Cell{Service: r.service, Name: "web-1", Incarnation: "01a", Address: "10.9.8.7", Port: 80, Machine: "m2", TTL: time.Minute}
		if err := r.fleet.Push(t.Context(), there, fleet.Passing, "well"); err != nil {
			t.Fatal(err)
		}
		resource.UnitTest(t, resource.TestCase{
			ProtoV6ProviderFactories: factories(),
			Steps:                    []resource.TestStep{{Config: r.cell("well"), ExpectError: spaced("it runs already on another host: web-1.01a is passing in Consul, registered at 10.9.8.7:80 by machine id m2")}},
		})
		if m := r.member("web-1"); m == nil || m.Incarnation != "01a" {
			t.Errorf("its registration was touched: %+v", m)
		}
		if err := r.fleet.Deregister(t.Context(), there.ID()); err != nil {
			t.Error(err)
		}
	})
}

// Incarnation and lineage come from the order in the record.
func TestBirthByOrder(t *testing.T) {
	r := newRig(t)
	r.record(fleet.Record{Count: 1, Names: []string{"web-1"}, Next: 2, Orders: []fleet.Order{{
		ID: "1-1", Add: []fleet.Newborn{{Name: "web-1", Incarnation: "01order", Parent: "web-0", Generation: 4, Reason: "lag is 3 min, the bound is 30 s"}},
	}}})
	value := func(name string, check knownvalue.Check) statecheck.StateCheck {
		return statecheck.ExpectKnownValue(cellAddress, tfjsonpath.New(name), check)
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft,
		Steps: []resource.TestStep{{
			Config: r.cell("well"),
			ConfigStateChecks: []statecheck.StateCheck{
				value("incarnation", knownvalue.StringExact("01order")), value("parent", knownvalue.StringExact("web-0")),
				value("generation", knownvalue.Int64Exact(4)), value("reason", knownvalue.StringExact("lag is 3 min, the bound is 30 s")),
			},
			Check: func(*terraform.State) error {
				if m := r.member("web-1"); m == nil || m.Incarnation != "01order" || m.Parent != "web-0" || m.Generation != 4 || m.Reason != "lag is 3 min, the bound is 30 s" {
					return fmt.Errorf("registered as %+v", m)
				}
				return nil
			},
		}, {
			// The same order again, by which the life it made is made once more.
			Config: r.cell("well"), Taint: []string{cellAddress},
			ConfigStateChecks: []statecheck.StateCheck{value("incarnation", knownvalue.StringExact("01order"))},
			Check: func(*terraform.State) error {
				ts, err := r.fleet.Tombstones(t.Context(), r.service)
				if err == nil && len(ts) > 0 {
					err = fmt.Errorf("tombstones of a cell that lives: %+v", ts)
				}
				return err
			},
		}},
	})
	if ts, err := r.fleet.Tombstones(t.Context(), r.service); err != nil || len(ts) != 1 || ts[0].ID() != "web-1.01order" {
		t.Errorf("tombstones %+v, %v", ts, err)
	}
}

func TestConsulAwayAtBirth(t *testing.T) {
	r := newRig(t)
	config := strings.Replace(r.cell("well"), fmt.Sprintf("address = %q", r.consul.Addr()), `address = "127.0.0.1:1"`, 1)
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft,
		Steps: []resource.TestStep{
			{Config: config, ExpectError: spaced("consul is unreachable")},
			{Config: config, ExpectError: spaced("put that right and apply again; nothing was begun")},
		},
	})
	if err := errors.Join(r.nothingLeft(nil)); err != nil {
		t.Error(err)
	}
}
