package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// birthPhase is where a birth can be held or caught, from outside.
type birthPhase struct {
	name string
	// hold keeps a birth in the phase, reached returns when it is there, and
	// let lets it go on.
	hold, reached, let func(*pool, *testkit.Machine)
}

var phases = []birthPhase{
	{"claim", func(p *pool, m *testkit.Machine) { p.must(m.Cut(p.t.Context())) },
		func(p *pool, _ *testkit.Machine) { p.claimed(1) },
		func(p *pool, m *testkit.Machine) { p.must(m.Mend(p.t.Context())) }},
	{"upload", func(p *pool, m *testkit.Machine) { p.on(m, "rm -f /var/lib/homeostat/blobs/*") },
		func(p *pool, m *testkit.Machine) { p.appears(m, "/var/lib/homeostat/blobs/*.part") },
		func(*pool, *testkit.Machine) {}},
	{"install", func(p *pool, m *testkit.Machine) { p.on(m, "touch /run/hold-install") },
		func(p *pool, m *testkit.Machine) { p.appears(m, "/run/held-install") },
		func(p *pool, m *testkit.Machine) { p.on(m, "rm /run/h*-install") }},
	{"start", func(p *pool, m *testkit.Machine) { p.on(m, "touch /run/hold-start") },
		func(p *pool, m *testkit.Machine) { p.appears(m, "/run/held-start") },
		func(p *pool, m *testkit.Machine) { p.on(m, "rm /run/h*-start") }},
	{"seal", func(*pool, *testkit.Machine) {},
		func(p *pool, m *testkit.Machine) { p.appears(m, "/var/lib/homeostat/door.json") },
		func(*pool, *testkit.Machine) {}},
}

// claimed waits until so many machines are claimed.
func (p *pool) claimed(n int) {
	p.t.Helper()
	p.await("claimed machines", func(ctx context.Context) error {
		hosts, err := p.claims(ctx)
		if err != nil || len(hosts) != n {
			return fmt.Errorf("claimed is %v: %w", hosts, err)
		}
		return nil
	})
}

// order writes a record by which a leader has ordered a cell to be born, as the
// next leader would find it; without a name, one by which there are to be none.
func (p *pool) order(name string) {
	p.t.Helper()
	ctx := p.t.Context()
	lease, err := p.fleet.TryStand(ctx, "pod", fleet.Holder{Service: "pod", Host: "test"})
	p.must(err)
	record, index, err := p.fleet.Record(ctx, "pod")
	if err != nil {
		record, index = &fleet.Record{}, 0
	}
	record.Names, record.Orders, record.Count = []string{}, nil, 0
	if name != "" {
		incarnation := fmt.Sprintf("i%d", time.Now().UnixNano())
		record.Count, record.Names = 1, []string{name}
		record.Orders = []fleet.Order{{ID: "1", Reason: "a test", Placed: time.Now(), Add: []fleet.Newborn{
			{Name: name, Incarnation: incarnation, Generation: 1, Reason: "a test"},
		}}}
	}
	_, err = lease.PutRecord(ctx, *record, index)
	p.must(err)
	p.must(lease.Release(ctx))
}

// TestSSHTerraformCut interrupts and kills Terraform in each phase of a birth. The
// next apply takes up the same life, or clears it and bears another: there is
// never a second one. A killed one is taken up under its incarnation.
func TestSSHTerraformCut(t *testing.T) {
	t.Parallel()
	for _, ordered := range []bool{true, false} {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
			t.Run(fmt.Sprintf("ordered %t, %v", ordered, signal), func(t *testing.T) {
				p := faultyPool(t, poolOptions{})
				p.gated("")
				before := p.blank()
				for n, phase := range phases {
					name := fmt.Sprintf("pod-%d", n+1)
					p.want(name)
					if ordered {
						p.order(name)
					}
					cut := p.cutBy(signal, phase)
					member := p.born(name)
					if same := member.Incarnation == cut; same != (ordered || signal == syscall.SIGKILL) {
						t.Errorf("%s: the same life: %t", phase.name, same)
					}
					p.want()
					p.order("")
					p.begin().succeeds()
					p.gone(before)
				}
				t.Logf("births cut: %d", len(phases))
			})
		}
	}
}

// cutBy ends a birth in a phase by a signal and applies again. It returns the
// incarnation that was cut.
func (p *pool) cutBy(signal syscall.Signal, phase birthPhase) (incarnation string) {
	p.t.Helper()
	m := p.machines[0]
	phase.hold(p, m)
	apply := p.begin()
	phase.reached(p, m)
	p.claimed(1)
	hosts, err := p.claims(p.t.Context())
	p.must(err)
	began := time.Now()
	apply.signal(signal)
	out, code := apply.wait()
	p.t.Logf("%s: exit %d after %v", phase.name, code, time.Since(began).Round(time.Millisecond))
	if signal == syscall.SIGINT && phase.name != "seal" && (code == 0 || !says(out, "apply again: the cell stands in the state as tainted")) {
		p.t.Errorf("exit %d\n%s", code, out)
	}
	phase.let(p, m)
	p.unlock()
	began = time.Now()
	p.begin().succeeds()
	p.t.Logf("%s: born after %v more", phase.name, time.Since(began).Round(time.Millisecond))
	return hosts[0].Incarnation
}

// pad makes the upload one of so many bytes more, which can't be packed.
func (p *pool) pad(bytes int) {
	p.t.Helper()
	content := make([]byte, bytes)
	_, _ = rand.Read(content) // never fails
	p.must(os.WriteFile(filepath.Join(p.dir, "pad"), content, 0o600))
	p.gated(fmt.Sprintf("file \"/usr/local/share/pad\" {\n  source = %q\n}\n", filepath.Join(p.dir, "pad")))
}

// received is how many bytes have come to a machine over the network.
func (p *pool) received(m *testkit.Machine) int {
	p.t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(p.on(m, "cat /sys/class/net/host0/statistics/rx_bytes")))
	p.must(err)
	return n
}

// hungUp waits until this host has no connection to a machine's sshd any more.
func (p *pool) hungUp(m *testkit.Machine) {
	p.t.Helper()
	a := netip.MustParseAddrPort(m.Addr())
	address := a.Addr().As4()
	// As in proc(5): the address in the machine's byte order, and 01 for established.
	entry := fmt.Sprintf(" %02X%02X%02X%02X:%04X 01 ", address[3], address[2], address[1], address[0], a.Port())
	p.await("the connection given up", func(context.Context) error {
		table, err := os.ReadFile("/proc/net/tcp")
		if err == nil && strings.Contains(string(table), entry) {
			err = errors.New("it is there")
		}
		return err
	})
}

// process waits for a process of a machine whose command line begins so, and
// returns it as this host knows it.
func (p *pool) process(m *testkit.Machine, words string) (pid int) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		pid, err := m.Process(words)
		p.must(err)
		if pid != 0 {
			return pid
		}
	}
	p.t.Fatalf("no process %q on %s", words, m.Name())
	return 0
}

// TestSSHCutInUpload cuts the network in the middle of an upload for longer than a
// connection is held to live. The same birth goes on where it was.
func TestSSHCutInUpload(t *testing.T) {
	p := faultyPool(t, poolOptions{})
	const pad = 192 << 20
	p.pad(pad)
	m := p.machines[0]
	before := p.received(m)
	apply := p.begin()
	testkit.Await(t, patience, func(context.Context) error {
		path, err := m.Path("/var/lib/homeostat/blobs/*.part")
		p.must(err)
		parts, _ := filepath.Glob(path)
		for _, part := range parts {
			if info, err := os.Stat(part); err == nil && info.Size() > pad/4 {
				return nil
			}
		}
		return errors.New("not yet")
	})
	p.must(m.Cut(t.Context()))
	there := p.received(m) - before
	p.hungUp(m)
	p.must(m.Mend(t.Context()))
	apply.succeeds()
	p.born("pod-1")
	info, err := os.Stat(p.program)
	p.must(err)
	all, size := p.received(m)-before, pad+int(info.Size())
	t.Logf("%d bytes had come before it was cut, %d in all, for %d of content", there, all, size)
	if all > size+pad/8 {
		t.Errorf("of %d bytes that had come some were sent again: %d in all, for %d", there, all, size)
	}
}

// TestSSHCutInCommand cuts the network in the middle of a genome's command. The
// machine ends the command, and the same birth goes on once it gets in again.
func TestSSHCutInCommand(t *testing.T) {
	p := faultyPool(t, poolOptions{})
	p.gated("")
	m := p.machines[0]
	p.on(m, "touch /run/hold-install")
	apply := p.begin()
	p.appears(m, "/run/held-install")
	p.must(m.Cut(t.Context()))
	p.hungUp(m)
	p.await("the command ended", func(ctx context.Context) error {
		out, err := m.Exec(ctx, "sh", "-c", "pgrep -fa 'machine [i]nstall' || true")
		if err == nil && out != "" {
			err = errors.New(out)
		}
		return err
	})
	p.on(m, "rm /run/h*-install")
	p.must(m.Mend(t.Context()))
	apply.succeeds()
	p.born("pod-1")
}

// TestSSHCutInSealing cuts the network at some instant while the door is being shut.
// That is done to the end, and the birth finds it so.
func TestSSHCutInSealing(t *testing.T) {
	p := faultyPool(t, poolOptions{})
	m := p.machines[0]
	before := p.blank()
	for n := range 3 {
		name := fmt.Sprintf("pod-%d", n+1)
		p.want(name)
		apply := p.begin()
		shutting := p.process(m, "/var/lib/homeostat/program machine shut")
		p.must(syscall.Kill(shutting, syscall.SIGSTOP))
		p.must(m.Cut(t.Context()))
		p.hungUp(m)
		p.must(syscall.Kill(shutting, syscall.SIGCONT))
		p.must(m.Mend(t.Context()))
		apply.succeeds()
		p.born(name)
		if rule := p.on(m, "ls /etc/sudoers.d"); strings.Contains(rule, "birth") {
			t.Errorf("the sudo rule is there: %s", rule)
		}
		p.want()
		p.begin().succeeds()
		p.gone(before)
	}
}

// TestSSHPowerLostInSealing takes the machine's power away at some instant while the
// door is being shut. What was begun is done to the end once the cell runs again.
func TestSSHPowerLostInSealing(t *testing.T) {
	p := faultyPool(t, poolOptions{})
	m := p.machines[0]
	before := p.blank()
	for n := range 3 {
		name := fmt.Sprintf("pod-%d", n+1)
		p.want(name)
		apply := p.begin()
		// The key goes first.
		testkit.Await(t, patience, func(context.Context) error {
			path, err := m.Path("/home/birth/.ssh/authorized_keys")
			p.must(err)
			if info, err := os.Stat(path); err != nil || info.Size() > 0 {
				return fmt.Errorf("the key is there: %w", err)
			}
			return nil
		})
		p.must(m.Kill())
		p.must(m.Start(t.Context()))
		apply.succeeds()
		p.born(name)
		p.await("no sudo rule", func(ctx context.Context) error {
			out, err := m.Exec(ctx, "ls", "/etc/sudoers.d")
			if err == nil && strings.Contains(out, "birth") {
				err = errors.New("it is there")
			}
			return err
		})
		p.want()
		p.begin().succeeds()
		p.gone(before)
	}
}

// TestSSHMachineIsAwayAfterCut has a machine be off for a while when what a cut birth
// left there is to be cleared. The next apply waits for it, and it isn't lost.
func TestSSHMachineIsAwayAfterCut(t *testing.T) {
	p := faultyPool(t, poolOptions{})
	p.gated("")
	m := p.machines[0]
	before := p.blank()
	p.on(m, "touch /run/hold-install")
	apply := p.begin()
	p.appears(m, "/run/held-install")
	apply.signal(syscall.SIGINT)
	apply.fails("apply again: the cell stands in the state as tainted")
	p.must(m.Kill())
	apply = p.begin()
	time.Sleep(40 * time.Second) // more than one try to get in takes
	p.must(m.Start(t.Context()))
	apply.succeeds()
	p.born("pod-1")
	p.want()
	p.begin().succeeds()
	p.gone(before)
}
