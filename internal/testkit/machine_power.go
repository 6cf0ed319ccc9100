package testkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/machine"
)

// powerLimit is how long a machine may take to shut down: systemd gives each
// service 90 s.
const powerLimit = 2 * time.Minute

// bootedLimit is how long what it starts, and its user data, may take.
const bootedLimit = 10 * time.Minute

// Start switches the machine on, over the disk it has, and returns when its sshd
// answers. It does nothing when the machine is on.
func (m *Machine) Start(ctx context.Context) error { return m.box.Start(ctx) }

// AwaitBooted returns when everything is started, failed services included, and
// cloud-init is done.
func (m *Machine) AwaitBooted(ctx context.Context) error {
	return Poll(ctx, bootedLimit, func(ctx context.Context) error {
		state, err := m.Exec(ctx, "systemctl", "is-system-running")
		switch strings.TrimSpace(state) {
		case "running", "degraded":
			return nil
		}
		return fmt.Errorf("machine %s is %q, not running: %w", m.Name(), strings.TrimSpace(state), err)
	})
}

// PowerOff has the machine shut down, and returns when it is off.
func (m *Machine) PowerOff(ctx context.Context) error {
	first, err := m.first()
	if err != nil {
		return err
	}
	if err := syscall.Kill(first, machine.PowerOff); err != nil {
		return fmt.Errorf("power off machine %s: %w", m.Name(), err)
	}
	return Poll(ctx, powerLimit, func(context.Context) error {
		if m.On() {
			return fmt.Errorf("machine %s is still on", m.Name())
		}
		return nil
	})
}

// Reboot has the machine shut down and boot again, and returns when its sshd
// answers.
func (m *Machine) Reboot(ctx context.Context) error {
	before, err := m.first()
	if err != nil {
		return err
	}
	if err := syscall.Kill(before, machine.Reboot); err != nil {
		return fmt.Errorf("reboot machine %s: %w", m.Name(), err)
	}
	err = Poll(ctx, powerLimit, func(context.Context) error {
		now, err := m.first()
		if err == nil && now == before {
			err = fmt.Errorf("machine %s still runs what it ran", m.Name())
		}
		return err
	})
	if err != nil {
		return err
	}
	return Poll(ctx, startLimit, m.answers)
}

// Kill takes the machine's power away. What it wrote to its disk stays, and so
// does what was only on the way there, as the host's memory keeps it.
func (m *Machine) Kill() error { return m.box.Kill() }

// Pause stops everything on the machine: connections hang, nothing answers.
func (m *Machine) Pause() error { return m.box.Pause() }

// Continue lets a paused machine go on.
func (m *Machine) Continue() error { return m.box.Continue() }

// On reports whether the machine has power.
func (m *Machine) On() bool { return m.box.PID() != 0 }

// Wipe takes the machine's power away and empties its disk. Start boots it as the
// blank machine it was, with the same address and host key.
func (m *Machine) Wipe(ctx context.Context) error {
	if err := m.Kill(); err != nil {
		return err
	}
	return m.atSwitch(ctx, "--mount", "find", m.box.data, "-mindepth", "1", "-delete")
}

// Console is what the machine said on its console since it is there.
func (m *Machine) Console() (string, error) {
	text, err := os.ReadFile(m.box.Log())
	if err != nil {
		return "", fmt.Errorf("read the console of machine %s: %w", m.Name(), err)
	}
	return string(text), nil
}

// Cut takes the machine's network link down: nothing reaches it and it reaches
// nobody, but it runs on.
func (m *Machine) Cut(ctx context.Context) error { return m.link(ctx, "down") }

// Mend takes the link up again.
func (m *Machine) Mend(ctx context.Context) error { return m.link(ctx, "up") }

func (m *Machine) link(ctx context.Context, state string) error {
	return m.atSwitch(ctx, "--net", "ip", "link", "set", m.port(), state)
}

// fullFile is what FillDisk fills a disk with.
const fullFile = "/var/tmp/full"

// FillDisk leaves no byte free on the disk, which has to have a size.
func (m *Machine) FillDisk(ctx context.Context) error {
	if m.spec.Disk == 0 {
		return fmt.Errorf("fill the disk of machine %s: it has no size, and the host's would be filled", m.Name())
	}
	_, err := m.Exec(ctx, "dd", "if=/dev/zero", "of="+fullFile, "bs=64k")
	if err == nil || !strings.Contains(err.Error(), "No space left") {
		return errors.Join(fmt.Errorf("fill the disk of machine %s", m.Name()), err)
	}
	return nil
}

// FreeDisk undoes FillDisk.
func (m *Machine) FreeDisk(ctx context.Context) error {
	_, err := m.Exec(ctx, "rm", "-f", fullFile)
	return err
}
