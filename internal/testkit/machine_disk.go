package testkit

import (
	"context"
	"fmt"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/machine"
)

// mountDisk makes the disk where its directory can't be it.
func (m *Machine) mountDisk(ctx context.Context) error {
	pid, err := m.theSwitch()
	if err != nil {
		return err
	}
	return machine.MountDisk(ctx, pid, m.box.data, m.spec.Disk)
}

// atSwitch runs a command in one of the switch's namespaces.
func (m *Machine) atSwitch(ctx context.Context, namespace string, command ...string) error {
	pid, err := m.theSwitch()
	if err != nil {
		return err
	}
	return machine.AtSwitch(ctx, pid, namespace, command...)
}

func (m *Machine) theSwitch() (int, error) {
	pid := m.net.box.PID()
	if pid == 0 {
		return 0, fmt.Errorf("reach machine %s from its switch: that has ended", m.Name())
	}
	return pid, nil
}
