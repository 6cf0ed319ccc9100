package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

const (
	service = "worker" // as in the policy
	jobs    = "jobs"
	done    = "done"
	// workerRate is the jobs a second that one worker does.
	workerRate = 25.0
	// partitions are so many that each of up to twenty workers has about as many.
	partitions = 240
)

// rig is the example with the servers that it needs.
type rig struct {
	place   place
	brokers string
	queue   *kfake.Cluster // nil with a Kafka of the user's own
	server  *testkit.ConsulServer
	consul  *api.Client
	fleet   *fleet.Client
	topics  bool // the topics are there, made by us
	made    bool // the workers may exist
}

// newRig builds the programs and starts the servers; no worker runs yet.
func newRig(ctx context.Context, directory, brokers string) (*rig, error) {
	p, err := newPlace(ctx, directory)
	r := &rig{place: p, brokers: brokers}
	if err == nil {
		err = r.start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.down(context.WithoutCancel(ctx)), p.remove())
	}
	return r, nil
}

func (r *rig) start(ctx context.Context) (err error) {
	if r.server, err = testkit.StartConsul(ctx, testkit.ConsulOptions{Directory: r.place.in("consul")}); err != nil {
		return err
	}
	if r.consul, err = r.server.Client(); err != nil {
		return err
	}
	if r.fleet, err = fleet.New(fleet.Config{Addresses: []string{r.server.Addr()}}); err != nil {
		return err
	}
	if err := r.startQueue(); err != nil {
		return err
	}
	return r.makeTopics(ctx)
}

// up makes the workers that the plan begins with, as a person would, and waits for
// their leader's first word.
func (r *rig) up(ctx context.Context, p plan) error {
	if err := r.place.layOut(r.server.Addr(), r.brokers, p.workers()); err != nil {
		return err
	}
	r.made = true
	fmt.Printf("terraform apply: %d workers.\n", p.workers())
	if err := r.terraform(ctx, "init"); err != nil {
		return err
	}
	if err := r.terraform(ctx, "apply", "-auto-approve", "-lock-timeout=1m"); err != nil {
		return err
	}
	err := testkit.Poll(ctx, 2*time.Minute, func(ctx context.Context) error {
		status := loop.ReadStatus(ctx, r.fleet, service)
		if status.Last == nil || status.Last.Trouble != "" || status.Ready < p.workers() {
			return fmt.Errorf("%d workers are ready; the leader's word: %+v", status.Ready, status.Last)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait for the leader: %w", err)
	}
	return nil
}

// down tells the leader to do nothing more, destroys the workers, stops the servers,
// and makes sure that nothing is left. It goes on after a failure, so that as little
// as possible stays.
func (r *rig) down(ctx context.Context) error {
	var errs []error
	if r.made {
		fmt.Println("terraform destroy.")
		errs = append(errs, r.place.keepLogs(), r.homeostat(ctx, "pause"),
			r.terraform(ctx, "destroy", "-auto-approve", "-lock-timeout=2m"), r.nothingLeft(ctx))
	}
	if r.fleet != nil {
		r.fleet.Close()
	}
	errs = append(errs, r.stopQueue(ctx))
	if r.server != nil {
		errs = append(errs, r.server.Close())
	}
	return errors.Join(errs...)
}

// terraform runs one command in the root module.
func (r *rig) terraform(ctx context.Context, arguments ...string) error {
	log, err := os.OpenFile(r.place.in("logs", "terraform.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("run terraform: %w", err)
	}
	defer func() { _ = log.Close() }()
	command := exec.CommandContext(ctx, r.place.terraform, append(arguments, "-no-color", "-input=false")...)
	command.Dir, command.Env, command.Stdout, command.Stderr = r.place.module(), r.place.environment(r.server.Addr()), log, log
	// A process group of its own, so that Ctrl-C in the terminal is only ours; an
	// interrupt lets Terraform write down what it has made.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = time.Minute
	if err := command.Run(); err != nil {
		return fmt.Errorf("terraform %s (see %s): %w", arguments[0], log.Name(), err)
	}
	return nil
}

// homeostat runs a command of the sidecar's program.
func (r *rig) homeostat(ctx context.Context, name string) error {
	command := exec.CommandContext(ctx, r.place.homeostat(), name, "-policy", r.place.policy())
	command.Env = r.place.environment(r.server.Addr())
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("homeostat %s: %w: %s", name, err, out)
	}
	return nil
}

// nothingLeft waits until no process and no registration of a worker is left, and
// no session that could hold a lock.
func (r *rig) nothingLeft(ctx context.Context) error {
	err := testkit.Poll(ctx, time.Minute, func(context.Context) error {
		entries, _, err := r.consul.Catalog().Service(service, "", nil)
		if err != nil {
			return err
		}
		sessions, _, err := r.consul.Session().List(nil)
		if err != nil {
			return err
		}
		if pids := r.place.processes(); len(pids)+len(entries)+len(sessions) > 0 {
			return fmt.Errorf("processes %v, %d registrations, %d sessions", pids, len(entries), len(sessions))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("something is left: %w", err)
	}
	return nil
}
