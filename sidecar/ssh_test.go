package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/remote"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// pool is a house whose cells live on blank machines.
type pool struct {
	*house
	machines []*testkit.Machine
	key      string // the file with the key, or the authority's, that gets in
	options  poolOptions
}

// sshModule is a root module of cells on the machines of a pool.
const sshModule = `
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
  source           = %q
  service          = "pod"
  desired_count    = var.desired_count
  cell_names       = var.cell_names
  hosts            = %s
  user             = %q
  %s
  sudo_rule        = %s
  reuse            = %t
  temporary_user   = %t
  secrets          = %s
  timeouts         = { create = "3m", delete = "2m" }
}
`

// poolOptions are what differs between pools.
type poolOptions struct {
	Machines  int
	User      string // who births get in as
	Authority bool   // by certificates rather than by a key
	Reuse     bool
	Temporary bool   // the user is there for births only
	Genome    string // more of it
	WriteOnly bool   // the key stands in the configuration and not in a file of its own
	// Secrets are what cells get besides the peers' key, by name; Environment is
	// what tells them where.
	Secrets     map[string]string
	Environment string
	Consul      testkit.ConsulOptions
}

// newPool boots machines, and publishes what they are to be made of.
func newPool(t *testing.T, o poolOptions) *pool {
	t.Helper()
	needServers(t)
	t.Parallel()
	net := testkit.MachinesFor(t, o.Machines)
	private, public := newKey(t)
	p := &pool{options: o, house: newHouse(t, houseOptions{
		Max: o.Machines + 1, Address: net.Gateway(), Consul: o.Consul, Module: "# written below\n", Above: `
bundle = "bundles"
peers { key_file = "peers.key" }
`, Policy: `
  genome = "pod.genome.hcl"
  drain { timeout = "1s" }
`})}
	p.key = filepath.Join(p.dir, "key")
	p.write("key", private)
	writeKey(t, filepath.Join(p.dir, "peers.key"), "first")
	secrets := map[string]string{"peers-key": filepath.Join(p.dir, "peers.key")}
	for name, content := range o.Secrets {
		secrets[name] = filepath.Join(p.dir, "secrets", name)
		p.write(filepath.Join("secrets", name), content)
	}
	spec, entrance := testkit.MachineSpec{User: o.User, AuthorizedKeys: []string{public}, Booted: true}, fmt.Sprintf("private_key_file = %q", p.key)
	if o.WriteOnly {
		entrance = fmt.Sprintf("private_key = file(%q)", p.key)
	}
	if o.Authority {
		spec.AuthorizedKeys, spec.UserCA = nil, public
		entrance = fmt.Sprintf("authority = { key_file = %q }", p.key)
	}
	var hosts []map[string]any
	for range o.Machines {
		m := net.Boot(spec)
		p.machines = append(p.machines, m)
		hosts = append(hosts, map[string]any{"address": m.Addr(), "host_keys": []string{m.HostKey()}})
	}
	pool, err := json.Marshal(hosts)
	p.must(err)
	files, err := json.Marshal(secrets)
	p.must(err)
	rule := "null"
	if file := p.machines[0].SudoRule(); file != "" {
		rule = fmt.Sprintf("%q", file)
	}
	root, err := testkit.Root()
	p.must(err)
	p.write("pod/main.tf", fmt.Sprintf(sshModule, p.consulAt(net.Gateway()), filepath.Join(p.dir, "cells"), filepath.Join(p.dir, "peers.key"),
		filepath.Join(root, "modules", "ssh-cells"), pool, p.machines[0].User(), entrance, rule, o.Reuse, o.Temporary, files))
	p.terraformed(0, "init", "-no-color") // the lock file is part of what is published
	p.publishGenome("one")
	t.Cleanup(p.show)
	return p
}

// show tells what the machines of a failed test say of their cells.
func (p *pool) show() {
	if !p.t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, m := range p.machines {
		out, err := m.Exec(ctx, "sh", "-c", "cat /var/lib/homeostat/cell.json; systemctl status --no-pager homeostat ssh; journalctl --no-pager -n 40; ps -ef --forest")
		p.t.Logf("machine %s: %v\n%s", m.Name(), err, out)
	}
}

// publishGenome publishes what the machines are made of.
func (p *pool) publishGenome(release string) {
	p.t.Helper()
	p.write("pod.genome.hcl", fmt.Sprintf(`
command     = ["sleep", "100000"]
environment = { RELEASE = %q, HOMEOSTAT_PEERS_KEY_FILE = "/etc/homeostat/secrets/peers-key"%s }
file "/usr/local/bin/homeostat" {
  source = %q
  mode   = "0755"
}
%s
`, release, p.options.Environment, p.program, p.options.Genome))
	p.succeed("publish", "pod")
}

// newKey returns a private key in PEM and its public line.
func newKey(t testing.TB) (private, public string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

// files lists what is below some of a machine's folders, to see what is left. What
// was brought by its digest stays for the next birth.
func (p *pool) files(m *testkit.Machine) []string {
	p.t.Helper()
	out, err := m.Exec(p.t.Context(), "sh", "-c", "find /etc /usr/local /root /home /var/lib/homeostat -printf '%p %s %m %u\\n' 2>/dev/null || true")
	p.must(err)
	var all []string
	for line := range strings.Lines(out) {
		path, _, _ := strings.Cut(line, " ")
		if path != "/var/lib/homeostat" && path != "/var/lib/homeostat/.lock" && !strings.HasPrefix(path, "/var/lib/homeostat/blobs") && !strings.HasSuffix(path, ".wants") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	slices.Sort(all)
	return all
}

// shut tries every way into a machine that births had, and returns how many were
// refused.
func (p *pool) shut(m *testkit.Machine) (refused int) {
	p.t.Helper()
	config := remote.Config{Host: m.Address(), User: m.User(), HostKeys: []string{m.HostKey()}}
	if p.options.Authority {
		config.Authority = &remote.Authority{File: p.key}
	} else {
		private, err := os.ReadFile(p.key)
		p.must(err)
		config.PrivateKey = private
	}
	tries := remote.TryDoor(p.t.Context(), config, nil)
	if err := remote.CheckShut(tries); err != nil {
		p.t.Errorf("machine %s: %v", m.Name(), err)
	}
	for _, try := range tries {
		if try.Outcome == remote.Refused {
			refused++
		}
	}
	return refused
}

// forgets makes sure that a machine has nothing of a user who was there for births.
func (p *pool) forgets(m *testkit.Machine) {
	p.t.Helper()
	const traces = `getent passwd "$1"; getent group "$1"; grep -l "$1" /etc/passwd /etc/shadow /etc/group /etc/gshadow /etc/subuid /etc/subgid
		ls -d "/home/$1" "/etc/sudoers.d/$1" 2>/dev/null; pgrep -u "$1"; :`
	out, err := m.Exec(p.t.Context(), "sh", "-c", traces, "sh", m.User())
	if err != nil || out != "" {
		p.t.Errorf("machine %s has of the user %s: %v\n%s", m.Name(), m.User(), err, out)
	}
}

// withoutDoor leaves out what lets birth in; the user as well where that is
// temporary, with the files that list users.
func (p *pool) withoutDoor(files []string) []string {
	accounts := regexp.MustCompile(`^/etc/(passwd|shadow|group|gshadow|subuid|subgid)-? `)
	return slices.DeleteFunc(slices.Clone(files), func(f string) bool {
		return p.options.Temporary && (accounts.MatchString(f) || strings.HasPrefix(f, "/home/"+p.options.User)) || strings.Contains(f, "/.ssh/") || strings.HasPrefix(f, "/etc/sudoers.d/birth") || strings.HasPrefix(f, "/etc/ssh/user_ca.pub") || strings.HasPrefix(f, "/etc/ssh/sshd_config.d/user_ca.conf")
	})
}

// TestBirthOverSSH has a cell born on a blank machine, the door shut behind it, and
// leave by itself so that nothing of it is left there.
func TestBirthOverSSH(t *testing.T) {
	for _, o := range []poolOptions{
		{User: "root"}, {User: "birth", Reuse: true}, {User: "birth", Authority: true}, {User: "root", Authority: true, Reuse: true},
		{User: "birth", Temporary: true, Reuse: true}, {User: "birth", Temporary: true, Authority: true},
	} {
		o.Machines = 1
		t.Run(fmt.Sprintf("%s authority %t reuse %t temporary %t", o.User, o.Authority, o.Reuse, o.Temporary), func(t *testing.T) {
			p := newPool(t, o)
			m := p.machines[0]
			before := p.files(m)
			p.apply()
			if out, code := p.run(p.terraform, "plan", "-no-color", "-detailed-exitcode"); code != 0 {
				t.Errorf("the plan after it isn't empty:\n%s", out)
			}
			member, err := p.fleet.Member(t.Context(), "pod", "pod-1")
			if err != nil || member.Address != m.Address() || member.Genome == "" {
				t.Errorf("registered: %+v, %v", member, err)
			}
			if out, err := m.Exec(t.Context(), "cat", "/etc/homeostat/cell.env"); err != nil || !strings.Contains(out, `RELEASE="one"`) {
				t.Errorf("environment: %v\n%s", err, out)
			}
			refused := p.shut(m)
			t.Logf("%d ways in were tried and refused", refused)
			if o.Temporary {
				p.forgets(m)
			}
			p.destroy()
			after := p.files(m)
			if !o.Reuse {
				before, after = p.withoutDoor(before), p.withoutDoor(after)
				p.shut(m)
				if o.Temporary {
					p.forgets(m)
				}
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("the machine isn't as it was (-before +after)\n%s", diff)
			}
		})
	}
}

// TestPoolOverSSH has a leader scale over the machines of a pool, by a key and by
// certificates. Machines are used again after their cells have left, and a pool
// that is used up says so.
func TestPoolOverSSH(t *testing.T) {
	for _, authority := range []bool{false, true} {
		t.Run(fmt.Sprintf("authority %t", authority), func(t *testing.T) {
			p := newPool(t, poolOptions{Machines: 4, User: "birth", Authority: authority, Reuse: true})
			p.apply()
			p.alone("pod")
			p.hears("no record in Consul: made from Terraform's state", "count=1")
			for _, n := range []int{4, 1, 3} {
				p.succeed("pin", "pod", fmt.Sprint(n))
				p.livesOn(n)
			}
			refused := 0
			for _, m := range p.held() {
				refused += p.shut(m)
			}
			t.Logf("three machines: %d ways in were tried and refused", refused)
			p.succeed("pin", "pod", "5")
			p.reads("the pool of 4 hosts is used up")
			p.succeed("pause", "pod")
			if out, code := p.run(p.terraform, "destroy", "-no-color", "-auto-approve", "-lock-timeout=1m"); code != 0 {
				t.Errorf("exit %d\n%s", code, out)
			}
		})
	}
}

// livesOn waits until n cells are passing, each on a machine of its own, and record
// and state hold the same.
func (p *pool) livesOn(n int) {
	p.t.Helper()
	p.await(fmt.Sprintf("%d cells on machines", n), func(ctx context.Context) error {
		record, _, err := p.fleet.Record(ctx, "pod")
		if err != nil {
			return err
		}
		members, err := p.fleet.Members(ctx, "pod")
		if err != nil {
			return err
		}
		state, err := p.stateCells()
		if err != nil {
			return err
		}
		machines := map[string]bool{}
		var passing []string
		for _, m := range members {
			if m.Health != fleet.Passing {
				return fmt.Errorf("%s is %s: %s", m.Name, m.Health, m.Output)
			}
			passing, machines[m.Address] = append(passing, m.Name), true
		}
		slices.Sort(passing)
		slices.Sort(state)
		names := slices.Sorted(slices.Values(record.Names))
		if len(names) != n || len(machines) != n || len(record.Orders) > 0 || !slices.Equal(names, passing) || !slices.Equal(names, state) {
			return fmt.Errorf("record %v, orders %v, passing %v, state %v", names, record.Orders, passing, state)
		}
		return nil
	})
}

// held are the machines on which cells live.
func (p *pool) held() []*testkit.Machine {
	p.t.Helper()
	members, err := p.fleet.Members(p.t.Context(), "pod")
	p.must(err)
	return slices.DeleteFunc(slices.Clone(p.machines), func(m *testkit.Machine) bool {
		return !slices.ContainsFunc(members, func(c fleet.Member) bool { return c.Address == m.Address() })
	})
}
