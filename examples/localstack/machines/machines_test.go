package main

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/localstack/ec2"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/machine"
)

// speaks is user data that cloud-init runs at the first boot only.
const speaks = "#!/bin/sh\necho first boot of $(hostname) >/dev/console\necho kept >/var/lib/it\n"

// An instance that the API says is running becomes a machine at its address, which
// goes by what the API says, and by which the API goes when it switches itself off.
func TestMachinesGoByTheAPI(t *testing.T) {
	needMachines(t)
	r := newRig(t, 3, testkit.S3(t).URL()) // moto's server speaks EC2 too
	r.start()
	one, two, three := r.order(speaks), r.order(""), r.order(speaks, "InstanceInitiatedShutdownBehavior", "terminate")
	r.console(one, "first boot of ip-"+strings.ReplaceAll(one.Address, ".", "-"))
	for _, i := range []ec2.Instance{one, two, three} {
		r.answers(i)
	}
	r.console(three, "first boot")

	// They reach this host at its address in their network, and each other.
	l, err := net.Listen("tcp", net.JoinHostPort(r.place.Gateway(), "0"))
	r.must(err)
	defer l.Close()
	for _, addr := range []string{l.Addr().String(), net.JoinHostPort(two.Address, "22")} {
		host, port, err := net.SplitHostPort(addr)
		r.must(err)
		r.inside(one, "bash", "-c", "exec 3<>/dev/tcp/"+host+"/"+port)
	}
	if out := r.inside(one, "ip", "route"); strings.Contains(out, "default") {
		t.Errorf("a machine has a way out:\n%s", out)
	}

	r.ask("TerminateInstances", two)
	r.gone(two)

	// One that switches itself off is stopped, or terminated, as it was made.
	r.inside(one, "systemctl", "poweroff")
	r.inside(three, "systemctl", "poweroff")
	r.becomes(one, "stopped")
	r.becomes(three, "terminated")
	r.gone(three)

	// Started again it has its disk, and is no new instance to cloud-init.
	r.ask("StartInstances", one)
	r.answers(one)
	if out := r.inside(one, "cat", "/var/lib/it"); out != "kept\n" {
		t.Errorf("the disk has %q", out)
	}
	r.ask("StopInstances", one)
	r.says("stopped", one.ID)
	if on, err := r.box(one).on(); on || err != nil {
		t.Errorf("a stopped machine is on: %v", err)
	}
	r.ask("TerminateInstances", one)
	r.gone(one)
	r.clear()
}

// clear ends everything, with what is there then.
func (r *rig) clear() {
	r.t.Helper()
	p, err := findPlace(r.dir)
	r.must(err)
	if err := r.command("clear").Run(); err == nil {
		r.t.Error("machines are cleared while a program watches over them")
	}
	r.must(r.program.Process.Signal(syscall.SIGTERM))
	r.must(r.program.Wait())
	r.program = nil
	r.must(r.command("clear").Run())
	r.nothingLeft(p)
}

// Neither the end of the program nor an API that is away, or has forgotten all it
// knew, ends a machine. What the API says while the program is away is done
// afterwards.
func TestMachinesOutliveProgramAndAPI(t *testing.T) {
	needMachines(t)
	server := testkit.S3(t)
	r := newRig(t, 3, server.URL())
	r.start()
	one, two := r.order(speaks), r.order(speaks)
	r.console(one, "first boot")
	r.console(two, "first boot")
	was := r.first(one)
	stays := func(what string) {
		t.Helper()
		if got := r.first(one); got != was {
			t.Fatalf("%s: the machine's first process is %d, was %d", what, got, was)
		}
		r.answers(one)
	}

	r.kill()
	r.ask("TerminateInstances", two)
	r.start()
	r.gone(two)
	stays("the program was killed")
	if err := r.command().Run(); err == nil {
		t.Error("two programs watch over the same machines")
	}

	r.must(server.Pause())
	time.Sleep(time.Second) // some beats
	r.must(server.Kill())
	r.says("the API says nothing")
	stays("the API was away")

	// The network is made anew, and the machines connected to it.
	p, err := findPlace(r.dir)
	r.must(err)
	r.must(machine.KillCgroup(p.group("switch")))
	r.must(server.Start(t.Context()))
	r.says("doesn't know the instance", one.ID)
	stays("the API has forgotten everything")

	// An address that such a machine has isn't given to another.
	b := r.box(one)
	w := &watcher{place: b.place}
	other, err := b.place.box("i-other")
	r.must(err)
	if err := w.mayBoot(other, ec2.Instance{ID: "i-other", Address: one.Address}); err == nil || !strings.Contains(err.Error(), one.ID) {
		t.Errorf("two machines at one address: %v", err)
	}
	r.must(r.command("end", one.ID).Run())
	r.gone(one)
	r.clear()
}

// A machine that loses its power, as all do when their host does, boots again over
// its disk; and one that is being made when the program is killed is made once.
func TestMachineLosesPower(t *testing.T) {
	needMachines(t)
	r := newRig(t, 1, testkit.S3(t).URL())
	one := r.order(speaks)
	for _, after := range []time.Duration{0, 30 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond} {
		r.start()
		time.Sleep(after) // an instant of the start
		r.kill()
	}
	r.start()
	r.console(one, "first boot")
	p, err := findPlace(r.dir)
	r.must(err)
	r.must(machine.KillCgroup(p.group(one.ID)))
	r.answers(one)
	if out := r.inside(one, "cat", "/var/lib/it"); out != "kept\n" {
		t.Errorf("the disk has %q", out)
	}
	var systemds int
	pids, err := machine.CgroupProcesses(filepath.Join(p.Cgroups, p.Cgroup))
	r.must(err)
	for _, pid := range pids {
		if _, err := machine.First([]int{pid}); err == nil {
			systemds++
		} else if !errors.Is(err, machine.ErrOff) {
			t.Error(err)
		}
	}
	if systemds != 1 {
		t.Errorf("%d machines run", systemds)
	}
	r.ask("TerminateInstances", one)
	r.gone(one)
	r.clear()
}
