package main

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// Where Consul has lost record and registrations nobody guesses how many cells there
// are: a default would remove those that live.
func TestSSHCellsNeitherRecordNorCell(t *testing.T) {
	c := newCLI(t, newRig(t))
	root, err := testkit.Root()
	if err != nil {
		t.Fatal(err)
	}
	module := func(more string) string {
		return c.provider() + fmt.Sprintf(`
module "cells" {
  source  = %q
  service = %q
  hosts   = [{ address = "127.0.0.1:1", host_keys = ["SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"] }]
  user    = "root"
  agent   = true
  %s
}
output "names" { value = module.cells.names }
`, filepath.Join(root, "modules", "ssh-cells"), c.service, more)
	}
	cell := fleet.Cell{Service: c.service, Name: c.service + "-7", Incarnation: "a", Address: "127.0.0.1", TTL: time.Minute}
	for _, s := range []struct {
		name, more string
		before     func() error
		plan       int
		says       string
	}{
		{name: "nothing is known", plan: 1, says: "If the service is new, give initial_count, once."},
		{name: "nor by a count", more: "desired_count = 2", plan: 1, says: "this apply would remove them"},
		{name: "named", more: fmt.Sprintf("cell_names = [%q]", c.service+"-9"), plan: 2, says: c.service + "-9"},
		{name: "a new service", more: "initial_count = 2", plan: 2, says: c.service + "-2"},
		{name: "a cell lives", before: func() error { return c.fleet.Push(t.Context(), cell, fleet.Passing, "well") }, plan: 2, says: cell.Name},
	} {
		t.Run(s.name, func(t *testing.T) {
			if s.before != nil {
				if err := s.before(); err != nil {
					t.Fatal(err)
				}
			}
			c.write(module(s.more))
			out, code := c.terraform("plan", "-detailed-exitcode")
			if code != s.plan || !spaced(s.says).MatchString(out) {
				t.Errorf("the plan ends with %d, want %d and %q:\n%s", code, s.plan, s.says, out)
			}
		})
	}
	if err := c.fleet.Deregister(t.Context(), cell.ID()); err != nil {
		t.Fatal(err)
	}
}
