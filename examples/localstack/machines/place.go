package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/machine"
)

// place is the folder of the machines:
//
//	lock             held by the program that watches
//	network.json     their network and their control group
//	switch.log
//	consoles/        what machines have said, also those that are gone
//	i-0123.../       a machine
//	    address        its private address
//	    seed/          its user data
//	    disk/          what it has written
//	    ended          how it was switched off last; not there while it is on
//
// What is on is not written down but asked of the kernel: each machine, and the
// switch, has a control group, in which its processes are born.
type place struct {
	root   string
	locked *os.File
	network
}

// network is what stays the same while there are machines.
type network struct {
	Prefix  netip.Prefix `json:"network"`
	Cgroups string       `json:"cgroups"` // where control groups are mounted
	Cgroup  string       `json:"cgroup"`  // that of the machines, below it
}

// openPlace makes the folder, or opens it as it was made, and locks it.
func openPlace(directory string, prefix netip.Prefix, cgroup string) (*place, error) {
	root, err := filepath.Abs(directory)
	if err != nil {
		return nil, fmt.Errorf("open the folder of machines: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(root, "consoles"), 0o711); err != nil {
		return nil, fmt.Errorf("make the folder of machines: %w", err)
	}
	p := &place{root: root}
	if err := p.lock(); err != nil {
		return nil, err
	}
	err = p.read()
	if errors.Is(err, os.ErrNotExist) {
		err = p.found(prefix, cgroup)
	}
	if err == nil && p.Prefix != prefix {
		err = fmt.Errorf("the machines in %s are in the network %s, not %s: clear them first", root, p.Prefix, prefix)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// findPlace opens a folder that is there, without its lock.
func findPlace(directory string) (*place, error) {
	root, err := filepath.Abs(directory)
	if err != nil {
		return nil, fmt.Errorf("open the folder of machines: %w", err)
	}
	p := &place{root: root}
	return p, p.read()
}

// found decides what stays the same from now on. The group is one below this
// process's, named after the folder.
func (p *place) found(prefix netip.Prefix, cgroup string) error {
	if err := checkNetwork(prefix); err != nil {
		return err
	}
	mount, here, err := machine.CgroupHere()
	if err != nil {
		return err
	}
	if cgroup == "" {
		cgroup = filepath.Join(here, "homeostat-"+strings.ReplaceAll(strings.Trim(p.root, "/"), "/", "-"))
	}
	p.network = network{Prefix: prefix, Cgroups: mount, Cgroup: cgroup}
	text, err := json.MarshalIndent(p.network, "", "  ")
	if err != nil {
		return fmt.Errorf("write down the network: %w", err)
	}
	return renameio.WriteFile(p.in("network.json"), append(text, '\n'), 0o644)
}

// checkNetwork wants a network whose machines the last two bytes of their address
// tell apart, since those name their links.
func checkNetwork(prefix netip.Prefix) error {
	if !prefix.Addr().Is4() || prefix.Bits() < 16 || prefix.Bits() > 28 || prefix.Masked() != prefix {
		return fmt.Errorf("%s is not a network of IPv4 between /16 and /28", prefix)
	}
	return nil
}

func (p *place) read() error {
	text, err := os.ReadFile(p.in("network.json"))
	if err != nil {
		return fmt.Errorf("read what machines there are: %w", err)
	}
	if err := json.Unmarshal(text, &p.network); err != nil {
		return fmt.Errorf("read %s: %w", p.in("network.json"), err)
	}
	return nil
}

// lock keeps two programs from watching over one folder. The kernel gives it back
// when the program ends in whatever way.
func (p *place) lock() error {
	f, err := os.OpenFile(p.in("lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("lock the folder of machines: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("lock %s, which another program watches over: %w", p.root, err), f.Close())
	}
	p.locked = f
	return nil
}

func (p *place) close() { _ = p.locked.Close() } // nothing was written to it

func (p *place) in(parts ...string) string {
	return filepath.Join(append([]string{p.root}, parts...)...)
}

// group is where a control group of the machines' is found.
func (p *place) group(name string) string { return filepath.Join(p.Cgroups, p.Cgroup, name) }

// boxes are the machines there are, on or off.
func (p *place) boxes() ([]*box, error) {
	entries, err := os.ReadDir(p.root)
	if err != nil {
		return nil, fmt.Errorf("look for machines: %w", err)
	}
	var all []*box
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), "i-") {
			continue
		}
		b, err := p.box(entry.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

// clear ends everything and removes it.
func (p *place) clear(ctx context.Context) error {
	all := filepath.Join(p.Cgroups, p.Cgroup)
	if err := errors.Join(machine.KillCgroup(all), machine.RemoveCgroup(all), p.awaitUnplugged(ctx)); err != nil {
		return err
	}
	return os.RemoveAll(p.root)
}
