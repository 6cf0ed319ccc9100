package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// TestOneMachineOnly has two machines come with one ticket at once.
func TestOneMachineOnly(t *testing.T) {
	r := newRig(t)
	machines := []*machine{r.machine(), r.machine()}
	received, _ := r.receive(r.ctx, nil)
	var waits []func() error
	for _, m := range machines {
		waits = append(waits, r.begin(func() error { return m.boot(r.ctx) }))
	}
	for _, wait := range waits {
		must(t, wait())
	}
	must(t, received())
	if machines[0].off == 1 {
		machines[0], machines[1] = machines[1], machines[0]
	}
	r.born(machines[0])
	r.gone(machines[1], nil, ErrUsed.Error())
}

// TestOrphan has a machine come with the ticket that no state knows, before the one
// that is waited for. It gets nothing and ends itself.
func TestOrphan(t *testing.T) {
	r := newRig(t)
	orphan, m := r.machine(), r.machine()
	r.awaited = m.id
	refused := make(chan struct{})
	received, _ := r.receive(r.ctx, func(p Progress) {
		if strings.Contains(p.Step, "("+orphan.id+") came with the ticket and gets nothing: machine "+m.id+" is waited for") {
			close(refused)
		}
	})
	ended := r.begin(func() error { return orphan.boot(r.ctx) })
	select {
	case <-refused:
	case <-r.ctx.Done():
		t.Fatal("nobody tells of it")
	}
	testkit.Await(t, patient, func(context.Context) error {
		if said := orphan.said(); !strings.Contains(said, "the ticket is refused: machine "+m.id+" is waited for") {
			return fmt.Errorf("it said %q", said)
		}
		return nil
	})
	r.is(Open)
	must(t, m.boot(r.ctx))
	must(t, received())
	r.gone(orphan, ended(), ErrUsed.Error())
	r.born(m)
	if err := Receive(r.ctx, r.fleet, r.ticket, orphan.id, r.secrets(), nil); !errors.Is(err, ErrUsed) {
		t.Errorf("another machine is waited for with a ticket that was used: %v", err)
	}
}

// TestSecondMachine has it be told that two machines came with one ticket.
func TestSecondMachine(t *testing.T) {
	r := newRig(t)
	for range 2 {
		m := r.machine()
		l, err := m.begin(m.orderFile)
		must(t, err)
		must(t, r.fleet.PostJoin(r.ctx, r.ticket.ID(), helloMail+l.Contact, l.Hello))
	}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	received, steps := r.receive(ctx, func(p Progress) {
		if p.Second {
			cancel()
		}
	})
	if err := received(); err == nil || !strings.Contains(err.Error(), "a second machine") {
		t.Errorf("%v; told %v", err, steps())
	}
}

// TestOccupiedMachine has a machine come that holds another's cell. The birth is told
// so at once.
func TestOccupiedMachine(t *testing.T) {
	r := newRig(t)
	m := r.machine()
	must(t, os.WriteFile(filepath.Join(m.Machine.Root, install.Home, "cell.json"),
		[]byte(`{"format":1,"service":"pod","name":"pod-2","incarnation":"i1","phase":"installed"}`), 0o600))
	received, _ := r.receive(r.ctx, nil)
	must(t, m.boot(r.ctx))
	if err := received(); !errors.Is(err, ErrGaveUp) || !strings.Contains(err.Error(), errOccupied.Error()) {
		t.Errorf("the birth says: %v", err)
	}
	if m.off != 0 {
		t.Errorf("it was powered off: %s", m.said())
	}
}

// TestMachineWithoutID has a machine come that can't tell which it is, or tells it in
// other letters.
func TestMachineWithoutID(t *testing.T) {
	h := hello{Host: "one", IDs: []string{"EC2A-FF"}}
	for machine, want := range map[string]bool{"": true, "ec2a-ff": true, "i-1": false} {
		if h.is(machine) != want {
			t.Errorf("it is %q: %v, want %v", machine, !want, want)
		}
	}
	if (hello{}).is("i-1") || !strings.Contains(hello{Host: "one"}.name(), "knows no id") {
		t.Error("a machine without an id is taken for one")
	}
}

// TestForgers has others write where machines and births speak. The machine that
// knows the token becomes the cell all the same, and the operator is told.
func TestForgers(t *testing.T) {
	r := newRig(t)
	other, err := NewTicket(r.ticket.Service, r.ticket.Name, r.ticket.Incarnation)
	must(t, err)
	forger := &rig{t: t, ctx: r.ctx, ticket: other, order: r.order}
	forger.order.Ticket = other
	stolen, err := forger.machine().newState(forger.order)
	must(t, err)
	post := func(name, text string) { must(t, r.fleet.PostJoin(r.ctx, r.ticket.ID(), name, []byte(text))) }
	post(helloMail+stolen.Contact, string(stolen.Hello))
	for k := range 2 * mostIgnored {
		post(fmt.Sprintf("hello/nonsense-%d", k), "nonsense")
	}
	m := r.machine()
	l, err := m.begin(m.orderFile)
	must(t, err)
	post(answerMail+l.Contact, `{"sealed":"eA==","mac":"eA=="}`)
	post(progressMail+l.Contact, `{"report":{"steps":[{"step":"installed","done":true}]},"mac":"eA=="}`)
	received, steps := r.receive(r.ctx, nil)
	must(t, m.boot(r.ctx))
	must(t, received())
	r.born(m)
	ignored := 0
	for _, s := range steps() {
		if strings.HasPrefix(s.Step, "a contact is ignored") {
			ignored++
		}
	}
	if ignored != mostIgnored {
		t.Errorf("%d contacts were told to be ignored, want %d: %v", ignored, mostIgnored, steps())
	}
}

// TestForgedHelloOfAnotherLife takes a ticket for another life of the cell, whose
// token is known.
func TestForgedHelloOfAnotherLife(t *testing.T) {
	r := newRig(t)
	changed := r.order
	changed.Ticket.Incarnation = "i2"
	s, err := r.machine().newState(changed)
	must(t, err)
	if _, err := readHello(r.ticket, s.Contact, s.Hello); err == nil {
		t.Error("a hello for i2 is taken for one for i1")
	}
}

// TestNobodyWaits has machines power themselves off where they can't become a cell.
func TestNobodyWaits(t *testing.T) {
	was := unknownFor
	unknownFor = time.Second
	t.Cleanup(func() { unknownFor = was })
	for _, c := range []struct {
		name, why string
		prepare   func(*rig)
	}{
		{"expired", ErrExpired.Error(), func(r *rig) { r.must(Issue(r.ctx, r.fleet, r.ticket, time.Now().Add(-time.Hour))) }},
		{"revoked", ErrUnknown.Error(), func(r *rig) { r.must(Revoke(r.ctx, r.fleet, r.ticket)) }},
		{"nobody answers", errDeadline.Error(), func(r *rig) { r.order.Deadline = time.Now().Add(3 * time.Second) }},
		{"no Consul", "unreachable", func(r *rig) {
			r.order.Consul, r.order.Deadline = []string{"127.0.0.1:1"}, time.Now().Add(3*time.Second)
		}},
		{"too late", errDeadline.Error(), func(r *rig) { r.order.Deadline = time.Now().Add(-time.Hour) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			c.prepare(r)
			m := r.machine()
			r.gone(m, m.boot(r.ctx), c.why)
			mails, err := r.fleet.JoinMails(r.ctx, r.ticket.ID())
			must(t, err)
			if c.why == ErrUnknown.Error() && len(mails) > 0 {
				t.Errorf("it has left %v", mails)
			}
		})
	}
}

// TestRevokedWhileItBoots has a machine end while it asks whether its ticket is still
// worth something. Nobody would take away what it had said over it.
func TestRevokedWhileItBoots(t *testing.T) {
	r := newRig(t)
	must(t, Revoke(r.ctx, r.fleet, r.ticket))
	ctx, cancel := context.WithTimeout(r.ctx, 3*lookEvery)
	defer cancel()
	if err := r.machine().boot(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("it ended before it was cut: %v", err)
	}
	mails, err := r.fleet.JoinMails(r.ctx, r.ticket.ID())
	must(t, err)
	if len(mails) > 0 {
		t.Errorf("it has left %s", mails[0].Name)
	}
}

// TestReceiveRefuses has no machine be waited for with a ticket that is none.
func TestReceiveRefuses(t *testing.T) {
	r := newRig(t)
	must(t, Issue(r.ctx, r.fleet, r.ticket, time.Now().Add(-time.Second)))
	r.is(Expired)
	if err := Receive(r.ctx, r.fleet, r.ticket, "", nil, nil); !errors.Is(err, ErrExpired) {
		t.Errorf("expired: %v", err)
	}
	must(t, Revoke(r.ctx, r.fleet, r.ticket))
	if err := Receive(r.ctx, r.fleet, r.ticket, "", nil, nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("revoked: %v", err)
	}
	must(t, Issue(r.ctx, r.fleet, r.ticket, time.Now().Add(patient)))
	ctx, cancel := context.WithTimeoutCause(r.ctx, 2*time.Second, errors.New("it took too long"))
	defer cancel()
	err := Receive(ctx, r.fleet, r.ticket, "", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "it took too long; no machine has come") {
		t.Errorf("nobody came: %v", err)
	}
}

// TestCutAnywhere ends both sides, again and again, at each step that is told, and
// has them begin anew. One cell comes of it.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	const steps = 13 // a birth has as many
	for at := range steps {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			r := newRig(t)
			m := r.machine()
			ctx, cut := context.WithCancel(r.ctx)
			defer cut()
			k := 0
			received, _ := r.receive(ctx, func(Progress) {
				if k++; k > at {
					cut()
				}
			})
			booted := r.begin(func() error { return m.boot(ctx) })
			first, second := received(), booted()
			t.Logf("cut: birth %v, machine %v", first, second)
			if m.off != 0 {
				t.Fatalf("it was powered off: %s", m.said())
			}
			received, _ = r.receive(r.ctx, nil)
			must(t, m.boot(r.ctx))
			must(t, received())
			r.born(m)
		})
	}
}

// TestConsulAway has Consul be away while a machine joins, and while it installs.
func TestConsulAway(t *testing.T) {
	t.Parallel()
	consul := testkit.Consul(t)
	flag := filepath.Join(t.TempDir(), "back")
	r := rigOn(t, consul, []string{"sh", "-c", fmt.Sprintf("until test -e %s; do sleep 0.1; done", flag)})
	m := r.machine()
	must(t, consul.Stop())
	installing := make(chan struct{}, 1)
	received, _ := r.receive(r.ctx, func(p Progress) {
		if strings.HasPrefix(p.Step, "run sh") {
			installing <- struct{}{}
		}
	})
	booted := r.begin(func() error { return m.boot(r.ctx) })
	must(t, consul.Start(r.ctx))
	select {
	case <-installing:
	case <-r.ctx.Done():
		t.Fatal("it isn't installing")
	}
	must(t, consul.Stop())
	must(t, os.WriteFile(flag, nil, 0o600))
	testkit.Await(t, patient, func(context.Context) error {
		if claim, err := m.Machine.Claim(); err != nil || claim == nil || claim.Phase != install.Installed {
			return fmt.Errorf("not installed: %+v, %w", claim, err)
		}
		return nil
	})
	must(t, consul.Start(r.ctx))
	must(t, booted())
	must(t, received())
	r.born(m)
}

// TestFailedInstall tells why an install fails, without the secret that a command
// has printed, and installs when that is put right.
func TestFailedInstall(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "right")
	r := newRig(t, []string{"sh", "-c", fmt.Sprintf("echo it says %s; test -e %s", secret, flag)})
	m := r.machine()
	var failure Progress
	received, _ := r.receive(r.ctx, func(p Progress) {
		if p.Error != "" {
			failure = p
			if err := os.WriteFile(flag, nil, 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	must(t, m.boot(r.ctx))
	must(t, received())
	r.born(m)
	if !strings.Contains(failure.Error, "exit status 1") || failure.Output != "it says ***" {
		t.Errorf("told: %q, output %q", failure.Error, failure.Output)
	}
	if strings.Contains(m.said(), secret) {
		t.Errorf("the console shows the secret: %s", m.said())
	}
}

// TestFailedForGood has a machine end itself when it can't be installed in time, and
// the birth know why.
func TestFailedForGood(t *testing.T) {
	r := newRig(t, []string{"sh", "-c", "echo no space; exit 3"})
	r.order.Deadline = time.Now().Add(12 * time.Second)
	m := r.machine()
	received, _ := r.receive(r.ctx, nil)
	if err := m.boot(r.ctx); err != nil || m.off != 1 {
		t.Errorf("%v, off %d", err, m.off)
	}
	if err := received(); !errors.Is(err, ErrGaveUp) || !strings.Contains(err.Error(), "no space") {
		t.Errorf("the birth says: %v", err)
	}
}

// TestSidecarThatEnds tells of a sidecar that doesn't stay up, and has it begin
// again.
func TestSidecarThatEnds(t *testing.T) {
	r := newRig(t)
	m := r.machine()
	looked := 0
	m.Machine.Systemd = func(_ context.Context, args ...string) error {
		if args[0] == "is-active" {
			if looked++; looked == 1 {
				return errors.New("it is activating")
			}
		}
		return nil
	}
	received, steps := r.receive(r.ctx, nil)
	must(t, m.boot(r.ctx))
	must(t, received())
	r.born(m)
	if all := fmt.Sprint(steps()); !strings.Contains(all, "the cell's sidecar doesn't stay up") {
		t.Errorf("told %s", all)
	}
}

// TestWrongClock has a machine whose clock is ten minutes ahead become a cell: its
// time counts from its boot on.
func TestWrongClock(t *testing.T) {
	r := newRig(t)
	r.order.Deadline, r.order.Lifetime = time.Now().Add(-8*time.Minute), 120
	m := r.machine()
	must(t, os.MkdirAll(filepath.Join(m.Machine.Root, "proc"), 0o755))
	must(t, os.WriteFile(filepath.Join(m.Machine.Root, "proc/uptime"), []byte("10.52 20.11\n"), 0o644))
	received, _ := r.receive(r.ctx, nil)
	must(t, m.boot(r.ctx))
	must(t, received())
	r.born(m)
	if left := time.Until(m.until(r.order, time.Now())); left < 100*time.Second || left > 110*time.Second {
		t.Errorf("it has %v left", left)
	}
	must(t, os.WriteFile(filepath.Join(m.Machine.Root, "proc/uptime"), []byte("121.0 20.11\n"), 0o644))
	if until := m.until(r.order, time.Now()); !until.Equal(r.order.Deadline) {
		t.Errorf("a machine that runs for longer ends itself at %v", until)
	}
}

// TestLivingIsNotTouched has no machine be powered off on which a cell lives.
func TestLivingIsNotTouched(t *testing.T) {
	r := newRig(t)
	m := r.machine()
	received, _ := r.receive(r.ctx, nil)
	must(t, m.boot(r.ctx))
	must(t, received())

	t.Run("of another", func(t *testing.T) {
		other := &rig{t: t, ctx: r.ctx, consul: r.consul, fleet: r.fleet, order: r.order}
		other.order.Deadline = time.Now().Add(-time.Hour)
		other.order.Ticket.Name = "pod-2"
		o := other.machine()
		o.Machine.Root, o.orderFile = m.Machine.Root, filepath.Join(m.Machine.Root, "order")
		must(t, os.WriteFile(o.orderFile, []byte(mustJSON(t, other.order)), 0o600))
		if err := o.boot(r.ctx); err != nil || o.off != 0 || !strings.Contains(o.said(), errOccupied.Error()) {
			t.Errorf("%v, off %d, said %s", err, o.off, o.said())
		}
	})
	t.Run("its own, later", func(t *testing.T) {
		late := r.order
		late.Deadline = time.Now().Add(-time.Hour)
		s, err := m.newState(late)
		must(t, err)
		must(t, m.writeState(s))
		must(t, m.boot(r.ctx))
		r.born(m)
	})
	t.Run("its own, later, and nobody was told", func(t *testing.T) {
		must(t, Revoke(r.ctx, r.fleet, r.ticket))
		must(t, Issue(r.ctx, r.fleet, r.ticket, time.Now().Add(patient)))
		late := r.order
		late.Deadline = time.Now().Add(-time.Hour)
		s, err := m.newState(late)
		must(t, err)
		must(t, m.writeState(s))
		_, err = r.fleet.AdmitContact(r.ctx, r.ticket.ID(), s.Contact, "")
		must(t, err)
		must(t, m.boot(r.ctx))
		must(t, Receive(r.ctx, r.fleet, r.ticket, "", r.secrets(), nil))
		r.born(m)
	})
	t.Run("its own, between two starts", func(t *testing.T) {
		must(t, Revoke(r.ctx, r.fleet, r.ticket))
		late := r.order
		late.Deadline = time.Now().Add(-time.Hour)
		s, err := m.newState(late)
		must(t, err)
		must(t, m.writeState(s))
		was := m.Machine.Systemd
		m.Machine.Systemd = func(ctx context.Context, args ...string) error {
			if args[0] == "is-active" {
				return errors.New("it is activating")
			}
			return was(ctx, args...)
		}
		must(t, m.boot(r.ctx))
		m.Machine.Systemd = was
		if m.off != 0 || !strings.Contains(m.said(), "doesn't stay up") {
			t.Errorf("off %d, said %s", m.off, m.said())
		}
		must(t, Issue(r.ctx, r.fleet, r.ticket, time.Now().Add(patient)))
		must(t, Settle(r.ctx, r.fleet, r.ticket, ""))
		r.born(m)
	})
	t.Run("remains", func(t *testing.T) {
		must(t, os.MkdirAll(filepath.Join(m.Machine.Root, directory), 0o700))
		must(t, m.boot(r.ctx))
		r.born(m)
	})
}
