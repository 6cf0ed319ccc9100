package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/boot"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
)

// Machine is one that was booted.
type Machine struct {
	ID       string
	UserData string

	cloud  *Cloud
	cancel context.CancelFunc
	ended  chan struct{}
	log    *slog.Logger

	mu      sync.Mutex
	root    string
	console []string
	off     bool
	cell    sync.WaitGroup
	lives   atomic.Bool
}

// Root is the folder that is its disk; empty before it has booted.
func (m *Machine) Root() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.root
}

// Off reports whether it has ended itself.
func (m *Machine) Off() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.off
}

// Console is what it wrote there.
func (m *Machine) Console() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.console, "\n")
}

// end ends it at once, as a power cut does.
func (m *Machine) end() {
	m.cancel()
	<-m.ended
}

// Order is what it is told to become.
func (m *Machine) Order() (boot.Order, error) {
	var o boot.Order
	found := orderLine.FindStringSubmatch(m.UserData)
	if found == nil {
		return o, errors.New("there is no order in the user data")
	}
	return o, json.Unmarshal([]byte(found[1]), &o)
}

// orderLine is the order in user data of either format.
var orderLine = regexp.MustCompile(`(?m)^ *(\{"ticket":.*\})$`)

func (m *Machine) run(ctx context.Context) {
	if err := m.boot(ctx); err != nil && ctx.Err() == nil {
		m.say(err.Error())
	}
	m.cell.Wait()
	_ = os.RemoveAll(m.Root()) // the temporary folder's end is the system's
}

func (m *Machine) say(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.console = append(m.console, line)
}

// boot does what the user data's unit does: it runs the newborn until that is done.
func (m *Machine) boot(ctx context.Context) error {
	root, err := os.MkdirTemp("", "homeostat-cloud-")
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.root = root
	m.mu.Unlock()
	if err := m.writeID(root); err != nil {
		return err
	}
	order := filepath.Join(root, "order.json")
	if err := m.writeOrder(order); err != nil {
		return err
	}
	n := &boot.Newborn{
		Machine: &install.Machine{Root: root, Log: m.log, Systemd: func(_ context.Context, args ...string) error { return m.systemd(ctx, args) }},
		PowerOff: func(context.Context) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.off = true
			return nil
		},
		Console: m.say, Log: m.log,
	}
	for ctx.Err() == nil {
		err := n.Boot(ctx, order)
		if err == nil {
			return nil
		}
		m.say(err.Error())
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

// writeID tells the machine its own id, as cloud-init does.
func (m *Machine) writeID(root string) error {
	file := filepath.Join(root, "var/lib/cloud/data/instance-id")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(m.ID+"\n"), 0o644)
}

// writeOrder writes the order to where user data writes it.
func (m *Machine) writeOrder(path string) error {
	o, err := m.Order()
	if err != nil {
		return err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// systemd starts the cell as its unit would.
func (m *Machine) systemd(ctx context.Context, args []string) error {
	if !slices.Contains(args, "homeostat.service") {
		return nil
	}
	switch args[0] {
	case "is-active":
		if !m.lives.Load() {
			return errors.New("inactive")
		}
		return nil
	case "start", "restart":
	default:
		return nil
	}
	cell, err := m.readCell()
	if err != nil {
		return err
	}
	client, err := fleet.New(fleet.Config{Addresses: []string{m.cloud.consul}, Peers: m.cloud.options.Peers})
	if err != nil {
		return err
	}
	if !m.lives.CompareAndSwap(false, true) {
		client.Close()
		return nil
	}
	m.cell.Go(func() {
		defer m.lives.Store(false)
		defer client.Close()
		m.live(ctx, client, cell)
	})
	return nil
}

var variable = regexp.MustCompile(`(?m)^([A-Z_]+)="(.*)"$`)

// readCell reads who the cell is, as its sidecar does.
func (m *Machine) readCell() (fleet.Cell, error) {
	text, err := os.ReadFile(filepath.Join(m.Root(), "etc/homeostat/cell.env"))
	if err != nil {
		return fleet.Cell{}, err
	}
	env := map[string]string{}
	for _, found := range variable.FindAllStringSubmatch(string(text), -1) {
		env[found[1]] = found[2]
	}
	c := fleet.Cell{
		Service: env["HOMEOSTAT_SERVICE"], Name: env["HOMEOSTAT_CELL"], Incarnation: env["HOMEOSTAT_INCARNATION"],
		Address: env["HOMEOSTAT_ADDRESS"], Port: 80, Parent: env["HOMEOSTAT_PARENT"], Reason: env["HOMEOSTAT_REASON"],
		Bundle: env["HOMEOSTAT_BUNDLE"], Genome: env["HOMEOSTAT_GENOME"], Machine: m.ID, TTL: cellTTL,
	}
	if _, err := fmt.Sscan(env["HOMEOSTAT_GENERATION"], &c.Generation); err != nil {
		return c, fmt.Errorf("read HOMEOSTAT_GENERATION: %w", err)
	}
	c.BornAt, err = time.Parse(time.RFC3339Nano, env["HOMEOSTAT_BORN_AT"])
	return c, err
}

// cellTTL is how long a cell may be silent, pushEvery how often it speaks.
const (
	cellTTL   = 10 * time.Second
	pushEvery = 500 * time.Millisecond
)

// live pushes the cell's health until it was ordered to leave, or its machine ends.
func (m *Machine) live(ctx context.Context, c *fleet.Client, cell fleet.Cell) {
	for ctx.Err() == nil {
		health := fleet.Passing
		if m.cloud.options.Health != nil {
			health = m.cloud.options.Health(cell)
		}
		_ = c.Push(ctx, cell, health, "well") // the next try is soon
		if m.leaves(ctx, c, cell) {
			m.powerOffAfter()
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(pushEvery):
		}
	}
}

// powerOffAfter powers the machine off if its claim says so, as the sidecar does.
func (m *Machine) powerOffAfter() {
	claim, err := (&install.Machine{Root: m.Root(), Log: m.log}).Claim()
	if err != nil || claim == nil || !claim.PowerOff {
		m.say(fmt.Sprintf("not powered off: %+v, %v", claim, err))
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = true
}

// leaves reports whether the cell was ordered to leave, and did.
func (m *Machine) leaves(ctx context.Context, c *fleet.Client, cell fleet.Cell) bool {
	order, err := c.LeaveOrder(ctx, cell.Service, cell.Name)
	if err != nil || order == nil || order.Incarnation != cell.Incarnation || c.CheckLeave(cell.Service, *order) != nil {
		return false
	}
	if m.cloud.options.Leaves != nil && !m.cloud.options.Leaves(cell) {
		return false
	}
	answer := fleet.LeaveAnswer{Cell: cell.Name, Incarnation: cell.Incarnation, Order: order.At, Phase: fleet.LeaveLeft}
	return c.Deregister(ctx, cell.ID()) == nil && c.AnswerLeave(ctx, cell.Service, answer) == nil
}
