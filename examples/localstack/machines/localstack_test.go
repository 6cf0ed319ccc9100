package main

import (
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// LocalStack keeps the books as moto does.
func TestMachinesOfLocalStack(t *testing.T) {
	needMachines(t)
	r := newRig(t, 2, testkit.LocalStack(t).URL())
	r.start()
	one := r.order(speaks, "InstanceInitiatedShutdownBehavior", "terminate")
	two := r.order("#cloud-config\nruncmd:\n- echo first boot of a cloud config >/dev/console\n")
	r.console(one, "first boot")
	r.console(two, "first boot of a cloud config")
	r.answers(two)
	r.inside(one, "systemctl", "poweroff")
	r.becomes(one, "terminated")
	r.gone(one)
	r.ask("StopInstances", two)
	r.says("stopped", two.ID)
	r.ask("StartInstances", two)
	r.answers(two)
	r.ask("TerminateInstances", two)
	r.gone(two)
	r.clear()
}
