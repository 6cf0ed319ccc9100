package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/boot"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

const joinAddress = "homeostat_join.web"

func (r *rig) join(more string) string {
	return r.provider() + fmt.Sprintf("resource \"homeostat_join\" \"web\" {\n  service = %q\n  name = \"web-1\"\n  %s\n}\n", r.service, more)
}

// ticket is the one in a state.
func ticketIn(state *terraform.State) boot.Ticket {
	a := state.RootModule().Resources[joinAddress].Primary.Attributes
	return boot.Ticket{Service: a["service"], Name: a["name"], Incarnation: a["incarnation"], Token: a["token"]}
}

// published has something be published that a machine could be made of.
func (r *rig) published() {
	r.t.Helper()
	digest := strings.Repeat("ab", 32)
	if _, err := r.fleet.Publish(r.t.Context(), r.service, fleet.Published{Bundle: digest, Genome: digest, Store: "https://h/x", Program: digest, By: "test"}); err != nil {
		r.t.Fatal(err)
	}
}

func TestJoin(t *testing.T) {
	r := newRig(t)
	r.published()
	var ticket, earlier boot.Ticket
	is := func(want boot.TicketState) resource.TestCheckFunc {
		return func(state *terraform.State) error {
			ticket = ticketIn(state)
			got, err := boot.State(t.Context(), r.fleet, ticket)
			if err != nil || got != want {
				return errors.Join(err, fmt.Errorf("the ticket is %s, want %s", got, want))
			}
			return nil
		}
	}
	another := func(state *terraform.State) error {
		if now := ticketIn(state); now.Token == earlier.Token || now.Incarnation == earlier.Incarnation {
			return fmt.Errorf("it is still the ticket before: %s", now.Cell())
		}
		return nil
	}
	value := func(name string, check knownvalue.Check) statecheck.StateCheck {
		return statecheck.ExpectKnownValue(joinAddress, tfjsonpath.New(name), check)
	}
	replaced := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(joinAddress, plancheck.ResourceActionReplace)}}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(),
		CheckDestroy: func(*terraform.State) error {
			if got, err := boot.State(t.Context(), r.fleet, ticket); err != nil || got != boot.Unknown {
				return errors.Join(err, fmt.Errorf("the ticket is still %s", got))
			}
			return r.nothingLeft(nil)
		},
		Steps: []resource.TestStep{
			{Config: r.join(`lifetime = "soon"`), PlanOnly: true, ExpectError: spaced(`must be a duration`)},
			{
				Config: r.join(""), Check: is(boot.Open),
				ConfigStateChecks: []statecheck.StateCheck{
					value("lifetime", knownvalue.StringExact("5m0s")), value("parent", knownvalue.Null()), value("status", knownvalue.StringExact(statusValid)),
					value("consul_addresses", knownvalue.ListExact([]knownvalue.Check{knownvalue.StringExact(r.consul.Addr())})),
				},
			},
			{Config: r.join(`consul_addresses = ["10.0.0.1:8500"]`), Check: is(boot.Open)},
			{
				PreConfig: func() {
					earlier = ticket
					if err := boot.Issue(t.Context(), r.fleet, ticket, time.Now().Add(-time.Second)); err != nil {
						t.Fatal(err)
					}
				},
				Config: r.join(""), ConfigPlanChecks: replaced, Check: resource.ComposeTestCheckFunc(is(boot.Open), another),
			},
			{
				PreConfig: func() {
					earlier = ticket
					if err := boot.Revoke(t.Context(), r.fleet, ticket); err != nil {
						t.Fatal(err)
					}
				},
				Config: r.join(""), ConfigPlanChecks: replaced, Check: resource.ComposeTestCheckFunc(is(boot.Open), another),
			},
			{
				// A machine was answered, and has ended itself at its deadline.
				PreConfig: func() {
					earlier = ticket
					if _, err := r.fleet.AdmitContact(t.Context(), ticket.ID(), "one", "i-1"); err != nil {
						t.Fatal(err)
					}
					if err := boot.Issue(t.Context(), r.fleet, ticket, time.Now().Add(-time.Second)); err != nil {
						t.Fatal(err)
					}
				},
				Config: r.join(""), ConfigPlanChecks: replaced, Check: resource.ComposeTestCheckFunc(is(boot.Open), another),
			},
			{Config: strings.Replace(r.join(""), r.consul.Addr(), "127.0.0.1:1", 1), PlanOnly: true, ExpectError: spaced("nothing was changed, and the ticket stays in the state")},
			{Config: r.join("")},
		},
	})
}

// The leader's order names the life, unless a machine had it already.
func TestJoinByOrder(t *testing.T) {
	r := newRig(t)
	r.published()
	order := func(incarnation string) func() {
		return func() {
			r.record(fleet.Record{Count: 1, Names: []string{"web-1"}, Next: 2, Orders: []fleet.Order{{
				ID: "1-1", Add: []fleet.Newborn{{Name: "web-1", Incarnation: incarnation, Parent: "web-0", Generation: 4, Reason: "lag"}},
			}}})
		}
	}
	value := func(name string, check knownvalue.Check) statecheck.StateCheck {
		return statecheck.ExpectKnownValue(joinAddress, tfjsonpath.New(name), check)
	}
	text := knownvalue.StringExact
	spent := func(state *terraform.State) error {
		if got := ticketIn(state).Incarnation; got == "01had" {
			return fmt.Errorf("a life was given twice: %s", got)
		}
		return nil
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(),
		Steps: []resource.TestStep{
			{
				PreConfig: order("01join"), Config: r.join(""),
				ConfigStateChecks: []statecheck.StateCheck{
					value("incarnation", text("01join")), value("parent", text("web-0")), value("generation", knownvalue.Int64Exact(4)), value("reason", text("lag")),
				},
			},
			// Nobody came with the ticket, so the order is carried out as it is.
			{Config: r.join(""), Taint: []string{joinAddress}, ConfigStateChecks: []statecheck.StateCheck{value("incarnation", text("01join"))}},
			{
				PreConfig: func() {
					order("01had")()
					if err := r.fleet.Tombstone(t.Context(), r.service, fleet.Tombstone{Cell: "web-1", Incarnation: "01had"}); err != nil {
						t.Fatal(err)
					}
				},
				Config: r.join(""), Taint: []string{joinAddress}, Check: spent,
				ConfigStateChecks: []statecheck.StateCheck{value("parent", text("web-0"))},
			},
		},
	})
}
