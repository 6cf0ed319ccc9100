package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/cloud"
)

// yard boots a real machine for each file of user data in a folder, as an
// infrastructure does whose books are that folder. A file that is gone ends its
// machine; one that powers itself off stays off.
type yard struct {
	t      *testing.T
	net    *testkit.MachineNet
	folder string

	mu       sync.Mutex
	machines map[string]*testkit.Machine // by id
	booting  map[string]bool
	broken   map[string]bool            // taken away though they stand in the books
	claims   map[string]map[string]bool // of each life of a cell, the machines that claimed it
	booted   int
}

// yardMachine is what its machines are like. Their disks are small, so that one can
// be filled.
var yardMachine = testkit.MachineSpec{Disk: 400 << 20}

func newYard(t *testing.T, machines int) *yard {
	t.Helper()
	y := &yard{
		t: t, net: poolNet(t, machines), folder: t.TempDir(),
		machines: map[string]*testkit.Machine{}, booting: map[string]bool{}, broken: map[string]bool{}, claims: map[string]map[string]bool{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var works sync.WaitGroup
	works.Go(func() { y.watch(ctx, &works) })
	t.Cleanup(func() {
		cancel()
		works.Wait()
	})
	return y
}

// watch boots and ends, and looks at what machines say they are.
func (y *yard) watch(ctx context.Context, works *sync.WaitGroup) {
	for ctx.Err() == nil {
		books := y.books()
		for id := range books {
			if y.takes(id) {
				works.Go(func() { y.boot(ctx, id) })
			}
		}
		for id, m := range y.all() {
			if !books[id] {
				y.end(id, m)
				continue
			}
			y.look(id, m)
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// books are the ids of the machines that there are to be.
func (y *yard) books() map[string]bool {
	entries, err := os.ReadDir(y.folder)
	if err != nil {
		return nil // the folder ends with the test
	}
	ids := map[string]bool{}
	for _, e := range entries {
		if e.Name()[0] != '.' {
			ids[e.Name()] = true
		}
	}
	return ids
}

func (y *yard) takes(id string) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.machines[id] != nil || y.booting[id] || y.broken[id] {
		return false
	}
	y.booting[id] = true
	return true
}

// boot boots one. Where there is no room for it, the next look tries again.
func (y *yard) boot(ctx context.Context, id string) {
	spec := yardMachine
	text, err := os.ReadFile(filepath.Join(y.folder, id))
	spec.ID, spec.UserData = id, string(text)
	var m *testkit.Machine
	if err == nil {
		m, err = y.net.StartMachine(ctx, spec)
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	delete(y.booting, id)
	if err != nil {
		if ctx.Err() == nil {
			y.t.Logf("machine %s: %v", id, err)
		}
		return
	}
	y.machines[id] = m
	y.booted++
}

// end ends one for good.
func (y *yard) end(id string, m *testkit.Machine) {
	if err := m.Close(); err != nil {
		y.t.Errorf("end machine %s: %v", id, err)
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	delete(y.machines, id)
}

// loses takes a machine away that the books still have.
func (y *yard) loses(m *testkit.Machine) error {
	y.mu.Lock()
	y.broken[m.ID()] = true
	y.mu.Unlock()
	return m.Kill()
}

// look notes whose a machine is.
func (y *yard) look(id string, m *testkit.Machine) {
	claim := claimOf(m)
	if claim == nil {
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.claims[claim.ID()] == nil {
		y.claims[claim.ID()] = map[string]bool{}
	}
	y.claims[claim.ID()][id] = true
}

// claimOf is whose a machine is, as its disk says; nil where it is nobody's or off.
// A machine is found by a process, and one that has just ended may have left its
// number to another's: the disk has to be that of the machine.
func claimOf(m *testkit.Machine) *install.Claim {
	path, err := m.Path("/")
	if err != nil {
		return nil
	}
	disk, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer disk.Close()
	root := fmt.Sprintf("/proc/self/fd/%d", disk.Fd())
	id, err := os.ReadFile(filepath.Join(root, "var/lib/cloud/data/instance-id"))
	if err != nil || strings.TrimSpace(string(id)) != m.ID() {
		return nil
	}
	claim, err := (&install.Machine{Root: root}).Claim()
	if err != nil {
		return nil // it may have ended meanwhile
	}
	return claim
}

// all are the machines there are, on or off.
func (y *yard) all() map[string]*testkit.Machine {
	y.mu.Lock()
	defer y.mu.Unlock()
	return maps.Clone(y.machines)
}

// on are the ids of those that are on.
func (y *yard) on() (ids []string) {
	for id, m := range y.all() {
		if m.On() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// claimedTwice are the lives of cells that more than one machine took for its own.
func (y *yard) claimedTwice() (ids []string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for id, machines := range y.claims {
		if len(machines) > 1 {
			ids = append(ids, fmt.Sprintf("%s on %v", id, slices.Sorted(maps.Keys(machines))))
		}
	}
	return ids
}

// newYardHouse is a house of one cell that a machine of a yard has made of itself,
// led by a leader without a cell.
func newYardHouse(t *testing.T, machines int) (*house, *yard) {
	t.Helper()
	return yardHouse(t, machines, func(h *house, y *yard) {
		key := filepath.Join(h.dir, "peers.key")
		h.write("pod/main.tf", fmt.Sprintf(bootModule, h.consulAt(y.net.Gateway()), filepath.Join(h.dir, "cells"), cloud.Provisioners(y.folder)))
		h.edit("pod/main.tf", "  state_directory", fmt.Sprintf("  peers_key_file = %q\n  state_directory", key))
		h.edit("pod/main.tf", "    machine = terraform_data", fmt.Sprintf("    secrets = { peers-key = %q }\n    machine = terraform_data", key))
	})
}

// yardHouse is newYardHouse with another root module, which layOut lays out.
func yardHouse(t *testing.T, machines int, layOut func(*house, *yard)) (*house, *yard) {
	t.Helper()
	y := newYard(t, machines)
	store := t.TempDir()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(y.net.Gateway(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	web := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.FileServer(http.Dir(store)), ReadHeaderTimeout: time.Minute}}
	web.Start()
	t.Cleanup(web.Close)
	h := newHouse(t, houseOptions{
		Max: 4, Module: "# written below\n", Address: y.net.Gateway(),
		Above: fmt.Sprintf("bundle = %q\npeers { key_file = \"peers.key\" }\n", web.URL),
		Policy: `
  genome = "pod.genome.hcl"
  drain { timeout = "1s" }
  birth {
    backoff_min = "1s"
    backoff_max = "5s"
  }
`,
	})
	t.Cleanup(y.show)
	writeKey(t, filepath.Join(h.dir, "peers.key"), "first")
	layOut(h, y)
	h.write("pod.genome.hcl", fmt.Sprintf(`
command     = ["sleep", "100000"]
environment = { HOMEOSTAT_PEERS_KEY_FILE = "/etc/homeostat/secrets/peers-key" }
file "/usr/local/bin/homeostat" {
  source = %q
  mode   = "0755"
}
`, h.program))
	// The lock file that this writes is a part of the bundle.
	if out, code := h.run(h.terraform, "init", "-no-color"); code != 0 {
		t.Fatalf("terraform init: exit %d\n%s", code, out)
	}
	h.succeed("publish", "-into", store, "pod")
	h.succeed("publish", "pod")
	h.apply()
	h.alone()
	h.isLed()
	return h, y
}

// isLed waits until a leader is ready, which takes some plans.
func (h *house) isLed() {
	h.t.Helper()
	err := testkit.Poll(h.t.Context(), bootPatience, func(ctx context.Context) error {
		_, _, err := h.fleet.Record(ctx, "pod")
		return err
	})
	if err != nil {
		h.t.Fatalf("%v\n%s", err, strings.Join(h.logsAlone(), ""))
	}
}

// show tells what the machines of a failed test say.
func (y *yard) show() {
	if !y.t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for id, m := range y.all() {
		out, err := m.Exec(ctx, "sh", "-c", "cat /var/lib/homeostat/cell.json; ls -lR /var/lib/homeostat/boot; journalctl --no-pager -n 60")
		y.t.Logf("machine %s (%s), on %t: %v\n%s", id, m.Name(), m.On(), err, out)
	}
}

// clean says what of a birth is left on a machine.
func clean(ctx context.Context, m *testkit.Machine) error {
	out, err := m.Exec(ctx, "sh", "-c", "ls -d /var/lib/homeostat/boot /etc/systemd/system/*homeostat-boot* /etc/systemd/system/*/homeostat-boot* 2>/dev/null || true")
	if err == nil && strings.TrimSpace(out) != "" {
		err = errors.New("its birth has left " + out)
	}
	return err
}
