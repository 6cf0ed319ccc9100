// Package machine makes blank machines: Debian with systemd as its first process,
// sshd and cloud-init, in namespaces of its own over a file system that all
// machines share and none can write to, and a switch that joins them. It has what
// tests and examples both need of that; who ends the machines, and when, is theirs.
//
// No namespace has a name. Each is held by a process alone, so that nothing is
// left of it when that process ends.
package machine

import (
	_ "embed" // what is run on the way into a machine
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

//go:embed network.sh
var networkScript string

//go:embed boot.sh
var bootScript string

//go:embed letin.sh
var letInScript string

//go:embed switch.sh
var switchScript string

// The signals that systemd as the first process takes for orders; SIGRTMIN is 34
// to it.
const (
	PowerOff = syscall.Signal(34 + 4)
	Reboot   = syscall.Signal(34 + 5)
)

// Switch says how a switch is made.
type Switch struct {
	Device  string // the name of its link on the side of the host, at most 15 bytes
	Home    int    // a process in the network namespace where that link is to be
	Address string // of that link, with the length of the network: 10.0.0.1/24
}

// Command becomes the process that holds the switch.
func (s Switch) Command() []string {
	return []string{
		"unshare", "--net", "--mount", "sh", "-c", switchScript, "sh",
		s.Device, strconv.Itoa(s.Home), s.Address,
	}
}

// Boot says how a machine is booted.
type Boot struct {
	Switch  int    // the process that holds the switch
	Port    string // the machine's link there, at most 15 bytes
	Address string // the machine's, with the length of the network
	MAC     string

	Name string // host name
	Root string // the file system below it
	// Directory has seed/, with what cloud-init is given; disk/, which is what the
	// machine writes; and, where its host keys are known before, host_keys/.
	Directory string
	Cgroups   string // where control groups are mounted
	Cgroup    string // the machine's, below it

	User      string // who Keys and Authority let in
	Keys      string // public key lines
	Authority string // the public key line of an authority
}

// Command is the way into the machine, through the switch's mount namespace,
// where disks in memory are. It ends with the machine; its exit code is 0 when
// that was switched off in order.
func (b Boot) Command() []string {
	gate := strconv.Itoa(b.Switch)
	return []string{
		"nsenter", "--target", gate, "--mount", "unshare", "--net", "--mount", "sh", "-c", networkScript, "sh",
		gate, b.Port, b.Address, b.MAC, bootScript,
		b.Name, b.Root, b.Directory, b.Cgroups, b.Cgroup,
		letInScript, b.User, b.Keys, b.Authority,
	}
}

// Plug is the command that connects a machine that runs to another switch than it
// was booted at, which has ended. Inside is any of its processes.
func (b Boot) Plug(inside int) []string {
	return []string{
		"nsenter", "--target", strconv.Itoa(inside), "--net", "sh", "-c", networkScript, "sh",
		strconv.Itoa(b.Switch), b.Port, b.Address, b.MAC, "",
	}
}

// LetIn is the command by which a machine that runs lets a user in.
func LetIn(user, keys, authority string) []string {
	return []string{"sh", "-c", letInScript, "sh", user, keys, authority}
}

// WriteSeed writes what cloud-init reads in place of a cloud's metadata, into the
// machine's directory.
func WriteSeed(directory, instance, name string, userData []byte) error {
	seed := filepath.Join(directory, "seed")
	if err := os.MkdirAll(seed, 0o755); err != nil {
		return fmt.Errorf("write the user data of %s: %w", name, err)
	}
	meta := fmt.Sprintf("instance-id: %s\nlocal-hostname: %s\n", instance, name)
	return errors.Join(
		os.WriteFile(filepath.Join(seed, "meta-data"), []byte(meta), 0o644),
		os.WriteFile(filepath.Join(seed, "user-data"), userData, 0o644),
	)
}

// ErrOff says that a machine has no first process.
var ErrOff = errors.New("it is off, or hasn't begun to boot")

// First finds a machine's first process among processes that were begun from
// here: the one that has the id 1 two namespaces further down.
func First(among []int) (int, error) {
	depth := len(namespaceIDs(os.Getpid())) + 2
	for _, pid := range among {
		ids := namespaceIDs(pid)
		if len(ids) != depth || ids[depth-1] != "1" {
			continue
		}
		// Before it is systemd it is a part of nspawn, and not in its place.
		if program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && filepath.Base(program) == "systemd" {
			return pid, nil
		}
	}
	return 0, ErrOff
}

// namespaceIDs are the ids of a process, from this process's namespace down to
// its own.
func namespaceIDs(pid int) []string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil // it ended meanwhile
	}
	for line := range strings.Lines(string(status)) {
		if ids, found := strings.CutPrefix(line, "NSpid:"); found {
			return strings.Fields(ids)
		}
	}
	return nil
}
