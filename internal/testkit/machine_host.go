package testkit

import (
	"bytes"
	"context"
	_ "embed" // what machines need of the kernel
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

//go:embed machine/probe.sh
var machineProbe string

// machineHost is what decides whether a host can hold machines.
type machineHost struct {
	system string
	user   int
	need   func(context.Context) error // programs, and what they need of the kernel
}

// MachinesPossible says why this host can't hold machines, or nil. It installs
// the Debian packages they need.
func MachinesPossible(ctx context.Context) error {
	return machineHost{system: runtime.GOOS, user: os.Geteuid(), need: machineNeeds}.check(ctx)
}

func (h machineHost) check(ctx context.Context) error {
	switch {
	case h.system != "linux":
		return fmt.Errorf("machines are made of Linux namespaces, and this is %s", h.system)
	case h.user != 0:
		return errors.New("machines need root")
	}
	if err := h.need(ctx); err != nil {
		return fmt.Errorf("machines can't be made here: %w", err)
	}
	return nil
}

func machineNeeds(ctx context.Context) error {
	err := installPackages(ctx, map[string]string{
		"systemd-nspawn": "systemd-container", "ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux",
	})
	if err != nil {
		return err
	}
	probe := exec.CommandContext(ctx, "unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", machineProbe)
	if out, err := probe.CombinedOutput(); err != nil {
		return fmt.Errorf("try namespaces, an overlay and a bridge: %w: %s", err, bytes.TrimSpace(out))
	}
	_, _, err = cgroupHere()
	return err
}

// cgroupHere is where the tree of control groups is mounted, and this process's
// place in it. Machines have theirs below it, and so are held to its limits.
func cgroupHere() (mount, place string, err error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	own, ownErr := os.ReadFile("/proc/self/cgroup")
	if err := errors.Join(err, ownErr); err != nil {
		return "", "", fmt.Errorf("find the control groups: %w", err)
	}
	if mount, place, err = cgroupIn(string(mounts), string(own)); err != nil {
		return "", "", err
	}
	try, err := os.MkdirTemp(filepath.Join(mount, place), "homeostat-testkit-")
	if err != nil {
		return "", "", fmt.Errorf("make a control group: %w", err)
	}
	return mount, place, os.Remove(try)
}

// cgroupIn reads /proc/self/mounts and /proc/self/cgroup for version 2 of
// control groups, which may be there beside version 1.
func cgroupIn(mounts, own string) (mount, place string, err error) {
	for line := range strings.Lines(mounts) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == "cgroup2" {
			mount = fields[1]
			break
		}
	}
	for line := range strings.Lines(own) {
		if path, found := strings.CutPrefix(line, "0::"); found {
			place = strings.TrimSpace(path)
		}
	}
	if mount == "" || place == "" {
		return "", "", errors.New("version 2 of control groups is not mounted")
	}
	return mount, place, nil
}

// installPackages installs those packages whose programs are missing, which
// only root on a Debian can.
func installPackages(ctx context.Context, byProgram map[string]string) error {
	cache, err := CacheDirectory()
	if err != nil {
		return err
	}
	unlock, err := lockFile(ctx, filepath.Join(cache, ".apt.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	var missing []string
	for program, name := range byProgram {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("install %s: there is no apt-get here", strings.Join(missing, ", "))
	}
	if err := run(ctx, "/", aptQuiet, "apt-get", "update", "-q"); err != nil {
		return err
	}
	return run(ctx, "/", aptQuiet, "apt-get", append([]string{"install", "-q", "-y", "--no-install-recommends"}, missing...)...)
}

// aptQuiet keeps apt from asking.
var aptQuiet = []string{"DEBIAN_FRONTEND=noninteractive"}
