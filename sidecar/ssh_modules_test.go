package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// moduleOverSSH is a root module that gives one of modules/ its machines, a map of
// machines by cell or a list.
const moduleOverSSH = `
terraform {
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
  }
}
provider "homeostat" {
  consul          = { address = %q }
  state_directory = %q
  peers_key_file  = %q
}
variable "desired_count" {
  type    = number
  default = null
}
variable "cell_names" {
  type    = list(string)
  default = null
}
module "cells" {
  source        = %q
  service       = "pod"
  desired_count = var.desired_count
  cell_names    = var.cell_names
  initial_count = %d
  %s
  ssh = {
    %s
    user             = "birth"
    sudo_rule        = "/etc/sudoers.d/birth"
    private_key_file = %q
    secrets          = { "peers-key" = %[3]q }
  }
  timeouts = { create = "5m", delete = "2m" }
}
`

// callModule has the pool's cells made by a module of that name.
func (p *pool) callModule(name, more, machines string, initial int) {
	p.t.Helper()
	root, err := testkit.Root()
	p.must(err)
	p.write("pod/main.tf", fmt.Sprintf(moduleOverSSH, p.consulAt(p.options.Net.Gateway()), filepath.Join(p.dir, "cells"),
		filepath.Join(p.dir, "peers.key"), filepath.Join(root, "modules")+"//"+name, initial, more, machines, p.key))
	if out, code := p.run(p.terraform, "init", "-no-color"); code != 0 {
		p.t.Fatalf("terraform init: exit %d\n%s", code, out)
	}
	p.publishGenome("one")
}

// entry is the pool's nth machine, as modules take it.
func (p *pool) entry(n int) string {
	return fmt.Sprintf("{ address = %q, host_keys = [%q] }", p.machines[n].Addr(), p.machines[n].HostKey())
}

// A front is a cell on a machine, and sends clients to a cell elsewhere.
func TestFrontOverSSH(t *testing.T) {
	network := poolNet(t, 1)
	p := newPool(t, poolOptions{
		Net: network, Machines: 1, User: "birth", Reuse: true,
		Above: `bundle = "bundles"
service "api" {
  min = 1
  max = 1
  terraform { dir = "api" }
  health { tcp = true }
  front {}
}
`,
		Policy: `
  health { http = "/healthz" }
  drain { timeout = "1s" }
`,
		Command:     []string{"/usr/local/bin/homeostat", "front", "-service", "api"},
		Environment: `, HOMEOSTAT_PORT = "80"`,
	})
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(network.Gateway(), "0"))
	p.must(err)
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") }))
	p.must(api.Listener.Close())
	api.Listener = listener
	api.Start()
	defer api.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	p.must(err)
	number, err := strconv.Atoi(port)
	p.must(err)
	p.must(p.fleet.Push(t.Context(), fleet.Cell{
		Service: "api", Name: "api-1", Incarnation: "a", Address: network.Gateway(), Port: number, TTL: patience,
	}, fleet.Passing, "well"))

	p.callModule("front", "", "hosts = ["+p.entry(0)+"]", 1)
	p.apply()
	p.await("a page by the front", func(context.Context) error {
		if page := fetched(t, "http://"+p.machines[0].Address()); page != "page" {
			return fmt.Errorf("it is %q", page)
		}
		return nil
	})
	p.shut(p.machines[0])
	p.destroy()
}

// serversPolicy keeps Consul servers.
const serversPolicy = `
  holds_data = true
  health { http = "/v1/status/leader" }
  drain {
    command = ["sh", "-c", "exec \"$SERVER\" leave"]
    timeout = "1s"
  }
  replace { after = "10m" }
`

// serversGenome makes a machine into a Consul server.
const serversGenome = `
user = "daemon"
file "/usr/local/bin/consul" {
  source = %q
  mode   = "0755"
}
file "/usr/local/bin/consul-server" {
  source = %q
  mode   = "0755"
}
run { command = ["install", "-d", "-o", "daemon", "-m", "0700", "/var/lib/consul"] }
`

// newServers boots two machines for servers that join the house's own.
func newServers(t *testing.T) *pool {
	t.Helper()
	network := poolNet(t, 2)
	root, err := testkit.Root()
	if err != nil {
		t.Fatal(err)
	}
	consul, err := testkit.ConsulBinary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const key = `encrypt = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="`
	p := newPool(t, poolOptions{
		Net: network, Machines: 2, Min: 2, User: "birth", Reuse: true, Policy: serversPolicy,
		Consul:  testkit.ConsulOptions{Config: fmt.Sprintf("%s\nbind_addr = %q", key, network.Gateway())},
		Command: []string{"/usr/local/bin/consul-server", "run"},
		Genome:  fmt.Sprintf(serversGenome, consul, filepath.Join(root, "modules", "health-checker", "server.sh")),
	})
	client, err := p.consul.Client()
	p.must(err)
	members, err := client.Agent().Members(false)
	p.must(err)
	p.options.Environment = fmt.Sprintf(`, HOMEOSTAT_PORT = "8500", SERVER = "/usr/local/bin/consul-server", SERVER_JOIN = "%s:%d",
  SERVER_CONFIG = "/etc/homeostat/secrets/consul.hcl", SERVER_DATA = "/var/lib/consul"`, members[0].Addr, members[0].Port)
	p.write("consul.hcl", key+"\n")
	seed := fmt.Sprintf("%q", p.consulAt(network.Gateway()))
	all := strings.Join([]string{seed, fmt.Sprintf("%q", p.machines[0].Address()+":8500"), fmt.Sprintf("%q", p.machines[1].Address()+":8500")}, ", ")
	p.edit("homeostat.hcl", "consul { address = "+seed+" }", "consul { addresses = ["+all+"] }")
	// The first name has the second machine.
	p.callModule("health-checker", fmt.Sprintf("config_file = %q", filepath.Join(p.dir, "consul.hcl")),
		fmt.Sprintf("machines = { pod-1 = %s, pod-2 = %s }", p.entry(1), p.entry(0)), 2)
	return p
}

// awaitVoters waits until the servers that have a say, but for the house's own, are
// these, and all are well.
func (p *pool) awaitVoters(want ...string) {
	p.t.Helper()
	client, err := p.consul.Client()
	p.must(err)
	p.await(fmt.Sprintf("the voters %q", want), func(context.Context) error {
		health, err := client.Operator().AutopilotServerHealth(nil)
		if err != nil {
			return err
		}
		var got []string
		for _, server := range health.Servers {
			if server.Voter && server.Name != p.consul.Node() {
				got = append(got, server.Name)
			}
		}
		slices.Sort(got)
		if !health.Healthy || !slices.Equal(got, want) {
			return fmt.Errorf("voters are %q, healthy: %t", got, health.Healthy)
		}
		return nil
	})
}

// Two machines become Consul servers beside the first. One loses its power: the
// cells go on, and it comes back over its data. Then both leave the cluster, each on
// its own machine with its data.
func TestConsulServersOverSSH(t *testing.T) {
	p := newServers(t)
	p.apply()
	p.awaitVoters("pod-1", "pod-2")
	m := p.machines[1] // of pod-1
	member, err := p.fleet.Member(t.Context(), "pod", "pod-1")
	if err != nil || member.Address != m.Address() {
		t.Fatalf("pod-1 is %+v, %v", member, err)
	}
	id := p.on(m, "cat /var/lib/consul/pod-1/node-id")

	p.must(m.Kill())
	p.await("pod-1 is missed, and pod-2 heard", func(ctx context.Context) error {
		one, err := p.fleet.Member(ctx, "pod", "pod-1")
		other, otherErr := p.fleet.Member(ctx, "pod", "pod-2")
		if err := errors.Join(err, otherErr); err != nil {
			return err
		}
		if one.Health == fleet.Passing || other.Health != fleet.Passing {
			return fmt.Errorf("they are %s and %s", one.Health, other.Health)
		}
		return nil
	})
	p.succeed("pin", "pod", "2")
	p.must(m.Start(t.Context()))
	p.awaitVoters("pod-1", "pod-2")
	p.await("pod-1 is heard", func(ctx context.Context) error {
		now, err := p.fleet.Member(ctx, "pod", "pod-1")
		if err == nil && (now.Health != fleet.Passing || now.Incarnation != member.Incarnation) {
			err = fmt.Errorf("it is %s, %s", now.ID(), now.Health)
		}
		return err
	})
	if now := p.on(m, "cat /var/lib/consul/pod-1/node-id"); now != id {
		t.Errorf("the server's id was %s and is %s: it has lost its data", id, now)
	}

	p.alone()
	p.succeed("pin", "pod", "0")
	p.awaitVoters()
	p.livesOn(0)
	for n, name := range map[int]string{1: "pod-1", 0: "pod-2"} {
		if left := p.on(p.machines[n], "ls /var/lib/consul"); strings.TrimSpace(left) != name {
			t.Errorf("of %s is left %q", name, left)
		}
	}
	p.succeed("pause", "pod")
	p.destroy()
}
