// Package cloud plays, in a test's own process, an infrastructure whose machines
// make cells of themselves at their first boot. A terraform_data stands for a
// machine: its provisioners put its user data into a folder, from which the cloud
// boots it, and take it away again.
//
// A machine is a folder with a goroutine. What runs on it until it is a cell is the
// real thing, package boot; the cell itself is a registration that pushes its
// health and obeys orders to leave.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/renameio/v2"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// Options are what differs between clouds. All may be nil.
type Options struct {
	// Comes reports whether a machine boots at all. It is asked by one goroutine.
	Comes func(machine string) bool
	// Health, asked by each machine for itself, is what a cell says of itself; passing where it is nil.
	Health func(cell fleet.Cell) fleet.Health
	// Leaves reports whether a cell obeys an order to leave.
	Leaves func(cell fleet.Cell) bool
	// Peers signs what cells answer.
	Peers fleet.Signer
}

// Cloud boots and ends machines.
type Cloud struct {
	options Options
	folder  string // of the user data of the machines that there are
	consul  string
	tb      testing.TB

	mu       sync.Mutex
	machines map[string]*Machine
	booted   int
}

// New begins to look for machines; they end with the test.
func New(tb testing.TB, consul string, o Options) *Cloud {
	tb.Helper()
	c := &Cloud{options: o, folder: tb.TempDir(), consul: consul, tb: tb, machines: map[string]*Machine{}}
	ctx, cancel := context.WithCancel(context.Background())
	var looking sync.WaitGroup
	looking.Go(func() { c.look(ctx) })
	tb.Cleanup(func() {
		cancel()
		looking.Wait()
	})
	return c
}

// Provisioners are the blocks by which a terraform_data is a machine of this cloud.
// Its input is the user data.
func (c *Cloud) Provisioners() string { return Provisioners(c.folder) }

// Provisioners are those of any infrastructure that boots what is in a folder: one
// file of user data for each machine, named by its id.
func Provisioners(folder string) string {
	return fmt.Sprintf(`
  provisioner "local-exec" {
    command     = "umask 077; printf '%%s' \"$USER_DATA\" >'%[1]s/.'$ID && mv '%[1]s/.'$ID '%[1]s/'$ID"
    environment = { USER_DATA = self.input, ID = self.id }
  }
  provisioner "local-exec" {
    when        = destroy
    command     = "rm '%[1]s/'$ID"
    environment = { ID = self.id }
  }
`, folder)
}

// Boot boots a machine that another infrastructure has made, and End ends it.
func (c *Cloud) Boot(id, userData string) error {
	return renameio.WriteFile(filepath.Join(c.folder, id), []byte(userData), 0o600)
}

// End ends a machine that Boot has booted; one that there isn't is no error.
func (c *Cloud) End(id string) error {
	if err := os.Remove(filepath.Join(c.folder, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Machines are those that there are, by their ids.
func (c *Cloud) Machines() map[string]*Machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]*Machine{}
	for id, m := range c.machines {
		all[id] = m
	}
	return all
}

// Booted is how many machines there have been.
func (c *Cloud) Booted() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.booted
}

// Remove takes a machine away, as somebody does who doesn't ask Terraform.
func (c *Cloud) Remove(id string) {
	if m := c.Machines()[id]; m != nil {
		m.end()
	}
}

func (c *Cloud) look(ctx context.Context) {
	for ctx.Err() == nil {
		c.once(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	for _, m := range c.Machines() {
		m.end()
	}
}

// once boots what is new and ends what is gone.
func (c *Cloud) once(ctx context.Context) {
	there := map[string]bool{}
	entries, err := os.ReadDir(c.folder)
	if err != nil {
		return // the folder ends with the test
	}
	for _, e := range entries {
		if e.Name()[0] != '.' {
			there[e.Name()] = true
		}
	}
	for id, m := range c.Machines() {
		if !there[id] {
			m.end()
			c.mu.Lock()
			delete(c.machines, id)
			c.mu.Unlock()
		}
	}
	for id := range there {
		if c.Machines()[id] == nil {
			c.boot(ctx, id)
		}
	}
}

func (c *Cloud) boot(ctx context.Context, id string) {
	text, err := os.ReadFile(filepath.Join(c.folder, id))
	if err != nil {
		return // it was removed just now
	}
	ctx, cancel := context.WithCancel(ctx)
	m := &Machine{ID: id, UserData: string(text), cloud: c, cancel: cancel, ended: make(chan struct{}), log: slog.New(slog.DiscardHandler)}
	c.mu.Lock()
	c.machines[id] = m
	c.booted++
	c.mu.Unlock()
	if c.options.Comes != nil && !c.options.Comes(id) {
		close(m.ended)
		return
	}
	go func() {
		defer close(m.ended)
		m.run(ctx)
	}()
}
