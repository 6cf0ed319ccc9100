package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/machine"
)

// switchLimit is how long a switch may take to be there, or to be gone.
const switchLimit = 30 * time.Second

// host is the address of this host in the network, its first.
func (n network) host() netip.Addr { return n.Prefix.Addr().Next() }

// withLength is an address as it is given to a link.
func (n network) withLength(address netip.Addr) string {
	return netip.PrefixFrom(address, n.Prefix.Bits()).String()
}

// device is the switch's link on this host's side.
func (n network) device() string {
	b := n.Prefix.Addr().As4()
	return fmt.Sprintf("hm%02x%02x%02x%02x", b[0], b[1], b[2], b[3])
}

// theSwitch is the process that holds the switch, or 0. It is that only once
// connect has returned.
func (p *place) theSwitch() (int, error) {
	pids, err := machine.CgroupProcesses(p.group("switch"))
	if err != nil || len(pids) == 0 {
		return 0, err
	}
	return pids[0], nil
}

// connect makes the switch when there is none, and connects the machines to it
// that were at the one before. It reports whether it made one.
func (p *place) connect(ctx context.Context) (bool, error) {
	pid, err := p.theSwitch()
	if err != nil || pid != 0 {
		return false, errors.Join(err, p.awaitSwitch(ctx))
	}
	if err := errors.Join(os.MkdirAll(p.group("switch"), 0o755), p.awaitUnplugged(ctx)); err != nil {
		return false, fmt.Errorf("make a switch: %w", err)
	}
	command := machine.Switch{Device: p.device(), Home: os.Getpid(), Address: p.withLength(p.host())}.Command()
	if err := machine.Launch(command, p.group("switch"), p.in("switch.log")); err != nil {
		return false, err
	}
	if err := p.awaitSwitch(ctx); err != nil {
		return false, err
	}
	return true, p.plugAll(ctx)
}

// awaitSwitch waits until this host has its address and the process that made the
// switch is alone, and so only holds it.
func (p *place) awaitSwitch(ctx context.Context) error {
	return testkit.Poll(ctx, switchLimit, func(ctx context.Context) error {
		pids, err := machine.CgroupProcesses(p.group("switch"))
		if err != nil || len(pids) != 1 {
			return errors.Join(fmt.Errorf("wait for the switch (see %s): %d processes", p.in("switch.log"), len(pids)), err)
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(p.host().String(), "0"))
		if err != nil {
			return fmt.Errorf("wait for the switch (see %s): %w", p.in("switch.log"), err)
		}
		return l.Close()
	})
}

// awaitUnplugged waits until the link of a switch that has ended is gone, which
// the kernel removes a moment after it.
func (p *place) awaitUnplugged(ctx context.Context) error {
	return testkit.Poll(ctx, switchLimit, func(context.Context) error {
		if _, err := os.Stat(filepath.Join("/sys/class/net", p.device())); err == nil {
			return fmt.Errorf("link %s is still there", p.device())
		}
		return nil
	})
}

// plugAll connects machines that are on to a new switch.
func (p *place) plugAll(ctx context.Context) error {
	all, err := p.boxes()
	if err != nil {
		return err
	}
	var errs []error
	for _, b := range all {
		first, err := b.first()
		if errors.Is(err, machine.ErrOff) {
			continue
		}
		if err == nil {
			err = b.plug(ctx, first)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (b *box) plug(ctx context.Context, inside int) error {
	boot, err := b.spec("")
	if err != nil {
		return err
	}
	command := boot.Plug(inside)
	if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("connect machine %s to a new switch: %w: %s", b.id, err, out)
	}
	return nil
}
