package testkit

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// A disk outlives every way of losing power, one in memory too.
func TestMachineKeepsItsDisk(t *testing.T) {
	short(t)
	t.Parallel()
	n := MachinesFor(t, 2)
	for _, c := range []struct {
		name string
		disk int64
	}{{"on the host's disk", 0}, {"in memory", 64 << 20}} {
		t.Run(c.name, func(t *testing.T) {
			m := n.Boot(MachineSpec{Disk: c.disk})
			onMachine(t, m, "sh", "-c", "echo kept >/var/lib/it; sync")
			boot := onMachine(t, m, "cat", "/proc/sys/kernel/random/boot_id")
			id := onMachine(t, m, "cat", "/etc/machine-id")
			for _, way := range []struct {
				name string
				lose func(context.Context) error
			}{
				{"reboot", m.Reboot},
				{"its own reboot", func(ctx context.Context) error { return rebootsItself(ctx, m) }},
				{"power off", func(ctx context.Context) error { return errors.Join(m.PowerOff(ctx), m.Start(ctx)) }},
				{"kill", func(ctx context.Context) error { return errors.Join(m.Kill(), m.Start(ctx)) }},
			} {
				if err := way.lose(t.Context()); err != nil {
					t.Fatalf("%s: %v", way.name, err)
				}
				if got := onMachine(t, m, "cat", "/var/lib/it"); got != "kept\n" {
					t.Errorf("after %s the disk holds %q", way.name, got)
				}
				if got := onMachine(t, m, "cat", "/etc/machine-id"); got != id {
					t.Errorf("after %s the machine's id is %q, was %q", way.name, got, id)
				}
				now := onMachine(t, m, "cat", "/proc/sys/kernel/random/boot_id")
				if now == boot {
					t.Errorf("after %s the boot's id is the same", way.name)
				}
				boot = now
			}
			if err := errors.Join(m.Wipe(t.Context()), m.Start(t.Context())); err != nil {
				t.Fatal(err)
			}
			if _, err := m.Exec(t.Context(), "cat", "/var/lib/it"); err == nil {
				t.Error("a wiped disk holds what it held")
			}
		})
	}
}

// rebootsItself has the machine reboot by its own command, as an installation may.
func rebootsItself(ctx context.Context, m *Machine) error {
	before, err := m.first()
	if err != nil {
		return err
	}
	if _, err := m.Exec(ctx, "systemctl", "reboot"); err != nil {
		return err
	}
	err = Poll(ctx, powerLimit, func(context.Context) error {
		if now, err := m.first(); err != nil || now == before {
			return errors.Join(errors.New("it hasn't rebooted"), err)
		}
		return nil
	})
	return errors.Join(err, Poll(ctx, startLimit, m.answers))
}

func TestMachineDiskIsFull(t *testing.T) {
	short(t)
	t.Parallel()
	n := MachinesFor(t, 2)
	m, whole := n.Boot(MachineSpec{Disk: 48 << 20}), n.Boot(MachineSpec{})
	if err := m.FillDisk(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Exec(t.Context(), "cp", "/etc/passwd", "/root/more"); err == nil || !strings.Contains(err.Error(), "No space left") {
		t.Errorf("a write to a full disk: %v", err)
	}
	if err := m.FreeDisk(t.Context()); err != nil {
		t.Fatal(err)
	}
	onMachine(t, m, "cp", "/etc/passwd", "/root/more")
	if err := whole.FillDisk(t.Context()); err == nil {
		t.Error("the host's disk was filled")
	}
}

func TestMachineConsoleAndPause(t *testing.T) {
	short(t)
	t.Parallel()
	m := MachinesFor(t, 1).Boot(MachineSpec{Name: "speaks", Booted: true, UserData: "#!/bin/sh\necho said by user data >/dev/console\n"})
	Await(t, time.Minute, func(context.Context) error {
		said, err := m.Console()
		if err == nil && !strings.Contains(said, "said by user data") {
			err = errors.New("the console has nothing of the user data")
		}
		return err
	})
	if err := m.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := m.answers(t.Context()); err == nil {
		t.Error("a paused machine answers")
	}
	if err := m.Continue(); err != nil {
		t.Fatal(err)
	}
	Await(t, time.Minute, m.answers)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := m.Exec(ctx, "sleep", "1234"); err == nil {
		t.Error("a command outlives the time it was given")
	}
	Await(t, 10*time.Second, func(ctx context.Context) error {
		if out, err := m.Exec(ctx, "pgrep", "-f", "^sleep 1234"); err == nil {
			return errors.New("a command runs on after its time: " + out)
		}
		return nil
	})
}

func onMachine(t *testing.T, m *Machine, command ...string) string {
	t.Helper()
	out, err := m.Exec(t.Context(), command...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
