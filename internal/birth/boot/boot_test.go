package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	// patient is how long a test waits for what must come.
	patient = 2 * time.Minute
	secret  = "correct horse battery staple"
	lent    = "[default] and what lets it fetch"
)

// rig is one birth: a ticket, a store with what is published, and Consul.
type rig struct {
	t      *testing.T
	ctx    context.Context
	consul *testkit.ConsulServer
	fleet  *fleet.Client
	ticket Ticket
	order  Order

	machines int
	awaited  string // the machine that is waited for, empty for any
}

// newRig is a rig over the Consul that all tests share, for a test that runs beside
// others.
func newRig(t *testing.T, commands ...[]string) *rig {
	t.Helper()
	t.Parallel()
	return rigOn(t, testkit.SharedConsul(t), commands...)
}

// rigOn issues a ticket and publishes a cell with these commands. Each has a folder
// of its own in Consul.
func rigOn(t *testing.T, consul *testkit.ConsulServer, commands ...[]string) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	t.Cleanup(cancel)
	r := &rig{t: t, ctx: ctx, consul: consul}
	prefix := "test-" + strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	var err error
	r.fleet, err = fleet.New(fleet.Config{Addresses: []string{consul.Addr()}, Prefix: prefix})
	r.must(err)
	t.Cleanup(r.fleet.Close)
	r.ticket, err = NewTicket("pod", "pod-1", "i1")
	r.must(err)
	store, b := publish(ctx, t, commands)
	r.order = Order{
		Ticket: r.ticket, Consul: []string{consul.Addr()}, Prefix: prefix, Store: store, Bundle: b.Digest(), Genome: b.Manifest.Genome,
		Environment: map[string]string{"COLOUR": "green"}, Deadline: time.Now().Add(patient),
	}
	r.must(Issue(ctx, r.fleet, r.ticket, time.Now().Add(patient)))
	return r
}

// publish puts a bundle into a folder.
func publish(ctx context.Context, t *testing.T, commands [][]string) (store string, b *bundle.Bundle) {
	t.Helper()
	dir := t.TempDir()
	genome := "command = [\"sleep\", \"1000\"]\nfile \"/etc/app.conf\" {\n  content = \"for the cell\"\n}\n"
	for _, c := range commands {
		genome += fmt.Sprintf("run {\n  command = [%s]\n}\n", `"`+strings.Join(c, `", "`)+`"`)
	}
	for name, text := range map[string]string{"homeostat.hcl": "# the policy\n", "pod/main.tf": "# the module\n", "pod.genome.hcl": genome} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	b, err := bundle.Build(ctx, bundle.Source{
		Service: "pod", Policy: filepath.Join(dir, "homeostat.hcl"), Module: filepath.Join(dir, "pod"),
		Files: []string{filepath.Join(dir, "pod/main.tf")}, Genome: filepath.Join(dir, "pod.genome.hcl"),
	})
	must(t, err)
	store = filepath.Join(dir, "store")
	s, err := bundle.OpenStore(store)
	must(t, err)
	_, err = s.Put(ctx, b)
	must(t, err)
	return store, b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) must(err error) {
	r.t.Helper()
	must(r.t, err)
}

// machine is one below a folder.
type machine struct {
	Newborn
	id        string
	orderFile string
	off       int

	mu      sync.Mutex
	console []string
}

// machine makes one that has an order in its user data.
func (r *rig) machine() *machine {
	r.t.Helper()
	r.machines++
	m := &machine{id: fmt.Sprintf("i-%d", r.machines)}
	root := r.t.TempDir()
	m.orderFile = filepath.Join(root, orderFile)
	log := slog.New(slog.NewTextHandler(testWriter{r.t}, nil))
	m.Newborn = Newborn{
		Machine:  &install.Machine{Root: root, Log: log, Systemd: func(context.Context, ...string) error { return nil }},
		PowerOff: func(context.Context) error { m.off++; return nil },
		Console: func(line string) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.console = append(m.console, line)
		},
		Log: log,
	}
	// What a genome would bring, where it isn't in the image.
	r.must(os.MkdirAll(filepath.Join(root, filepath.Dir(install.Program)), 0o755))
	r.must(os.WriteFile(filepath.Join(root, install.Program), nil, 0o755))
	files, err := userData(r.order, Program{URL: "http://127.0.0.1/program", SHA256: strings.Repeat("a", 64)})
	r.must(err)
	for _, f := range append(files, file{path: "/etc/machine-id", text: "0123\n"}, file{path: identityFiles[0], text: m.id + "\n"}) {
		r.must(os.MkdirAll(filepath.Dir(filepath.Join(root, f.path)), 0o755))
		r.must(os.WriteFile(filepath.Join(root, f.path), []byte(f.text), 0o600))
	}
	return m
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (m *machine) boot(ctx context.Context) error { return m.Boot(ctx, m.orderFile) }

// said is what stands on the console.
func (m *machine) said() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.console, "\n")
}

// read is a file of the machine, "" where there is none.
func (m *machine) read(path string) string {
	text, err := os.ReadFile(filepath.Join(m.Machine.Root, path))
	if err != nil {
		return ""
	}
	return string(text)
}

// begin runs something beside the test and returns what waits for its error.
func (r *rig) begin(run func() error) (wait func() error) {
	r.t.Helper()
	done := make(chan error, 1)
	go func() { done <- run() }()
	return func() error {
		r.t.Helper()
		select {
		case err := <-done:
			return err
		case <-time.After(patient + 10*time.Second):
			r.t.Fatal("it doesn't end")
			return nil
		}
	}
}

func (r *rig) secrets() map[string]string {
	return map[string]string{"consul-token": secret, CredentialsSecret: lent}
}

// receive is the birth's side, which notes what it is told.
func (r *rig) receive(ctx context.Context, told func(Progress)) (wait func() error, steps func() []Progress) {
	r.t.Helper()
	var mu sync.Mutex
	var all []Progress
	wait = r.begin(func() error {
		return Receive(ctx, r.fleet, r.ticket, r.awaited, r.secrets(), func(p Progress) {
			mu.Lock()
			all = append(all, p)
			mu.Unlock()
			if told != nil {
				told(p)
			}
		})
	})
	return wait, func() []Progress {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// born checks that a machine has become its cell, and that nothing else is left.
func (r *rig) born(m *machine) {
	r.t.Helper()
	claim, err := m.Machine.Claim()
	if err != nil || claim == nil || claim.ID() != "pod-1.i1" || claim.Phase != install.Installed || !claim.PowerOff {
		r.t.Errorf("claim %+v, %v", claim, err)
	}
	if got := m.read("/etc/homeostat/secrets/consul-token"); got != secret {
		r.t.Errorf("the secret is %q", got)
	}
	for _, path := range []string{directory, unitFile, "/etc/homeostat/secrets/" + CredentialsSecret, "/run/homeostat/" + CredentialsSecret} {
		if _, err := os.Lstat(filepath.Join(m.Machine.Root, path)); !errors.Is(err, os.ErrNotExist) {
			r.t.Errorf("%s is left: %v", path, err)
		}
	}
	if m.off != 0 {
		r.t.Errorf("it was powered off: %s", m.said())
	}
	r.is(Done)
	mails, err := r.fleet.JoinMails(r.ctx, r.ticket.ID())
	if err != nil || len(mails) != 0 {
		r.t.Errorf("Consul still holds %v, %v", mails, err)
	}
}

// gone checks that a machine has powered itself off and said why.
func (r *rig) gone(m *machine, err error, why string) {
	r.t.Helper()
	if err != nil || m.off != 1 || !strings.Contains(m.said(), why) {
		r.t.Errorf("%v; powered off %d times; wanted %q on the console:\n%s", err, m.off, why, m.said())
	}
	if text := m.read("/etc/homeostat/secrets/consul-token"); text != "" {
		r.t.Errorf("it has the secret")
	}
}

func (r *rig) is(want TicketState) {
	r.t.Helper()
	if got, err := State(r.ctx, r.fleet, r.ticket); err != nil || got != want {
		r.t.Errorf("the ticket is %q, %v; want %q", got, err, want)
	}
}

// TestBirth has a machine become a cell. No secret and no token stands where others
// can read it at any step.
func TestBirth(t *testing.T) {
	r := newRig(t)
	m := r.machine()
	r.is(Open)
	look := func(Progress) {
		for _, key := range r.everything() {
			if strings.Contains(key, secret) || strings.Contains(key, r.ticket.Token) {
				t.Errorf("Consul holds a secret: %s", key)
			}
		}
		for _, path := range []string{orderFile, stateFile} {
			if text := m.read(path); strings.Contains(text, secret) || strings.Contains(text, r.ticket.Token) {
				t.Errorf("%s holds a secret", path)
			}
		}
	}
	received, steps := r.receive(r.ctx, look)
	must(t, m.boot(r.ctx))
	must(t, received())
	r.born(m)
	var names []string
	for _, s := range steps() {
		if !strings.HasPrefix(s.Step, "write /") {
			names = append(names, s.Step)
		}
	}
	want := []string{"machine", "joined", "fetch what is", "verify", "write the cell's settings", "start the cell", "installed"}
	if !slices.EqualFunc(names, want, strings.HasPrefix) {
		t.Errorf("steps %q, want %q", names, want)
	}
	env := m.read("/etc/homeostat/cell.env")
	for _, line := range []string{`COLOUR="green"`, `HOMEOSTAT_CELL="pod-1"`, `HOMEOSTAT_INCARNATION="i1"`, `HOMEOSTAT_GENOME="` + r.order.Genome, `HOMEOSTAT_ADDRESS="127.0.0.1"`} {
		if !strings.Contains(env, line) {
			t.Errorf("the environment has no %s:\n%s", line, env)
		}
	}
	// Whoever reads the user data now can do nothing with it.
	late := r.machine()
	r.gone(late, late.boot(r.ctx), ErrUsed.Error())
	// That the birth is repeated after all was done is no error.
	must(t, Receive(r.ctx, r.fleet, r.ticket, "", r.secrets(), nil))
	must(t, Revoke(r.ctx, r.fleet, r.ticket))
	r.is(Unknown)
	if all := r.everything(); len(all) != 0 {
		t.Errorf("Consul still holds %v", all)
	}
}

// everything is what Consul holds of the rig's, keys and values.
func (r *rig) everything() []string {
	api, err := r.consul.Client()
	if err != nil {
		r.t.Error(err)
		return nil
	}
	pairs, _, err := api.KV().List(r.order.Prefix+"/", nil)
	if err != nil {
		r.t.Error(err)
	}
	var all []string
	for _, p := range pairs {
		all = append(all, p.Key+" "+string(p.Value))
	}
	return all
}
