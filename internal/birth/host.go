package birth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Host says which machine this is, and since which boot. A process id means
// nothing without it.
type Host struct {
	// Name is for people.
	Name string `json:"name"`
	// Machine stays the same through reboots: /etc/machine-id, or the host's
	// name where there is none.
	Machine string `json:"machine"`
	// Boot changes with each boot.
	Boot string `json:"boot"`
	// Namespace is the process id namespace, since containers of one machine
	// share the rest and yet don't see each other's processes.
	Namespace string `json:"namespace"`
}

// ThisHost reads the identity of the machine this program runs on.
func ThisHost() (Host, error) {
	name, err := os.Hostname()
	if err != nil {
		return Host{}, fmt.Errorf("read the host's name: %w", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Host{}, fmt.Errorf("read the boot id (processes can be cells on Linux only): %w", err)
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return Host{}, fmt.Errorf("read the process id namespace: %w", err)
	}
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Host{}, fmt.Errorf("read the machine id: %w", err)
	}
	h := Host{Name: name, Machine: strings.TrimSpace(string(machine)), Boot: strings.TrimSpace(string(boot)), Namespace: namespace}
	if h.Machine == "" {
		h.Machine = "host:" + name
	}
	return h, nil
}

// ElsewhereError says that a cell belongs to another machine, so that nothing
// can be told about its processes from here.
type ElsewhereError struct {
	// Cell is "<service>/<name>".
	Cell        string
	There, Here Host
}

func (e *ElsewhereError) Error() string {
	if e.There.Machine == e.Here.Machine {
		return fmt.Sprintf("cell %s runs in another process id namespace (container) of host %s: %s, and this is %s",
			e.Cell, e.Here.Name, e.There.Namespace, e.Here.Namespace)
	}
	return fmt.Sprintf("cell %s runs on host %s (machine id %s), and this is host %s (machine id %s)",
		e.Cell, e.There.Name, e.There.Machine, e.Here.Name, e.Here.Machine)
}

// sees reports whether processes of a cell born on other can be looked for
// here, and whether they can still be alive.
func (h Host) sees(cell string, other Host) (sameBoot bool, err error) {
	if h.Machine != other.Machine {
		return false, &ElsewhereError{Cell: cell, There: other, Here: h}
	}
	if h.Boot != other.Boot {
		return false, nil
	}
	if h.Namespace != other.Namespace {
		return false, &ElsewhereError{Cell: cell, There: other, Here: h}
	}
	return true, nil
}
