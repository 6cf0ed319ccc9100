package main

import (
	"fmt"
	"strings"
	"testing"
)

// cellAddress is where the module keeps its first cell.
const cellAddress = `module.cells.homeostat_cell.cell["pod-1"]`

// TestImportOverSSH takes a cell that lives on a machine, and that no state holds any
// more, into a state again: where the module ignores how it was born, and where it
// is written out.
func TestImportOverSSH(t *testing.T) {
	t.Parallel()
	for _, written := range []bool{false, true} {
		t.Run(fmt.Sprintf("written out %t", written), func(t *testing.T) {
			p := newPool(t, poolOptions{Machines: 1, User: "birth", Reuse: true})
			p.apply()
			life := p.lives()["pod-1"]
			address := cellAddress
			p.terraformed(0, "state", "rm", address)
			if written {
				address = "homeostat_cell.one"
				p.writeOut()
				p.terraformed(0, "init", "-no-color")
			}
			p.terraformed(0, "import", "-no-color", address, "pod/pod-1")
			// How it was born is told once, and is no reason to bear it anew.
			if out := p.terraformed(2, "plan", "-no-color", "-detailed-exitcode"); !strings.Contains(out, "1 to change, 0 to destroy") {
				t.Errorf("the plan after the import:\n%s", out)
			}
			p.terraformed(0, "apply", "-no-color", "-auto-approve")
			p.terraformed(0, "plan", "-no-color", "-detailed-exitcode")
			if now := p.lives()["pod-1"]; now != life {
				t.Errorf("the cell lives as %q, and not as %q any more", now, life)
			}
			p.destroy()
			if hosts := p.succeed("hosts"); !strings.Contains(hosts, "no machine of a pool is in use") {
				t.Errorf("the machine is not given back:\n%s", hosts)
			}
		})
	}
}

// terraformed runs Terraform, which is to end with a code.
func (p *pool) terraformed(want int, args ...string) string {
	p.t.Helper()
	out, code := p.run(p.terraform, args...)
	if code != want {
		p.t.Fatalf("terraform %v: exit %d\n%s", args, code, out)
	}
	return out
}

// writeOut has the root module hold the cell itself, without our module.
func (p *pool) writeOut() {
	p.t.Helper()
	m := p.machines[0]
	p.rewrite("pod/main.tf", func(text string) string {
		return text[:strings.Index(text, `module "cells"`)] + fmt.Sprintf(`
resource "homeostat_cell" "one" {
  service = "pod"
  name    = "pod-1"
  ssh = {
    hosts            = [{ address = %q, host_keys = [%q] }]
    user             = %q
    private_key_file = %q
    sudo_rule        = %q
    reuse            = true
    secrets          = { "peers-key" = "%s/peers.key" }
  }
}
`, m.Addr(), m.HostKey(), m.User(), p.key, m.SudoRule(), p.dir)
	})
}
