package testkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/machine"
)

// MachineNet is a network with machines in it: a bridge in a network namespace,
// with one link to where the test runs. No namespace has a name, and each is held
// by a process alone, so that nothing is left of them when these end.
//
//	test  hs213-N (10.213.N.1) ---- bridge ---- host0 (10.213.N.2)  machine
//	                                   +------- host0 (10.213.N.3)  machine
//
// Machines reach each other and the test, at Gateway, and nothing else.
type MachineNet struct {
	box     server // the process that holds the bridge
	tb      testing.TB
	subnet  netip.Prefix
	root    string
	cgroups string         // where control groups are mounted
	cgroup  string         // the network's, below it
	names   []net.Listener // its subnet, and its room on the host
	most    int

	mu       sync.Mutex
	last     int // the number that was given last
	machines map[int]*Machine
}

// usualMachines is how many machines a test may have at a time that doesn't say.
const usualMachines = 4

// Machines makes a network for up to four blank machines at a time, which ends
// with the test. It waits until the host has room for them. A test has one
// network: two that wait for their second would wait for each other.
func Machines(tb testing.TB) *MachineNet {
	tb.Helper()
	return MachinesFor(tb, usualMachines)
}

// MachinesFor is Machines for as many at a time as are said.
func MachinesFor(tb testing.TB, most int) *MachineNet {
	tb.Helper()
	if _, err := MachineRoot(tb.Context()); err != nil {
		NotRun(tb, tb.Name(), err.Error())
	}
	n, err := StartMachines(tb.Context(), most)
	if err != nil {
		tb.Fatal(err)
	}
	n.tb = tb
	tb.Cleanup(func() {
		if tb.Failed() {
			n.show(tb)
		}
		if err := n.Close(); err != nil {
			tb.Error(err)
		}
	})
	return n
}

// StartMachines makes a network for up to most blank machines at a time. The
// caller closes it.
func StartMachines(ctx context.Context, most int) (*MachineNet, error) {
	root, err := MachineRoot(ctx)
	if err != nil {
		return nil, err
	}
	all, err := mostMachines()
	if err != nil {
		return nil, err
	}
	n := &MachineNet{root: root, most: most, last: 1, machines: map[int]*Machine{}}
	n.box = server{name: "switch", stopWith: syscall.SIGKILL, ready: n.isReady}
	if n.names, err = takeRoom(ctx, "machine", most, all); err != nil {
		return nil, err
	}
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *MachineNet) start(ctx context.Context) error {
	subnet, name, err := takeSubnet(ctx)
	if err != nil {
		return err
	}
	n.subnet, n.names = subnet, append(n.names, name)
	if err := n.box.place(""); err != nil {
		return err
	}
	if err := n.placeCgroup(); err != nil {
		return err
	}
	n.box.program = func() program {
		return program{command: machine.Switch{Device: n.device(), Home: os.Getpid(), Address: n.Gateway() + "/24"}.Command()}
	}
	return n.box.Start(ctx)
}

// placeCgroup names the network's control group, below one of this process's
// that the guardian removes.
func (n *MachineNet) placeCgroup() error {
	mount, all, err := sweptCgroup()
	n.cgroups, n.cgroup = mount, filepath.Join(all, filepath.Base(n.box.directory))
	return err
}

// sweptCgroup names the control group of all machines of this process, below
// where such groups are mounted. The guardian removes it.
func sweptCgroup() (mount, path string, err error) {
	mount, place, err := machine.CgroupHere()
	if err != nil {
		return "", "", err
	}
	g, err := guard()
	if err != nil {
		return "", "", err
	}
	path = filepath.Join(place, filepath.Base(g.directory))
	return mount, path, g.tell("sweep", filepath.Join(mount, path))
}

// device is the link's name on the test's side.
func (n *MachineNet) device() string {
	address := n.subnet.Addr().As4()
	return fmt.Sprintf("hs%d-%d", address[1], address[2])
}

// isReady reports nil once the test's side has its address, which the switch
// gives it last, and it can be listened at.
func (n *MachineNet) isReady(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(n.Gateway(), "0"))
	if err != nil {
		return err
	}
	return l.Close()
}

func (n *MachineNet) address(k int) string {
	address := n.subnet.Addr().As4()
	address[3] = byte(k)
	return netip.AddrFrom4(address).String()
}

// Gateway is the address at which machines reach what the test listens with.
func (n *MachineNet) Gateway() string { return n.address(1) }

// Subnet is the network's range of addresses.
func (n *MachineNet) Subnet() string { return n.subnet.String() }

// admit gives a machine its number, which says its address. Numbers go round, so
// that nobody who still knows an address soon meets a stranger there.
func (n *MachineNet) admit(m *Machine) error {
	const first, last = 2, 254
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.machines) >= min(n.most, last-first+1) {
		return fmt.Errorf("start a machine: this network is for %d at a time (MachinesFor)", n.most)
	}
	for {
		if n.last++; n.last > last {
			n.last = first
		}
		if n.machines[n.last] == nil {
			m.number, n.machines[n.last] = n.last, m
			return nil
		}
	}
}

func (n *MachineNet) dismiss(m *Machine) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.machines, m.number)
}

// present are the machines there are.
func (n *MachineNet) present() []*Machine {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []*Machine
	for _, m := range n.machines {
		all = append(all, m)
	}
	return all
}

// show tells what the machines of a failed test said last.
func (n *MachineNet) show(tb testing.TB) {
	tb.Helper()
	for _, m := range n.present() {
		tb.Logf("end of the console of machine %s:\n%s", m.Name(), tailOf(m.box.Log()))
	}
}

// Close ends the machines and the network. Nothing is left of them.
func (n *MachineNet) Close() error {
	var errs []error
	for _, m := range n.present() {
		errs = append(errs, m.Close())
	}
	errs = append(errs, n.box.Close())
	if n.cgroup != "" {
		errs = append(errs, machine.RemoveCgroup(n.cgroups+n.cgroup))
	}
	errs = append(errs, n.awaitGone(), giveBack(n.names))
	n.names = nil
	return errors.Join(errs...)
}

// awaitGone waits until the kernel has removed the link, which it does a moment
// after the last process of the namespace.
func (n *MachineNet) awaitGone() error {
	if !n.subnet.IsValid() {
		return nil
	}
	return machine.Within(killLimit, func() error {
		if _, err := os.Stat(filepath.Join("/sys/class/net", n.device())); err == nil {
			return fmt.Errorf("link %s is still there", n.device())
		}
		return nil
	})
}
