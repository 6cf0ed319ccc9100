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

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/machine"
)

//go:embed machine_probe.sh
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
	_, _, err = machine.CgroupHere()
	return err
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
