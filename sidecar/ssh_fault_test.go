package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// The tests of this file's name each make a fault of births over SSH for real, on
// real machines, and judge from outside what came of it: by Terraform's exit code,
// diagnostic and state, by Consul, and by what is on the machines.

// gatedGenome is a cell whose birth can be held: by a command, and by an
// application that isn't healthy yet.
const gatedGenome = `
command     = ["/usr/local/bin/app"]
environment = { HOMEOSTAT_PEERS_KEY_FILE = "/etc/homeostat/secrets/peers-key" }
file "/usr/local/bin/homeostat" {
  source = %q
  mode   = "0755"
}
file "/usr/local/bin/app" {
  mode    = "0755"
  content = <<-EOT
    #!/bin/sh
    while [ -e /run/hold-start ]; do : >/run/held-start; sleep 0.1; done
    exec python3 -c 'import os, socket, time
    s = socket.create_server(("", int(os.environ["PORT"])))
    while True: s.accept()[0].close()'
  EOT
}
run { command = ["sh", "-c", "while [ -e /run/hold-install ]; do : >/run/held-install; sleep 0.1; done"] }
%s
`

// gated publishes it, and more of it.
func (p *pool) gated(more string) {
	p.t.Helper()
	p.edit("homeostat.hcl", `drain { timeout = "1s" }`, `drain { timeout = "1s" }
  health {
    tcp      = true
    interval = "200ms"
  }
`)
	p.write("pod.genome.hcl", fmt.Sprintf(gatedGenome, p.program, more))
	p.succeed("publish", "pod")
}

// want says which cells the next apply is to leave there.
func (p *pool) want(names ...string) {
	p.t.Helper()
	text, err := json.Marshal(map[string]any{"cell_names": slices.Concat([]string{}, names), "desired_count": len(names)})
	p.must(err)
	p.write("pod/homeostat.auto.tfvars.json", string(text))
}

// applying is a terraform apply that runs beside the test.
type applying struct {
	pool *pool
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan struct{}
}

// begin begins an apply.
func (p *pool) begin(options ...string) *applying { return p.beginIn(p.module(), options...) }

func (p *pool) beginIn(module string, options ...string) *applying {
	p.t.Helper()
	options = append([]string{"apply", "-auto-approve", "-no-color"}, options...)
	a := &applying{pool: p, cmd: exec.Command(p.terraform, options...), done: make(chan struct{})}
	a.cmd.Dir, a.cmd.Env = module, append(p.env, "HOMEOSTAT_POLICY="+p.policy())
	a.cmd.Stdout, a.cmd.Stderr, a.cmd.WaitDelay = &a.out, &a.out, 10*time.Second
	p.must(a.cmd.Start())
	go func() {
		defer close(a.done)
		_ = a.cmd.Wait() // its exit code says how it ended
	}()
	p.t.Cleanup(func() {
		_ = a.cmd.Process.Kill() // it has usually ended
		<-a.done
	})
	return a
}

// wait returns what it said and its exit code.
func (a *applying) wait() (string, int) {
	a.pool.t.Helper()
	select {
	case <-a.done:
	case <-time.After(5 * time.Minute):
		a.pool.t.Fatalf("terraform has not ended:\n%s", a.pool.logs())
	}
	return a.out.String(), a.cmd.ProcessState.ExitCode()
}

// signal sends Terraform a signal.
func (a *applying) signal(s syscall.Signal) {
	a.pool.t.Helper()
	a.pool.must(a.cmd.Process.Signal(s))
}

// succeeds waits for it, and fails the test if it failed.
func (a *applying) succeeds() {
	a.pool.t.Helper()
	if out, code := a.wait(); code != 0 {
		a.pool.t.Fatalf("exit %d\n%s", code, out)
	}
}

// fails waits for it, and fails the test if it didn't fail or doesn't say all of it.
func (a *applying) fails(words ...string) (out string) {
	a.pool.t.Helper()
	out, code := a.wait()
	if code == 0 {
		a.pool.t.Errorf("it succeeded:\n%s", out)
	}
	for _, w := range words {
		if !says(out, w) {
			a.pool.t.Errorf("it doesn't say %q:\n%s", w, out)
		}
	}
	return out
}

// says reports whether Terraform, which breaks lines, has said something.
func says(out, text string) bool {
	words := strings.Fields(text)
	for i, w := range words {
		words[i] = regexp.QuoteMeta(w)
	}
	return regexp.MustCompile(strings.Join(words, `[\s│]+`)).MatchString(out)
}

// born waits until a cell is there, and once, and nothing is on other machines.
// Its door is shut.
func (p *pool) born(name string) (member fleet.Member) {
	p.t.Helper()
	var on *testkit.Machine
	p.await("born once", func(ctx context.Context) (err error) {
		member, on, err = p.once(ctx, name)
		return err
	})
	p.shut(on)
	if out, code := p.run(p.terraform, "plan", "-no-color", "-detailed-exitcode"); code != 0 {
		p.t.Errorf("the plan after it isn't empty:\n%s", out)
	}
	return member
}

// once says in what the service is anything but one cell.
func (p *pool) once(ctx context.Context, name string) (member fleet.Member, on *testkit.Machine, err error) {
	members, err := p.fleet.Members(ctx, "pod")
	if err != nil || len(members) != 1 {
		return member, nil, fmt.Errorf("members %v: %w", members, err)
	}
	member = members[0]
	if member.Name != name || member.Health != fleet.Passing || len(member.Older) > 0 {
		return member, nil, fmt.Errorf("%s is %s, older lives %v", member.ID(), member.Health, member.Older)
	}
	hosts, err := p.claims(ctx)
	if err != nil || len(hosts) != 1 || hosts[0].State != fleet.HostHeld || hosts[0].CellID() != member.ID() {
		return member, nil, fmt.Errorf("%s lives, and claimed is %+v: %w", member.ID(), hosts, err)
	}
	state, err := p.stateCells()
	if err != nil || !slices.Equal(state, []string{name}) {
		return member, nil, fmt.Errorf("in the state are %v: %w", state, err)
	}
	for _, m := range p.machines {
		mine := m.Addr() == hosts[0].Address
		if mine {
			on = m
		}
		if err := p.holds(ctx, m, member.ID(), mine); err != nil {
			return member, nil, err
		}
	}
	return member, on, nil
}

// holds says in what a machine differs from one with that cell, or with none.
func (p *pool) holds(ctx context.Context, m *testkit.Machine, id string, here bool) error {
	out, err := m.Exec(ctx, "sh", "-c", `cat /var/lib/homeostat/cell.json 2>/dev/null | tr -d '" ,\n'; echo; pgrep -fa homeostat || true`)
	if err != nil {
		return err
	}
	claim, processes, _ := strings.Cut(out, "\n")
	lines := strings.FieldsFunc(processes, func(r rune) bool { return r == '\n' })
	// The shell that asks is among them.
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, "pgrep") })
	name, incarnation, _ := strings.Cut(id, ".")
	switch {
	case !here && (claim != "" || len(lines) > 0):
		return fmt.Errorf("on %s, which should be blank, are %q and %q", m.Name(), claim, lines)
	case here && (!strings.Contains(claim, "name:"+name+"incarnation:"+incarnation) || !strings.Contains(claim, "phase:installed")):
		return fmt.Errorf("on %s is noted %q, not %s", m.Name(), claim, id)
	case here && (len(lines) != 1 || !strings.Contains(lines[0], "homeostat run")):
		return fmt.Errorf("on %s run %q, not one sidecar", m.Name(), lines)
	}
	return nil
}

// blank are the machines' files.
func (p *pool) blank() map[string][]string {
	p.t.Helper()
	all := map[string][]string{}
	for _, m := range p.machines {
		all[m.Name()] = p.files(m)
	}
	return all
}

// claims are those on machines that aren't free: a failed one is taken again.
func (p *pool) claims(ctx context.Context) ([]fleet.Host, error) {
	hosts, err := p.fleet.Hosts(ctx)
	return slices.DeleteFunc(hosts, func(h fleet.Host) bool { return h.State == fleet.HostFailed }), err
}

// gone waits until nothing is left of any cell, on any machine and in Consul.
func (p *pool) gone(before map[string][]string) {
	p.t.Helper()
	p.await("nothing left", func(ctx context.Context) error {
		members, err := p.fleet.Members(ctx, "pod")
		if err != nil || len(members) > 0 {
			return fmt.Errorf("members %v: %w", members, err)
		}
		hosts, err := p.claims(ctx)
		if err != nil || len(hosts) > 0 {
			return fmt.Errorf("claimed is %+v: %w", hosts, err)
		}
		for _, m := range p.machines {
			if err := p.holds(ctx, m, "", false); err != nil {
				return err
			}
			if diff := cmp.Diff(before[m.Name()], p.files(m)); diff != "" {
				return fmt.Errorf("machine %s isn't as it was (-before +after)\n%s", m.Name(), diff)
			}
		}
		return nil
	})
}

// noState fails the test if the state holds a cell.
func (p *pool) noState() {
	p.t.Helper()
	if state, err := p.stateCells(); err != nil && !errors.Is(err, os.ErrNotExist) || len(state) > 0 {
		p.t.Errorf("in the state are %v, %v", state, err)
	}
}

// unlock takes away the note that a killed Terraform leaves beside a local state.
func (p *pool) unlock() {
	p.t.Helper()
	if err := os.Remove(filepath.Join(p.module(), ".terraform.tfstate.lock.info")); err != nil && !errors.Is(err, os.ErrNotExist) {
		p.t.Fatal(err)
	}
}

// appears waits for a file of a machine, looking often.
func (p *pool) appears(m *testkit.Machine, pattern string) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		path, err := m.Path(pattern)
		if err != nil {
			continue // it boots
		}
		if found, _ := filepath.Glob(path); len(found) > 0 {
			return
		}
	}
	p.t.Fatalf("no %s comes to be on %s", pattern, m.Name())
}

// on runs a shell command on a machine, from outside.
func (p *pool) on(m *testkit.Machine, command string) string {
	p.t.Helper()
	out, err := m.Exec(p.t.Context(), "sh", "-c", command)
	p.must(err)
	return out
}

// faultyPool is a pool that births are cut in, ready for an apply.
func faultyPool(t *testing.T, o poolOptions) *pool {
	t.Helper()
	if o.Machines == 0 {
		o.Machines = 1
	}
	if o.User == "" {
		o.User = "birth"
	}
	o.Reuse = true
	p := newPool(t, o)
	p.want("pod-1")
	return p
}

// TestSSHKeyIsLate has sshd come up before the key is there.
func TestSSHKeyIsLate(t *testing.T) {
	p := faultyPool(t, poolOptions{Machine: testkit.MachineSpec{LateKey: true}})
	m := p.machines[0]
	apply := p.begin()
	p.await("a try that is refused", func(ctx context.Context) error {
		_, err := m.Exec(ctx, "sh", "-c", "journalctl --no-pager -u ssh | grep -q 'Connection .*preauth'")
		return err
	})
	p.must(m.LetIn(t.Context()))
	apply.succeeds()
	p.born("pod-1")
}

// TestSSHHostKeyChanged has a machine show another host key than the pinned one.
func TestSSHHostKeyChanged(t *testing.T) {
	p := faultyPool(t, poolOptions{})
	m := p.machines[0]
	before := p.blank()
	fingerprint := "ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2"
	pinned := strings.TrimSpace(p.on(m, fingerprint))
	p.on(m, "cp -r /etc/ssh /root/ssh && rm /etc/ssh/ssh_host_* && ssh-keygen -q -A && systemctl restart ssh")
	shown := strings.TrimSpace(p.on(m, fingerprint))
	p.begin().fails("the machine's host key is not the pinned one", "shows "+shown, "pinned is "+pinned, "nothing of this birth is left")
	p.noState()
	p.on(m, "rm /etc/ssh/ssh_host_* && cp -p /root/ssh/ssh_host_* /etc/ssh/ && rm -r /root/ssh && systemctl restart ssh")
	p.gone(before)
	p.begin().succeeds()
	p.born("pod-1")
}

// TestSSHWrongKey has a birth use a key that the machine doesn't know.
func TestSSHWrongKey(t *testing.T) {
	p := faultyPool(t, poolOptions{})
	before := p.blank()
	right, err := os.ReadFile(p.key)
	p.must(err)
	wrong, _ := newKey(t)
	p.write("key", wrong)
	p.edit("pod/main.tf", `create = "3m"`, `create = "10s"`)
	p.begin().fails("get into birth@"+p.machines[0].Addr(), "authenticating", "sshd answers, but refuses the key SHA256:", "it took longer than timeouts.create = 10s")
	p.noState()
	p.gone(before)
	p.write("key", string(right))
	p.edit("pod/main.tf", `create = "10s"`, `create = "3m"`)
	p.begin().succeeds()
	p.born("pod-1")
}
