package testkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/machine"
)

// MachinePlace is what a program needs that has machines by itself, and not in a
// MachineNet: room for them on this host, a network, and a control group. When
// this process ends, in whatever way, all that runs in the group is killed.
type MachinePlace struct {
	Network netip.Prefix
	Cgroup  string // below where version 2 of control groups is mounted
	mount   string
	names   []net.Listener
}

// MachinePlaceFor takes a place for up to most machines, and gives it back with
// the test.
func MachinePlaceFor(tb testing.TB, most int) *MachinePlace {
	tb.Helper()
	if _, err := MachineRoot(tb.Context()); err != nil {
		NotRun(tb, tb.Name(), err.Error())
	}
	p, err := TakeMachinePlace(tb.Context(), most)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

// TakeMachinePlace waits until this host has room. The caller closes the place.
func TakeMachinePlace(ctx context.Context, most int) (*MachinePlace, error) {
	all, err := mostMachines()
	if err != nil {
		return nil, err
	}
	p := &MachinePlace{}
	if p.names, err = takeRoom(ctx, "machine", most, all); err != nil {
		return nil, err
	}
	network, name, err := takeSubnet(ctx)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.Network, p.names = network, append(p.names, name)
	mount, group, err := sweptCgroup()
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.mount, p.Cgroup = mount, filepath.Join(group, "place-"+network.Addr().String())
	return p, nil
}

// Gateway is this host's address in the network, once there is one.
func (p *MachinePlace) Gateway() string { return p.Network.Addr().Next().String() }

// Adopt has a process, and all that it starts from then on, end with the place.
func (p *MachinePlace) Adopt(pid int) error {
	group := filepath.Join(p.mount, p.Cgroup, "adopted")
	err := os.MkdirAll(group, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
	}
	if err != nil {
		return fmt.Errorf("have process %d end with its place: %w", pid, err)
	}
	return nil
}

// Close kills what is left in the place and gives it back.
func (p *MachinePlace) Close() error {
	var errs []error
	if p.Cgroup != "" {
		group := filepath.Join(p.mount, p.Cgroup)
		errs = append(errs, machine.KillCgroup(group), machine.RemoveCgroup(group))
	}
	errs = append(errs, giveBack(p.names))
	p.names = nil
	return errors.Join(errs...)
}
