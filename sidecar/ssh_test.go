package main

import (
	"cmp"
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

	gocmp "github.com/google/go-cmp/cmp"
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
  initial_count    = 1
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
	Net       *testkit.MachineNet // a new one by default
	Machines  int
	Min       int    // 1 by default
	User      string // who births get in as
	Authority bool   // by certificates rather than by a key
	Reuse     bool
	Temporary bool                // the user is there for births only
	Above     string              // more beside the service
	Policy    string              // more of the service; a short drain by default
	Genome    string              // more of it
	Command   []string            // of the application; sleep by default
	Machine   testkit.MachineSpec // what else the machines are to be like
	WriteOnly bool                // the key stands in the configuration and not in a file of its own
	// Secrets are what cells get besides the peers' key, by name; Environment is
	// what tells them where.
	Secrets     map[string]string
	Environment string
	Consul      testkit.ConsulOptions
}

// poolNet is a network for machines of a test that runs beside others.
func poolNet(t *testing.T, machines int) *testkit.MachineNet {
	t.Helper()
	needServers(t)
	t.Parallel()
	return testkit.MachinesFor(t, machines)
}

// newPool boots machines, and publishes what they are to be made of.
func newPool(t *testing.T, o poolOptions) *pool {
	t.Helper()
	net := o.Net
	if net == nil {
		net = poolNet(t, o.Machines)
	}
	if o.Above == "" {
		o.Above = "bundle = \"bundles\"\n"
	}
	if o.Command == nil {
		o.Command = []string{"sleep", "100000"}
	}
	private, public := newKey(t)
	p := &pool{options: o, house: newHouse(t, houseOptions{
		Min: o.Min, Max: o.Machines + 1, Address: net.Gateway(), Consul: o.Consul, Module: "# written below\n",
		Above:  o.Above + "peers { key_file = \"peers.key\" }\n",
		Policy: "genome = \"pod.genome.hcl\"\n" + cmp.Or(o.Policy, `drain { timeout = "1s" }`),
	})}
	p.key = filepath.Join(p.dir, "key")
	p.write("key", private)
	writeKey(t, filepath.Join(p.dir, "peers.key"), "first")
	secrets := map[string]string{"peers-key": filepath.Join(p.dir, "peers.key")}
	for name, content := range o.Secrets {
		secrets[name] = filepath.Join(p.dir, "secrets", name)
		p.write(filepath.Join("secrets", name), content)
	}
	spec, entrance := o.Machine, fmt.Sprintf("private_key_file = %q", p.key)
	spec.User, spec.AuthorizedKeys, spec.Booted = o.User, []string{public}, true
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
	// The lock file is published with the root module.
	if out, code := p.run(p.terraform, "init", "-no-color"); code != 0 {
		t.Fatalf("terraform init: exit %d\n%s", code, out)
	}
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
	p.layGenome(release)
	p.succeed("publish", "pod")
}

// layGenome writes what the machines are made of.
func (p *pool) layGenome(release string) {
	p.t.Helper()
	command, err := json.Marshal(p.options.Command)
	p.must(err)
	p.write("pod.genome.hcl", fmt.Sprintf(`
command     = %s
environment = { RELEASE = %q, HOMEOSTAT_PEERS_KEY_FILE = "/etc/homeostat/secrets/peers-key"%s }
file "/usr/local/bin/homeostat" {
  source = %q
  mode   = "0755"
}
%s
`, command, release, p.options.Environment, p.program, p.options.Genome))
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
	out, err := m.Exec(p.t.Context(), "sh", "-c", "find /etc /usr/local /root /home /var/lib/homeostat -type d -printf '%p %m %u\\n' -o -printf '%p %s %m %u\\n' 2>/dev/null || true")
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

// isAsBefore fails the test if a machine holds other files than before, but for
// the door where it isn't put back.
func (p *pool) isAsBefore(m *testkit.Machine, before []string) {
	p.t.Helper()
	after := p.files(m)
	if !p.options.Reuse {
		before, after = p.withoutDoor(before), p.withoutDoor(after)
	}
	if diff := gocmp.Diff(before, after); diff != "" {
		p.t.Errorf("machine %s isn't as it was (-before +after)\n%s", m.Name(), diff)
	}
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
	t.Parallel()
	for _, o := range []poolOptions{
		{User: "root"}, {User: "birth", Reuse: true}, {User: "birth", Authority: true, Genome: "user = \"daemon\""}, {User: "root", Authority: true, Reuse: true},
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
			if o.Genome != "" {
				p.runsAs(m, "daemon")
			}
			refused := p.shut(m)
			t.Logf("%d ways in were tried and refused", refused)
			if o.Temporary {
				p.forgets(m)
			}
			p.destroy()
			if !o.Reuse {
				p.shut(m)
				if o.Temporary {
					p.forgets(m)
				}
			}
			p.isAsBefore(m, before)
		})
	}
}

// runsAs makes sure that the application runs as a user, who alone of others than
// root reads the cell's secrets.
func (p *pool) runsAs(m *testkit.Machine, user string) {
	p.t.Helper()
	const secret = "/etc/homeostat/secrets/peers-key"
	for command, want := range map[string]string{
		"ps -o user= -p $(pgrep -fx 'sleep 100000')":                                              user,
		"/usr/local/bin/homeostat as " + user + " -- cat " + secret + " | cmp - " + secret:        "",
		"/usr/local/bin/homeostat as nobody -- cat " + secret + " 2>&1 | grep -o 'Permission.*'":  "Permission denied",
		"/usr/local/bin/homeostat as " + user + " -- sh -c 'echo x >" + secret + "' 2>&1 | wc -l": "1",
	} {
		if out, err := m.Exec(p.t.Context(), "sh", "-c", command); err != nil || strings.TrimSpace(out) != want {
			p.t.Errorf("%s: %q, want %q: %v", command, out, want, err)
		}
	}
}

// TestPoolOverSSH has a leader scale over the machines of a pool, by a key and by
// certificates. Machines are used again after their cells have left, and a pool
// that is used up says so.
func TestPoolOverSSH(t *testing.T) {
	t.Parallel()
	for _, authority := range []bool{false, true} {
		t.Run(fmt.Sprintf("authority %t", authority), func(t *testing.T) {
			p := newPool(t, poolOptions{Machines: 4, User: "birth", Authority: authority, Reuse: true})
			p.apply()
			p.alone()
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
			p.reads("births wait until", "the pool of 4 hosts is used up")
			p.succeed("pause", "pod")
			if out, code := p.run(p.terraform, "destroy", "-no-color", "-auto-approve", "-lock-timeout=1m"); code != 0 {
				t.Errorf("exit %d\n%s", code, out)
			}
			p.noErrors()
		})
	}
}

// noErrors makes sure that no cell's sidecar has met an error by its own account, up
// to its last word.
func (p *pool) noErrors() {
	p.t.Helper()
	for _, m := range p.machines {
		out, err := m.Exec(p.t.Context(), "journalctl", "--no-pager", "-o", "cat", "-u", "homeostat")
		if err != nil || !strings.Contains(out, "the cell has left") || strings.Contains(out, "level=ERROR") {
			p.t.Errorf("the sidecars of machine %s: %v\n%s", m.Name(), err, out)
		}
	}
}

// livesOn waits until n cells are passing, each on a machine of its own, and record
// and state hold the same.
func (p *pool) livesOn(n int) {
	p.t.Helper()
	p.await(fmt.Sprintf("%d cells on machines", n), func(ctx context.Context) error { return p.agreeOn(ctx, n) })
}

// agreeOn returns how what can be seen of n cells differs.
func (p *pool) agreeOn(ctx context.Context, n int) error {
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
