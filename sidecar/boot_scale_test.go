package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

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
data "homeostat_service" "pod" {
  service = "pod"
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
    published   = data.homeostat_service.pod.published
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

// TestScaleByBoot has a leader scale over machines that make cells of themselves.
func TestScaleByBoot(t *testing.T) {
	needServers(t)
	t.Parallel()
	store := cloud.Serve(t)
	h := newHouse(t, houseOptions{
		Max: 4, Module: "# written below\n", Above: fmt.Sprintf("bundle = %q", store.URL),
		Policy: "genome = \"pod.genome.hcl\"\n drain { timeout = \"1s\" }",
	})
	c := cloud.New(t, h.consul.Addr(), cloud.Options{})
	h.write("pod/main.tf", fmt.Sprintf(bootModule, h.consul.Addr(), filepath.Join(h.dir, "cells"), c.Provisioners()))
	h.write("pod.genome.hcl", "command = [\"app\"]\nfile \"/usr/local/bin/homeostat\" {\n  content = \"a stand-in\"\n  mode = \"0755\"\n}\n")
	// The lock file that this writes is a part of the bundle.
	if out, code := h.run(h.terraform, "init", "-no-color"); code != 0 {
		t.Fatalf("terraform init: exit %d\n%s", code, out)
	}
	h.succeed("publish", "-into", store.Folder, "pod")
	h.succeed("publish", "pod")
	h.apply()
	h.alone("pod")
	h.hears("no record in Consul: made from Terraform's state", "count=1")
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
