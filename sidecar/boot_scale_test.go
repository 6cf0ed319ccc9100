package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/boot"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/cloud"
)

// bootModule is a root module of cells that machines make of themselves at their
// first boot: three resources for each cell.
const bootModule = `
terraform {
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
  }
}
provider "homeostat" {
  consul          = { address = %q }
  state_directory = %q
}
variable "desired_count" {
  type    = number
  default = 1
}
variable "cell_names" {
  type    = list(string)
  default = ["pod-1"]
}
resource "homeostat_join" "join" {
  for_each = toset(var.cell_names)
  service  = "pod"
  name     = each.key
  lifetime = "3m"
}
resource "terraform_data" "machine" {
  for_each = homeostat_join.join
  input = provider::homeostat::user_data({
    format      = "cloud-init"
    join        = each.value
    environment = null
  })
  %s
  lifecycle {
    ignore_changes       = [input]
    replace_triggered_by = [homeostat_join.join[each.key].id]
  }
}
resource "homeostat_cell" "cell" {
  for_each = toset(var.cell_names)
  service  = "pod"
  name     = each.key
  boot = {
    join    = homeostat_join.join[each.key]
    machine = terraform_data.machine[each.key].id
  }
  timeouts = { create = "3m", delete = "1m" }
  lifecycle {
    replace_triggered_by = [homeostat_join.join[each.key].id]
  }
}
`

// newScalingHouse is a house of one cell that a machine of a cloud has made of itself.
func newScalingHouse(t *testing.T, o cloud.Options) (*house, *cloud.Cloud) {
	t.Helper()
	needServers(t)
	t.Parallel()
	store := cloud.Serve(t)
	h := newHouse(t, houseOptions{
		Max: 4, Module: "# written below\n", Above: fmt.Sprintf("bundle = %q", store.URL),
		Policy: "genome = \"pod.genome.hcl\"\n drain { timeout = \"1s\" }",
	})
	c := cloud.New(t, h.consul.Addr(), o)
	h.write("pod/main.tf", fmt.Sprintf(bootModule, h.consul.Addr(), filepath.Join(h.dir, "cells"), c.Provisioners()))
	h.write("pod.genome.hcl", "command = [\"app\"]\nfile \"/usr/local/bin/homeostat\" {\n  content = \"a stand-in\"\n  mode = \"0755\"\n}\n")
	// The lock file that this writes is a part of the bundle.
	if out, code := h.run(h.terraform, "init", "-no-color"); code != 0 {
		t.Fatalf("terraform init: exit %d\n%s", code, out)
	}
	h.succeed("publish", "-into", store.Folder, "pod")
	h.succeed("publish", "pod")
	h.apply()
	h.aloneWith(h.policy())
	h.hears("no record in Consul: made from Terraform's state", "count=1")
	return h, c
}

// TestScaleByBoot has a leader scale over machines that make cells of themselves.
func TestScaleByBoot(t *testing.T) {
	h, c := newScalingHouse(t, cloud.Options{})
	for _, n := range []int{3, 1} {
		h.succeed("pin", "pod", fmt.Sprint(n))
		h.bootedAre(c, n)
	}
	members, err := h.fleet.Members(t.Context(), "pod")
	if err != nil || len(members) != 1 || members[0].Genome == "" {
		t.Errorf("members %+v, %v", members, err)
	}
	if n := c.Booted(); n != 3 {
		t.Errorf("%d machines were booted, want 3", n)
	}
}

// TestLeaderKilledInABirthByBoot has a leader killed while it waits for a machine. Of
// what is half made the next one leaves nothing: neither the machine nor its ticket.
func TestLeaderKilledInABirthByBoot(t *testing.T) {
	booted := 0
	h, c := newScalingHouse(t, cloud.Options{Comes: func(string) bool { booted++; return booted != 2 }})
	first := c.Machines()
	h.succeed("pin", "pod", "2")
	var silent *cloud.Machine
	h.await("the machine that doesn't come", func(context.Context) error {
		for id, m := range c.Machines() {
			if first[id] == nil {
				silent = m
				return nil
			}
		}
		return errors.New("not there yet")
	})
	h.await("the machine in the state", func(context.Context) error {
		if text := h.file("terraform.tfstate"); !strings.Contains(text, silent.ID) {
			return errors.New("it isn't there yet")
		}
		return nil
	})
	for _, p := range h.marked() {
		if slices.Contains(p.Command, "-service") {
			h.kill(p.PID)
		}
	}
	h.aloneWith(h.policy())
	h.bootedAre(c, 2)
	order, err := silent.Order()
	h.must(err)
	state, err := boot.State(t.Context(), h.fleet, order.Ticket)
	if err != nil || state != boot.Unknown || c.Machines()[silent.ID] != nil || c.Booted() != 3 {
		t.Errorf("its ticket is %s, %v; of %d machines there are %v", state, err, c.Booted(), c.Machines())
	}
}

// bootedAre waits until there are n machines and n cells, and all agree on which.
func (h *house) bootedAre(c *cloud.Cloud, n int) {
	h.t.Helper()
	h.await(fmt.Sprintf("%d cells on machines", n), func(ctx context.Context) error {
		record, _, err := h.fleet.Record(ctx, "pod")
		if err != nil {
			return err
		}
		members, err := h.fleet.Members(ctx, "pod")
		if err != nil {
			return err
		}
		state, err := h.stateCells()
		if err != nil {
			return err
		}
		var passing []string
		for _, m := range members {
			if m.Health == fleet.Passing {
				passing = append(passing, m.Name)
			}
		}
		slices.Sort(passing)
		slices.Sort(state)
		names := slices.Sorted(slices.Values(record.Names))
		if machines := len(c.Machines()); len(names) != n || machines != n || len(record.Orders) > 0 || !slices.Equal(names, passing) || !slices.Equal(names, state) {
			return fmt.Errorf("record %v, orders %+v, passing %v, state %v, %d machines", names, record.Orders, passing, state, machines)
		}
		return nil
	})
}
