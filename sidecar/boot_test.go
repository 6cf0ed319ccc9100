package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/boot"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/peer"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// bootHouse is a house whose cells are born by the first boot of blank machines.
type bootHouse struct {
	*house
	net    *testkit.MachineNet
	web    *httptest.Server // serves the store to the machines' network
	ticket boot.Ticket
	order  boot.Order
	begin  boot.Program
	steps  chan boot.Progress
}

// newBootHouse publishes a cell, with more in its genome, and issues a ticket for it.
func newBootHouse(t *testing.T, genome string) *bootHouse {
	t.Helper()
	needServers(t)
	t.Parallel()
	b := &bootHouse{net: testkit.MachinesFor(t, 1), steps: make(chan boot.Progress, 100)}
	b.house = newHouse(t, houseOptions{
		Address: b.net.Gateway(), Module: "variable \"desired_count\" {}\nvariable \"cell_names\" {}\n", Above: "bundle = \"bundles\"\npeers { key_file = \"peers.key\" }\n",
		Policy: "\n  genome = \"pod.genome.hcl\"\n",
	})
	writeKey(t, filepath.Join(b.dir, "peers.key"), "first")
	b.write("pod.genome.hcl", fmt.Sprintf(`
command     = ["sleep", "100000"]
environment = { HOMEOSTAT_PEERS_KEY_FILE = "/etc/homeostat/secrets/peers-key" }
file "/usr/local/bin/homeostat" {
  source = %q
  mode   = "0755"
}
%s
`, b.program, genome))
	b.succeed("publish", "pod")
	published, err := b.fleet.Published(t.Context(), "pod")
	b.must(err)
	b.serve()
	b.ticket, err = boot.NewTicket("pod", "pod-1", "i1")
	b.must(err)
	b.begin = boot.Program{SHA256: sumOf(t, b.program)}
	b.begin.URL = b.web.URL + "/blobs/" + b.begin.SHA256
	b.order = boot.Order{
		Ticket: b.ticket, Consul: []string{b.consulAt(b.net.Gateway())}, Bundle: published.Bundle, Genome: published.Genome,
		Store: b.web.URL, Deadline: time.Now().Add(10 * time.Minute),
	}
	b.must(boot.Issue(t.Context(), b.fleet, b.ticket, b.order.Deadline))
	return b
}

// serve has machines fetch from the store.
func (b *bootHouse) serve() {
	b.t.Helper()
	listener, err := new(net.ListenConfig).Listen(b.t.Context(), "tcp", net.JoinHostPort(b.net.Gateway(), "0"))
	b.must(err)
	b.web = httptest.NewUnstartedServer(http.FileServer(http.Dir(filepath.Join(b.dir, "bundles"))))
	b.must(b.web.Listener.Close())
	b.web.Listener = listener
	b.web.Start()
	b.t.Cleanup(b.web.Close)
}

func sumOf(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// boot boots a machine with user data.
func (b *bootHouse) boot(render func(boot.Order, boot.Program) (string, error)) *testkit.Machine {
	b.t.Helper()
	text, err := render(b.order, b.begin)
	b.must(err)
	m := b.net.Boot(testkit.MachineSpec{UserData: text})
	b.t.Cleanup(func() { b.show(m) })
	return m
}

// show tells what a machine of a failed test says.
func (b *bootHouse) show(m *testkit.Machine) {
	if !b.t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := m.Exec(ctx, "sh", "-c", "cat /var/lib/homeostat/cell.json; ls -lR /var/lib/homeostat/boot; journalctl --no-pager -n 80; cat /var/log/cloud-init-output.log")
	b.t.Logf("machine %s: %v\n%s", m.Name(), err, out)
}

// receive waits for the machine as Terraform's provider does.
func (b *bootHouse) receive() (wait func() error) { return b.receiveFrom("") }

// receiveFrom waits for the machine of that id.
func (b *bootHouse) receiveFrom(machine string) (wait func() error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Minute)
	done := make(chan error, 1)
	key := b.read("peers.key")
	go func() {
		done <- boot.Receive(ctx, b.fleet, b.ticket, machine, map[string]string{"peers-key": key}, func(p boot.Progress) {
			b.t.Logf("%s: %s", p.At.Format(time.TimeOnly), p)
			b.steps <- p
		})
	}()
	b.t.Cleanup(cancel)
	return sync.OnceValue(func() error { return <-done })
}

func (b *bootHouse) read(name string) string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	b.must(err)
	return string(text)
}

// lives waits until the cell is passing, and checks that nothing but it is on its
// machine.
func (b *bootHouse) lives(m *testkit.Machine) {
	b.t.Helper()
	b.await("the cell is passing", func(ctx context.Context) error {
		member, err := b.fleet.Member(ctx, "pod", "pod-1")
		if err != nil {
			return err
		}
		if member.Health != fleet.Passing || member.Incarnation != "i1" || member.Address != m.Address() || member.Genome != b.order.Genome {
			return fmt.Errorf("%+v", member)
		}
		return nil
	})
	b.await("its birth has left nothing", func(ctx context.Context) error { return clean(ctx, m) })
	// A machine that ends after the birth has told systemd to run it no more keeps what
	// was to be removed then; the sidecar does that.
	_, err := m.Exec(b.t.Context(), "sh", "-c", "mkdir /var/lib/homeostat/boot && touch /var/lib/homeostat/boot/start /etc/systemd/system/homeostat-boot.service")
	b.must(err)
	b.await("the rest of it is removed", func(ctx context.Context) error { return clean(ctx, m) })
	out, err := m.Exec(b.t.Context(), "sh", "-c", "cat /etc/homeostat/secrets/peers-key; systemctl is-active homeostat; systemctl is-active homeostat-boot || true")
	if want := b.read("peers.key") + "active\ninactive\n"; err != nil || out != want {
		b.t.Errorf("%v: %q, want %q", err, out, want)
	}
}

// TestBirthByBoot has blank machines become a cell by what each runs at its first
// boot, in both forms of user data. Nobody gets in.
func TestBirthByBoot(t *testing.T) {
	t.Parallel()
	for name, render := range map[string]func(boot.Order, boot.Program) (string, error){"cloud-config": boot.CloudConfig, "shell": boot.Shell} {
		t.Run(name, func(t *testing.T) {
			b := newBootHouse(t, "")
			m := b.boot(render)
			received := b.receiveFrom(m.ID())
			b.must(received())
			b.lives(m)
			b.keepsSecrets(m)
			// Nothing of the ticket is worth anything now, and the cell lives on when the
			// machine boots again.
			b.must(m.Reboot(t.Context()))
			b.lives(m)
			b.leaves(m)
		})
	}
}

// leaves orders the cell to leave, after which its machine powers itself off.
func (b *bootHouse) leaves(m *testkit.Machine) {
	b.t.Helper()
	keys, err := peer.ReadKeys(filepath.Join(b.dir, "peers.key"), slog.New(slog.DiscardHandler))
	b.must(err)
	boss, err := fleet.New(fleet.Config{Addresses: []string{b.consul.Addr()}, Peers: keys})
	b.must(err)
	b.t.Cleanup(boss.Close)
	b.must(boss.OrderLeave(b.t.Context(), "pod", fleet.LeaveOrder{Cell: "pod-1", Incarnation: "i1", Reason: "the test", By: "the test"}))
	b.await("it has left and is off", func(ctx context.Context) error {
		answer, err := boss.LeaveAnswer(ctx, "pod", "pod-1")
		if err != nil || answer == nil || answer.Phase != fleet.LeaveLeft || m.On() {
			return fmt.Errorf("its last word is %+v, %w; on: %v", answer, err, m.On())
		}
		return nil
	})
}

// TestBirthByBootGoesOn reboots a machine half-way: before it has the program, when
// it has joined, and while it installs.
func TestBirthByBootGoesOn(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"before the program", "joined", "run sh"} {
		t.Run(at, func(t *testing.T) {
			genome := ""
			if at == "run sh" { // it hangs until the machine boots again
				genome = `
run {
  command = ["sh", "-c", "test -e /var/tmp/begun || { touch /var/tmp/begun; sync; sleep 1000; }"]
}
`
			}
			b := newBootHouse(t, genome)
			files, asked := b.web.Config.Handler, make(chan struct{}, 100)
			var shut sync.Map
			b.web.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, is := shut.Load("shut"); is {
					asked <- struct{}{}
					http.Error(w, "not yet", http.StatusServiceUnavailable)
					return
				}
				files.ServeHTTP(w, r)
			})
			if at == "before the program" {
				shut.Store("shut", true)
			}
			received := b.receive()
			m := b.boot(boot.CloudConfig)
			if at == "before the program" {
				b.comes(func() bool { <-asked; return true })
			} else {
				b.comes(func() bool { return strings.HasPrefix((<-b.steps).Step, at) })
			}
			b.must(m.Kill())
			shut.Delete("shut")
			b.must(m.Start(t.Context()))
			b.must(received())
			b.lives(m)
		})
	}
}

// comes waits until something has come that is what is waited for.
func (b *bootHouse) comes(is func() bool) {
	b.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !is() {
		}
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Minute):
		b.t.Fatal("it doesn't come")
	}
}

// keepsSecrets looks for the cell's secret, and for the ticket's token, in all
// places of its machine where others may look. User data has the token, which is
// worth nothing now.
func (b *bootHouse) keepsSecrets(m *testkit.Machine) {
	b.t.Helper()
	const look = `
grep -rlF -e "$0" -e "$1" /etc /root /run /tmp /usr/local /var/tmp /var/log /var/lib --exclude-dir=cloud --exclude-dir=cloud-init
journalctl --no-pager -o cat | grep -F -e "$0" -e "$1"
cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -F -e "$0" -e "$1" | sort -u
true`
	secret := strings.TrimSpace(b.read("peers.key"))
	out, err := m.Exec(b.t.Context(), "sh", "-c", look, secret, b.ticket.Token)
	// What looks for them has them in its own arguments.
	if want := "/etc/homeostat/secrets/peers-key\n" + b.ticket.Token + "\n" + secret + "\n"; err != nil || sorted(out) != sorted(want) {
		b.t.Errorf("%v: the secret and the token are in\n%s", err, out)
	}
}

func sorted(lines string) string {
	all := strings.Split(lines, "\n")
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// TestNobodyWaitsForTheMachine has a machine power itself off whose ticket was
// revoked, and say why on its console.
func TestNobodyWaitsForTheMachine(t *testing.T) {
	b := newBootHouse(t, "")
	m := b.boot(boot.CloudConfig)
	b.await("it has come", func(ctx context.Context) error {
		mails, err := b.fleet.JoinMails(ctx, b.ticket.ID())
		if err == nil && len(mails) == 0 {
			err = fmt.Errorf("nobody said hello")
		}
		return err
	})
	b.must(boot.Revoke(t.Context(), b.fleet, b.ticket))
	b.await("it is off", func(context.Context) error {
		if m.On() {
			return fmt.Errorf("it is on")
		}
		return nil
	})
	console, err := m.Console()
	if err != nil || !strings.Contains(console, boot.ErrUnknown.Error()) {
		t.Errorf("%v; the console says\n%s", err, console)
	}
}
