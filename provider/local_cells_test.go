package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// module is a configuration with modules/local-cells; more are arguments of it.
func (r *rig) module(kind, more string) string {
	root, err := testkit.Root()
	if err != nil {
		r.t.Fatal(err)
	}
	return r.provider() + fmt.Sprintf(`
module "cells" {
  source      = %q
  service     = %q
  command     = [%q]
  environment = { %s = %q, TEST_CONSUL = %q, TEST_RIG = %q }
  %s
}
`, filepath.Join(root, "modules", "local-cells"), r.service, os.Args[0], standInVariable, kind, r.consul.Addr(), r.dir, more)
}

// wantCells fails the test unless exactly these cells, by the ends of their
// names, are registered.
func (r *rig) wantCells(t *testing.T, ends ...string) {
	t.Helper()
	members, err := r.fleet.Members(t.Context(), r.service)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, m := range members {
		got = append(got, m.Name)
	}
	for _, end := range ends {
		want = append(want, r.service+"-"+end)
	}
	if !slices.Equal(got, want) {
		t.Errorf("cells %q, want %q", got, want)
	}
}

func TestLocalCells(t *testing.T) {
	c := newCLI(t, newRig(t))
	names := func(all ...string) string {
		for i := range all {
			all[i] = c.service + "-" + all[i]
		}
		b, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return "cell_names = " + string(b)
	}
	record := func() {
		c.record(fleet.Record{Count: 2, Names: []string{c.service + "-2", c.service + "-7"}, Next: 9})
	}
	steps := []struct {
		name   string
		before func()
		kind   string
		more   string
		plan   int // the exit code of a plan: 0 nothing to do, 2 something, 1 refused
		want   []string
		refuse string
	}{
		{name: "neither record nor cell", more: "initial_count = 2", plan: 2, want: []string{"1", "2"}},
		{name: "cells and no record", more: "initial_count = 5", plan: 0, want: []string{"1", "2"}},
		{name: "another program", kind: "well otherwise", plan: 0, want: []string{"1", "2"}},
		{name: "a count by hand", more: "desired_count = 3", plan: 2, want: []string{"1", "2", "3"}},
		{name: "a smaller one", more: "desired_count = 2", plan: 2, want: []string{"1", "2"}},
		{name: "as Homeostat writes it", more: "desired_count = 2\n" + names("2", "7"), plan: 2, want: []string{"2", "7"}},
		{name: "count and names disagree", more: "desired_count = 3\n" + names("2", "7"), plan: 1, refuse: "desired_count and cell_names disagree"},
		{name: "a name twice", more: names("2", "2"), plan: 1, refuse: "must not name a cell twice"},
		{name: "half a cell", more: "desired_count = 1.5", plan: 1, refuse: "must be a whole number"},
		{name: "by hand, with a record", before: record, more: "initial_count = 1", plan: 0, want: []string{"2", "7"}},
		{name: "a count by hand, with a record", more: "desired_count = 3", plan: 2, want: []string{"2", "7", "9"}},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			if s.before != nil {
				s.before()
			}
			c.write(c.module(cmp.Or(s.kind, "well"), s.more))
			out, code := c.terraform("plan", "-detailed-exitcode")
			if code != s.plan {
				t.Fatalf("the plan ends with %d, want %d:\n%s", code, s.plan, out)
			}
			if s.refuse != "" {
				if !spaced(s.refuse).MatchString(out) {
					t.Errorf("got\n%s\nwant %q", out, s.refuse)
				}
				return
			}
			c.must("apply", "-auto-approve")
			c.must("plan", "-detailed-exitcode")
			c.wantCells(t, s.want...)
		})
	}
	c.must("destroy", "-auto-approve")
	if err := c.nothingLeft(nil); err != nil {
		t.Error(err)
	}
}

// Without a reachable Consul nothing is guessed.
func TestLocalCellsConsulAway(t *testing.T) {
	c := newCLI(t, newRigAlone(t))
	c.write(c.module("well", "initial_count = 2"))
	c.must("apply", "-auto-approve")
	if err := c.consul.Stop(); err != nil {
		t.Fatal(err)
	}
	c.write(c.module("well", "initial_count = 1"))
	out, code := c.terraform("apply", "-auto-approve")
	if code != 1 || !spaced("how many cells there are to be isn't guessed, and nothing was changed").MatchString(out) {
		t.Errorf("ended with %d:\n%s", code, out)
	}
	if err := c.consul.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.must("plan", "-detailed-exitcode")
	c.wantCells(t, "1", "2")
	c.must("destroy", "-auto-approve")
	if err := c.nothingLeft(nil); err != nil {
		t.Error(err)
	}
}
