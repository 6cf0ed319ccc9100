package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// leadingModule is a root module that can be led from any machine: its state is in
// Consul, the module beside it, and its keys lie where births put them or, with the
// operator, in a folder of theirs.
const leadingModule = `
terraform {
  backend "consul" {
    address = %[1]q
    path    = "terraform/pod"
  }
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
  }
}
provider "homeostat" {
  consul = { address = %[1]q }
}
variable "desired_count" {
  type    = number
  default = null
}
variable "cell_names" {
  type    = list(string)
  default = null
}
locals {
  born    = "/etc/homeostat/secrets"
  secrets = fileexists("${local.born}/births-key") ? local.born : %[2]q
}
module "cells" {
  source        = "../modules/ssh-cells"
  service       = "pod"
  desired_count = var.desired_count
  cell_names    = var.cell_names
  hosts         = %[3]s
  user          = "birth"
  sudo_rule     = "/etc/sudoers.d/birth"
  authority     = { key_file = "${local.secrets}/births-key" }
  secrets       = { for name in ["peers-key", "births-key"] : name => "${local.secrets}/${name}" }
  timeouts      = { create = "4m", delete = "30s" }
}
`

// leadingGenome makes a cell that may lead: Terraform, and the provider where
// Terraform looks by itself.
const leadingGenome = `
command     = ["sleep", "100000"]
environment = {
  HOMEOSTAT_PEERS_KEY_FILE   = "/etc/homeostat/secrets/peers-key"
  HOMEOSTAT_STATE_DIRECTORY  = "/var/lib/homeostat/cells"
  CHECKPOINT_DISABLE         = "1"
}
file "/usr/local/bin/homeostat" {
  source = %q
  mode   = "0755"
}
file "/usr/local/bin/terraform" {
  source = %q
  mode   = "0755"
}
file "/usr/local/share/terraform/plugins/%s" {
  source = %q
  mode   = "0755"
}
`

// newLeadingPool boots machines for cells that lead, and publishes what they are
// made of where the machines can fetch it, too.
func newLeadingPool(t *testing.T, machines int) *pool {
	t.Helper()
	needServers(t)
	t.Parallel()
	network := testkit.MachinesFor(t, machines)
	served := t.TempDir()
	p := &pool{options: poolOptions{Machines: machines, User: "birth", Authority: true, Reuse: true}, house: newHouse(t, houseOptions{
		Max: machines, Address: network.Gateway(), Module: "# written below\n",
		Above:  fmt.Sprintf("bundle = %q\npeers { key_file = \"secrets/peers-key\" }\n", serveFolder(t, network.Gateway(), served)),
		Policy: "  genome = \"pod.genome.hcl\"\n  drain { timeout = \"1s\" }\n",
	})}
	// What only this host has is no part of a policy that counts on machines.
	p.rewrite("homeostat.hcl", func(text string) string {
		at := strings.Index(text, "    env ")
		return text[:at] + text[at+strings.Index(text[at:], "\n")+1:]
	})
	private, public := newKey(t)
	p.key = filepath.Join(p.dir, "secrets", "births-key")
	p.write("secrets/births-key", private)
	writeKey(t, filepath.Join(p.dir, "secrets", "peers-key"), "first")
	p.env = append(p.env, "HOMEOSTAT_PEERS_KEY_FILE="+filepath.Join(p.dir, "secrets", "peers-key"), "HOMEOSTAT_STATE_DIRECTORY="+filepath.Join(p.dir, "cells"))
	var hosts []string
	for range machines {
		m := network.Boot(testkit.MachineSpec{User: "birth", UserCA: public, Booted: true})
		// As machines have that were made from one image.
		_, err := m.Exec(t.Context(), "sh", "-c", "echo 0123456789abcdef0123456789abcdef >/etc/machine-id")
		p.must(err)
		p.machines = append(p.machines, m)
		hosts = append(hosts, fmt.Sprintf("{ address = %q, host_keys = [%q] }", m.Addr(), m.HostKey()))
	}
	root, err := testkit.Root()
	p.must(err)
	p.must(os.CopyFS(filepath.Join(p.dir, "modules", "ssh-cells"), os.DirFS(filepath.Join(root, "modules", "ssh-cells"))))
	p.write("pod/main.tf", fmt.Sprintf(leadingModule, p.consulAt(network.Gateway()), filepath.Join(p.dir, "secrets"), "["+strings.Join(hosts, ", ")+"]"))
	build := testkit.Provider(t)
	plugin, err := filepath.Rel(build.Mirror, build.Binary)
	p.must(err)
	p.write("pod.genome.hcl", fmt.Sprintf(leadingGenome, p.program, p.terraform, plugin, build.Binary))
	p.terraformed(0, "init", "-no-color") // the lock file is part of what is published
	p.succeed("publish", "-into", served, "pod")
	p.succeed("publish", "pod")
	t.Cleanup(p.show)
	return p
}

// serveFolder serves a folder by http, at an address that machines reach.
func serveFolder(t *testing.T, host, folder string) (url string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(folder)), ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close() // what it served isn't needed any more
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

// TestCellsLeadFromTheirMachines has the operator's leader end. A cell then leads
// from its own machine: it orders the next cell, gets into that one's machine and
// shuts it. When its machine loses power the newborn leads, and replaces it on the
// third machine. What an operator does by hand works all the while.
func TestCellsLeadFromTheirMachines(t *testing.T) {
	p := newLeadingPool(t, 3)
	before := make([][]string, len(p.machines))
	for i, m := range p.machines {
		before[i] = p.files(m)
	}
	p.aloneWith(p.policy())
	p.passing(1)
	operator, err := p.fleet.Leader(t.Context(), "pod")
	p.must(err)
	p.must(syscall.Kill(operator.PID, syscall.SIGTERM))
	p.leads("pod-1")

	p.succeed("pin", "pod", "2")
	p.passing(2)
	second, err := p.fleet.Member(t.Context(), "pod", "pod-2")
	p.must(err)
	if second.Parent != "pod-1" || second.Generation != 2 {
		t.Errorf("the second cell's parent is %q in generation %d", second.Parent, second.Generation)
	}
	for _, m := range p.held() {
		p.shut(m)
	}
	// What a leader wrote here is of when it led.
	p.succeed("vars", "pod")
	p.terraformed(0, "plan", "-no-color", "-detailed-exitcode", "-lock-timeout=1m")

	first := p.machineOf("pod-1")
	p.must(first.Kill())
	p.leads("pod-2")
	p.passing(2)
	third, err := p.fleet.Member(t.Context(), "pod", "pod-3")
	p.must(err)
	if third.Parent != "pod-2" || third.Generation != 3 || !strings.Contains(third.Reason, "it doesn't answer") {
		t.Errorf("the third cell's parent is %q in generation %d, ordered since %q", third.Parent, third.Generation, third.Reason)
	}
	p.reads("2 cells ordered, 2 ready")

	p.succeed("pause", "pod")
	p.terraformed(0, "destroy", "-no-color", "-auto-approve", "-lock-timeout=2m")
	for i, m := range p.machines {
		if m == first {
			continue // it has no power, and is lost until somebody looks
		}
		if diff := cmp.Diff(before[i], p.files(m)); diff != "" {
			t.Errorf("machine %s isn't as it was (-before +after)\n%s", m.Name(), diff)
		}
	}
	if hosts := p.succeed("hosts"); strings.Count(hosts, "lost") != 1 || strings.Contains(hosts, "held") {
		t.Errorf("the machines:\n%s", hosts)
	}
}

// leads waits until a cell leads.
func (p *pool) leads(cell string) {
	p.t.Helper()
	p.await(cell+" doesn't lead", func(ctx context.Context) error {
		holder, err := p.fleet.Leader(ctx, "pod")
		if err != nil {
			return err
		}
		if holder == nil || holder.Cell != cell {
			return fmt.Errorf("the leader is %+v", holder)
		}
		return nil
	})
}

// passing waits until n cells are passing, each on a machine of its own, and no
// order is open.
func (p *pool) passing(n int) {
	p.t.Helper()
	// A machine that is silent for long is given up before it is.
	testkit.Await(p.t, 3*patience, func(ctx context.Context) error {
		record, _, err := p.fleet.Record(ctx, "pod")
		if err != nil {
			return err
		}
		members, err := p.fleet.Members(ctx, "pod")
		if err != nil {
			return err
		}
		passing := map[string]string{}
		for _, m := range members {
			if m.Health == fleet.Passing {
				passing[m.Address] = m.Name
			}
		}
		if len(passing) != n || len(record.Names) != n || len(record.Orders) > 0 {
			return fmt.Errorf("record %v, orders %v, passing %v", record.Names, record.Orders, passing)
		}
		for _, name := range passing {
			if !slices.Contains(record.Names, name) {
				return fmt.Errorf("%s is passing, and the record names %v", name, record.Names)
			}
		}
		return nil
	})
}

// machineOf is the machine that a cell lives on.
func (p *pool) machineOf(cell string) *testkit.Machine {
	p.t.Helper()
	member, err := p.fleet.Member(p.t.Context(), "pod", cell)
	p.must(err)
	i := slices.IndexFunc(p.machines, func(m *testkit.Machine) bool { return m.Address() == member.Address })
	if i < 0 {
		p.t.Fatalf("%s lives at %s, which is no machine", cell, member.Address)
	}
	return p.machines[i]
}
