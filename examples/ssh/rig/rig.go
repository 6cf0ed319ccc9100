package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// pool is how many machines there are.
const pool = 4

// rig is four blank machines, Consul, and an operator's place.
type rig struct {
	*place
	how      access
	net      *testkit.MachineNet
	machines []*testkit.Machine
	consul   *testkit.ConsulServer
	fleet    *fleet.Client
	leader   *exec.Cmd // nil while none runs
	births   *watch
	tally    tally
}

// newRig boots the machines and lays the example out for them.
func newRig(ctx context.Context, p *place, how access) (*rig, error) {
	fmt.Printf("Booting %d blank machines that births get into by %s.\n", pool, how)
	r := &rig{place: p, how: how}
	if err := r.boot(ctx); err != nil {
		return nil, errors.Join(err, r.close(context.WithoutCancel(ctx)))
	}
	return r, nil
}

func (r *rig) boot(ctx context.Context) error {
	private, public, err := newKey()
	if err != nil {
		return err
	}
	if r.net, err = testkit.StartMachines(ctx, pool); err != nil {
		return err
	}
	if r.consul, err = testkit.StartConsul(ctx, testkit.ConsulOptions{Also: r.net.Gateway()}); err != nil {
		return err
	}
	if r.fleet, err = fleet.New(fleet.Config{Addresses: []string{r.consul.Addr()}}); err != nil {
		return err
	}
	r.machines = make([]*testkit.Machine, pool)
	var booting errgroup.Group
	for i := range r.machines {
		booting.Go(func() (err error) {
			r.machines[i], err = r.net.StartMachine(ctx, r.how.machine(public))
			return err
		})
	}
	if err := booting.Wait(); err != nil {
		return err
	}
	return r.settle(private)
}

// settle writes what of the example is this rig's own.
func (r *rig) settle(private string) error {
	_, port, err := net.SplitHostPort(r.consul.Addr())
	if err != nil {
		return err
	}
	consul := net.JoinHostPort(r.net.Gateway(), port)
	if err := r.layOut(consul); err != nil {
		return err
	}
	var hosts []map[string]any
	for _, m := range r.machines {
		hosts = append(hosts, map[string]any{"address": m.Addr(), "host_keys": []string{m.HostKey()}})
	}
	return errors.Join(r.write("secrets/births.key", private), r.set(map[string]any{
		"consul_address": consul, "secrets": r.example("secrets"), "hosts": hosts,
		"user": user, "sudo_rule": r.machines[0].SudoRule(), "by_certificate": r.how == byCertificate,
	}))
}

// up does what the README says: publish, have the first cell born, lead.
func (r *rig) up(ctx context.Context) error {
	r.births = watchBirths(ctx, r.fleet)
	if err := r.run(ctx, r.terraform, "init", "-input=false", "-no-color"); err != nil {
		return err
	}
	if err := r.run(ctx, r.homeostat(), "publish", "web"); err != nil {
		return err
	}
	fmt.Println("terraform apply: the first cell is born.")
	if err := r.run(ctx, r.terraform, "apply", "-auto-approve", "-input=false", "-no-color", "-var=initial_count=1"); err != nil {
		return err
	}
	return r.lead()
}

// run runs a program in the root module. What it said is in the error.
func (r *rig) run(ctx context.Context, program string, args ...string) error {
	command := exec.CommandContext(ctx, program, args...)
	command.Dir, command.Env = r.module(), r.environment()
	// A process group of its own, so that Ctrl-C is only ours; an interrupt lets
	// Terraform write down what it has made.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = time.Minute
	out, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, out)
	}
	return nil
}

// lead starts a leader on this machine.
func (r *rig) lead() error {
	log, err := os.OpenFile(r.in("logs", "leader-by-"+string(r.how)+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start a leader: %w", err)
	}
	defer func() { _ = log.Close() }() // the leader has it too
	command := exec.Command(r.homeostat(), "run", "-service", "web")
	command.Dir, command.Env, command.Stdout, command.Stderr = r.module(), r.environment(), log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start a leader: %w", err)
	}
	r.leader = command
	return nil
}

// stopLeading lets the leader end what it does.
func (r *rig) stopLeading() error {
	if r.leader == nil {
		return nil
	}
	leader := r.leader
	r.leader = nil
	if err := leader.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the leader: %w", err)
	}
	if err := leader.Wait(); err != nil {
		return fmt.Errorf("the leader ended badly: %w", err)
	}
	return nil
}

// down takes the service down.
func (r *rig) down(ctx context.Context) error {
	paused := r.run(ctx, r.homeostat(), "pause", "web")
	stopped := r.stopLeading()
	destroyed := r.run(ctx, r.terraform, "destroy", "-auto-approve", "-input=false", "-no-color", "-lock-timeout=1m")
	return errors.Join(paused, stopped, destroyed)
}

// close ends the machines and Consul, whatever is on them.
func (r *rig) close(ctx context.Context) error {
	errs := []error{r.stopLeading()}
	if r.births != nil {
		r.births.stop()
	}
	if r.fleet != nil {
		r.fleet.Close()
	}
	if r.net != nil {
		errs = append(errs, r.net.Close())
	}
	if r.consul != nil {
		errs = append(errs, r.consul.Close())
	}
	return errors.Join(append(errs, r.noProcess(ctx))...)
}

// help tells somebody who looks at it what can be tried.
func (r *rig) help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nTwo cells live on two of four machines. In another shell:\n\n  export HOMEOSTAT_POLICY=%s\n  PATH=%s:$PATH\n", r.policy(), r.in("bin"))
	fmt.Fprint(&b, "  homeostat status\n  homeostat hosts\n  homeostat pin web 4\n\nThe machines, which nobody gets into while a cell lives there:\n\n")
	for _, m := range r.machines {
		fmt.Fprintf(&b, "  ssh %s@%s\n", m.User(), m.Address())
	}
	return b.String() + "\nCtrl-C removes everything.\n"
}
