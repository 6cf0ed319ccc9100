package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

func TestServiceDataSource(t *testing.T) {
	r := newRig(t)
	config := r.provider() + fmt.Sprintf("data \"homeostat_service\" \"it\" {\n  service = %q\n}\n", r.service)
	value := func(name string, check knownvalue.Check) statecheck.StateCheck {
		return statecheck.ExpectKnownValue("data.homeostat_service.it", tfjsonpath.New(name), check)
	}
	none := knownvalue.Null()
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(),
		Steps: []resource.TestStep{
			{Config: config, ConfigStateChecks: []statecheck.StateCheck{
				value("exists", knownvalue.Bool(false)), value("desired_count", none), value("names", none), value("next", none),
				value("epoch", none), value("reason", none), value("local_names", knownvalue.ListExact(nil)),
			}},
			{
				PreConfig: func() {
					r.record(fleet.Record{Count: 2, Names: []string{"a-3", "a-1"}, Next: 7, Decision: &fleet.Note{Reason: "lag is 3 min"}})
				},
				Config: config,
				ConfigStateChecks: []statecheck.StateCheck{
					value("exists", knownvalue.Bool(true)), value("desired_count", knownvalue.Int64Exact(2)), value("next", knownvalue.Int64Exact(7)),
					value("names", knownvalue.ListExact([]knownvalue.Check{knownvalue.StringExact("a-3"), knownvalue.StringExact("a-1")})),
					value("epoch", knownvalue.Int64Exact(1)), value("reason", knownvalue.StringExact("lag is 3 min")),
				},
			},
			{
				PreConfig: func() { r.record(fleet.Record{Count: 4}) },
				Config:    config,
				ConfigStateChecks: []statecheck.StateCheck{
					value("exists", knownvalue.Bool(true)), value("desired_count", knownvalue.Int64Exact(4)), value("names", none), value("reason", none),
				},
			},
			{
				Config:      strings.Replace(config, r.consul.Addr(), "127.0.0.1:1", 1),
				ExpectError: spaced("how many cells there are to be isn't guessed"),
			},
		},
	})
}

func TestServiceDataSourcePublished(t *testing.T) {
	r := newRig(t)
	config := r.provider() + fmt.Sprintf("data \"homeostat_service\" \"it\" {\n  service = %q\n}\n", r.service)
	value := func(check knownvalue.Check) []statecheck.StateCheck {
		return []statecheck.StateCheck{statecheck.ExpectKnownValue("data.homeostat_service.it", tfjsonpath.New("published"), check)}
	}
	text, digest := knownvalue.StringExact, strings.Repeat("ab", 32)
	published := func(p fleet.Published) func() {
		return func() {
			p.Bundle, p.Genome = "b", "g"
			if _, err := r.fleet.Publish(t.Context(), r.service, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	is := func(store string, program knownvalue.Check) []statecheck.StateCheck {
		return value(knownvalue.ObjectExact(map[string]knownvalue.Check{"bundle": text("b"), "genome": text("g"), "store": text(store), "program": program}))
	}
	program := func(url knownvalue.Check) knownvalue.Check {
		return knownvalue.ObjectExact(map[string]knownvalue.Check{"url": url, "sha256": text(digest)})
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(),
		Steps: []resource.TestStep{
			{Config: config, ConfigStateChecks: value(knownvalue.Null())},
			{PreConfig: published(fleet.Published{Store: "https://h/x"}), Config: config, ConfigStateChecks: is("https://h/x", knownvalue.Null())},
			{
				PreConfig: published(fleet.Published{Store: "https://h/x", Program: digest}), Config: config,
				ConfigStateChecks: is("https://h/x", program(text("https://h/x/blobs/"+digest))),
			},
			{PreConfig: published(fleet.Published{Store: "/srv", Program: digest}), Config: config, ConfigStateChecks: is("/srv", program(knownvalue.Null()))},
		},
	})
}

func TestCellsDataSource(t *testing.T) {
	r := newRig(t)
	config := r.provider() + fmt.Sprintf("data \"homeostat_cells\" \"them\" {\n  service = %q\n}\n", r.service)
	born := time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)
	cells := []fleet.Cell{
		{Service: r.service, Name: "b", Incarnation: "01b", Address: "10.0.0.2", Port: 80, Vitals: "http://10.0.0.2:1", Parent: "a", Generation: 2, Reason: "lag", BornAt: born, TTL: time.Minute},
		{Service: r.service, Name: "a", Incarnation: "01a", Address: "10.0.0.1", Port: 80, TTL: time.Minute},
	}
	register := func() {
		for _, c := range cells {
			health, output := fleet.Passing, "well"
			if c.Name == "a" {
				health, output = fleet.Warning, "draining"
			}
			if err := r.fleet.Push(t.Context(), c, health, output); err != nil {
				t.Fatal(err)
			}
		}
	}
	text := knownvalue.StringExact
	cell := func(name, health, output, address string, sidecar, bornAt, parent, reason knownvalue.Check, generation int64) knownvalue.Check {
		return knownvalue.ObjectExact(map[string]knownvalue.Check{
			"name": text(name), "incarnation": text("01" + name), "health": text(health), "output": text(output), "address": text(address),
			"port": knownvalue.Int64Exact(80), "sidecar": sidecar, "node": text(r.consul.Node()), "born_at": bornAt, "parent": parent,
			"generation": knownvalue.Int64Exact(generation), "reason": reason,
		})
	}
	none := knownvalue.Null()
	list := func(all ...knownvalue.Check) []statecheck.StateCheck {
		return []statecheck.StateCheck{statecheck.ExpectKnownValue("data.homeostat_cells.them", tfjsonpath.New("cells"), knownvalue.ListExact(all))}
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(),
		Steps: []resource.TestStep{
			{Config: config, ConfigStateChecks: list()},
			{PreConfig: register, Config: config, ConfigStateChecks: list(
				cell("a", "warning", "draining", "10.0.0.1", none, none, none, none, 0),
				cell("b", "passing", "well", "10.0.0.2", text("http://10.0.0.2:1"), text("2024-02-03T04:05:06Z"), text("a"), text("lag"), 2),
			)},
			{Config: strings.Replace(config, r.consul.Addr(), "127.0.0.1:1", 1), ExpectError: spaced("Cells not read")},
		},
	})
	for _, c := range cells {
		if err := r.fleet.Deregister(t.Context(), c.ID()); err != nil {
			t.Error(err)
		}
	}
}
