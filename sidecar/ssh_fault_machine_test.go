package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// TestSSHDiskFull has no room on a machine for what is brought, or, after that, for
// what is made of it. Once there is room the same cell is born.
func TestSSHDiskFull(t *testing.T) {
	p := faultyPool(t, poolOptions{Machine: testkit.MachineSpec{Disk: 1 << 30}})
	m := p.machines[0]
	before := p.blank()
	p.must(m.FillDisk(t.Context()))
	p.begin().fails("bring what it lacks: upload on birth@"+m.Addr(), "the machine's disk is full", "nothing of this birth is left")
	p.noState()
	p.must(m.FreeDisk(t.Context()))
	p.gone(before)

	info, err := os.Stat(p.program)
	p.must(err)
	p.must(m.FillDisk(t.Context()))
	// The blob and the program that is called, and half of the file made of it.
	p.on(m, fmt.Sprintf("truncate -s -%d /var/tmp/full", info.Size()*5/2))
	p.begin().fails("install: run /var/lib/homeostat/program machine install", "no space left on device")
	p.must(m.FreeDisk(t.Context()))
	p.begin().succeeds()
	p.born("pod-1")
}

// TestSSHCommandHangs has a genome's command hang: it has a time limit, and what it
// said is told, but for secrets.
func TestSSHCommandHangs(t *testing.T) {
	p := faultyPool(t, poolOptions{})
	before := p.blank()
	var long strings.Builder
	for n := range 60 {
		fmt.Fprintf(&long, "line-%d-of-a-long-secret\n", n)
	}
	p.write("long", long.String())
	p.edit("pod/main.tf", `secrets          = {`, fmt.Sprintf(`secrets = { "long" = %q,`, filepath.Join(p.dir, "long")))
	p.gated(`
run {
  command = ["sh", "-c", "cat /etc/homeostat/secrets/long /etc/homeostat/secrets/peers-key; echo waiting for godot; sleep 100000"]
  timeout = "2s"
}`)
	out := p.begin().fails("install: run /var/lib/homeostat/program machine install", "longer than", "2s", "waiting for godot", "***", "nothing of this birth is left")
	key, err := os.ReadFile(filepath.Join(p.dir, "peers.key"))
	p.must(err)
	for _, secret := range []string{"-of-a-long-secret", strings.TrimSpace(string(key))} {
		if strings.Contains(out, secret) {
			t.Errorf("it shows the secret %q:\n%s", secret, out)
		}
	}
	p.noState()
	p.gone(before)
}

// TestSSHMachineReboots has the machine boot anew in the middle of a birth.
func TestSSHMachineReboots(t *testing.T) {
	p := faultyPool(t, poolOptions{})
	p.gated("")
	m := p.machines[0]
	before := p.blank()
	for n, phase := range phases[1:] {
		name := fmt.Sprintf("pod-%d", n+1)
		p.want(name)
		phase.hold(p, m)
		apply := p.begin()
		phase.reached(p, m)
		p.must(m.Reboot(t.Context())) // what holds it is in /run, and is gone with that
		apply.succeeds()
		p.born(name)
		t.Logf("%s: born", phase.name)
		p.want()
		p.begin().succeeds()
		p.gone(before)
	}
}

// TestSSHMachineNeverComes has a machine that is off.
func TestSSHMachineNeverComes(t *testing.T) {
	p := faultyPool(t, poolOptions{})
	m := p.machines[0]
	before := p.blank()
	p.must(m.Kill())
	p.edit("pod/main.tf", `create = "3m"`, `create = "10s"`)
	began := time.Now()
	p.begin().fails("get in: get into birth@"+m.Addr(), "waiting for its port", "it took longer than timeouts.create = 10s", "nothing of this birth is left")
	t.Logf("given up after %v", time.Since(began).Round(time.Second))
	p.noState()
	p.must(m.Start(t.Context()))
	p.gone(before)
	p.edit("pod/main.tf", `create = "10s"`, `create = "3m"`)
	p.begin().succeeds()
	p.born("pod-1")
}

// TestSSHWrongContent has content that isn't what its digest says: in the store,
// where the birth ends before it enters a machine, and on the machine, where it is
// brought anew.
func TestSSHWrongContent(t *testing.T) {
	p := faultyPool(t, poolOptions{})
	m := p.machines[0]
	before := p.blank()
	program, err := os.ReadFile(p.program)
	p.must(err)
	sum := sha256.Sum256(program)
	digest := hex.EncodeToString(sum[:])
	stored, err := filepath.Glob(filepath.Join(p.dir, "bundles", "*", digest+"*"))
	if err != nil || len(stored) != 1 {
		t.Fatalf("in the store are %v of %s, %v", stored, digest, err)
	}
	p.must(os.Chmod(stored[0], 0o644))
	program[len(program)/2] ^= 1
	p.must(os.WriteFile(stored[0], program, 0o644))
	p.begin().fails("fetch what is published", digest[:12], "nothing of this birth is left")
	p.noState()
	p.gone(before)
	program[len(program)/2] ^= 1
	p.must(os.WriteFile(stored[0], program, 0o644))
	p.on(m, "mkdir -p /var/lib/homeostat/blobs && head -c 1000000 /dev/urandom >/var/lib/homeostat/blobs/"+digest)
	p.begin().succeeds()
	p.born("pod-1")
}

// TestSSHMachineHoldsAnother has the pool give a machine on which another cell lives,
// as that was claimed in another Consul. It is refused by name, and lives on.
func TestSSHMachineHoldsAnother(t *testing.T) {
	p := faultyPool(t, poolOptions{})
	m := p.machines[0]
	p.begin().succeeds()
	member := p.born("pod-1")
	files, processes := p.files(m), p.on(m, "pgrep -f '[h]omeostat run'")
	// Let in again, and claimed by nobody.
	p.must(m.LetIn(t.Context()))
	p.on(m, "echo 'birth ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/birth && chmod 440 /etc/sudoers.d/birth")
	p.must(p.fleet.FreeHost(t.Context(), m.Addr(), fleet.Cell{Service: "pod", Name: "pod-1", Incarnation: member.Incarnation}))
	p.want("pod-1", "pod-2")
	p.begin("-refresh=false").fails("the machine holds another cell:", "pod-1", member.Incarnation, "nothing of this birth is left")
	if after := p.on(m, "pgrep -f '[h]omeostat run'"); after != processes {
		t.Errorf("the sidecar was process %s, and is %s", processes, after)
	}
	if diff := cmp.Diff(p.withoutDoor(files), p.withoutDoor(p.files(m))); diff != "" {
		t.Errorf("the machine isn't as it was (-before +after)\n%s", diff)
	}
	p.claimed(0)
	if now, err := p.fleet.Member(t.Context(), "pod", "pod-1"); err != nil || now.ID() != member.ID() || now.Health != fleet.Passing {
		t.Errorf("the cell that lived there is %+v, %v", now, err)
	}
}

// TestSSHTwoBirthsAtOnce has two Terraforms want machines of one pool at the same
// instant: each gets one of its own, or is told that there is none.
func TestSSHTwoBirthsAtOnce(t *testing.T) {
	t.Parallel()
	for machines := 1; machines <= 2; machines++ {
		t.Run(fmt.Sprintf("%d machines", machines), func(t *testing.T) {
			p := faultyPool(t, poolOptions{Machines: machines})
			other := filepath.Join(p.dir, "other")
			p.must(os.CopyFS(other, os.DirFS(p.module())))
			p.write("other/homeostat.auto.tfvars.json", `{"cell_names": ["pod-2"], "desired_count": 1}`)
			first, second := p.begin(), p.beginIn(other)
			out1, code1 := first.wait()
			out2, code2 := second.wait()
			members, err := p.fleet.Members(t.Context(), "pod")
			p.must(err)
			p.claimed(machines)
			if len(members) != machines || machines == 2 && members[0].Address == members[1].Address {
				t.Errorf("born were %+v", members)
			}
			for out, code := range map[string]int{out1: code1, out2: code2} {
				if code != 0 && (machines == 2 || !says(out, "the pool of 1 hosts is used up: "+p.machines[0].Addr()+" is held by pod/pod-")) {
					t.Errorf("exit %d:\n%s", code, out)
				}
			}
			if ended := code1 + code2; ended != 2-machines {
				t.Errorf("exit codes %d and %d:\n%s\n%s", code1, code2, out1, out2)
			}
		})
	}
}

// TestSSHCannotBeSealed has machines that can't be shut. The cell is destroyed, and
// the machine is used no more.
func TestSSHCannotBeSealed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ spoil, says string }{
		// A file that can't be replaced.
		"the key stays": {
			"mount --bind /home/birth/.ssh/authorized_keys /home/birth/.ssh/authorized_keys",
			"take a key out of /home/birth/.ssh/authorized_keys",
		},
		// Another source of keys, which nobody told of.
		"another way in": {
			"install -m 0644 /home/birth/.ssh/authorized_keys /etc/ssh/more_keys && printf 'AuthorizedKeysCommand /bin/cat /etc/ssh/more_keys\nAuthorizedKeysCommandUser nobody\n' >/etc/ssh/sshd_config.d/more.conf && systemctl restart ssh",
			"the machine can still be got into: the key as birth: got in",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := faultyPool(t, poolOptions{})
			m := p.machines[0]
			p.on(m, tc.spoil)
			p.begin().fails(tc.says, "the cell was destroyed", "it is used no more until you return it: homeostat hosts -return "+m.Addr())
			p.noState()
			p.await("the cell gone", func(ctx context.Context) error {
				members, err := p.fleet.Members(ctx, "pod")
				if err != nil || len(members) > 0 {
					return fmt.Errorf("members %v: %w", members, err)
				}
				return p.holds(ctx, m, "", false)
			})
			if out := p.succeed("hosts"); !strings.Contains(out, m.Addr()) || !strings.Contains(out, "lost") || !strings.Contains(out, "its door could not be shut") {
				t.Errorf("the pool says:\n%s", out)
			}
			p.begin().fails("the pool of 1 hosts is used up")
		})
	}
}

// TestSSHConsulAgentGone takes away, in the middle of a birth, the Consul agent that
// the cell has registered with. It goes to the next of consul.addresses.
func TestSSHConsulAgentGone(t *testing.T) {
	p := faultyPool(t, poolOptions{})
	m := p.machines[0]
	gateway := m.Address()[:strings.LastIndex(m.Address(), ".")] + ".1"
	agent := testkit.ConsulWith(t, testkit.ConsulOptions{Node: "agent", Join: p.consul, Also: gateway})
	_, port, err := net.SplitHostPort(agent.Addr())
	p.must(err)
	p.edit("homeostat.hcl", "consul { address = ", fmt.Sprintf("consul { addresses = [%q, ", net.JoinHostPort(gateway, port)))
	p.edit("homeostat.hcl", "}\n", "] }\n")
	p.gated("")
	p.on(m, "touch /run/hold-start")
	apply := p.begin()
	node := func() string {
		member, err := p.fleet.Member(t.Context(), "pod", "pod-1")
		if err != nil {
			return err.Error()
		}
		return member.Node
	}
	p.await("registered with the first agent", func(context.Context) error {
		if n := node(); n != "agent" {
			return errors.New(n)
		}
		return nil
	})
	p.must(agent.Kill())
	p.on(m, "rm /run/h*-start")
	apply.succeeds()
	p.born("pod-1")
	if n := node(); n != p.consul.Node() {
		t.Errorf("it is registered at %s", n)
	}
}
