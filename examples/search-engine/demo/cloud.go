package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/localstack/ec2"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// mostMachines are as many as the policy lets there be, and one that leaves.
const mostMachines = 5

// cloud is where crawlers live on machines of their own: LocalStack, which keeps
// EC2's books, the program that boots what stands there, and the crawlers' leader.
type cloud struct {
	place      *testkit.MachinePlace
	folder     string // the machines'
	program    string // that boots them
	logs       string
	localstack *testkit.LocalStackServer
	ec2        *ec2.Client
	watching   *exec.Cmd
	leader     *exec.Cmd
	births     *births // nil before the first
}

// notPossible says what this machine lacks for crawlers on machines of their own.
type notPossible struct{ error }

// tell says it as tests do, in a line that is counted. It is an error where
// everything has to run.
func (why notPossible) tell(o options) error {
	what := "make localstack"
	if o.check {
		what += "-check"
	}
	fmt.Printf("not run: %s, because %v\n", what, why.error)
	fmt.Println("What works here: make demo, where the crawlers are processes of this machine.")
	if os.Getenv("CI") == "true" {
		return errors.New("everything has to run here")
	}
	return nil
}

// findMachines finds, or gets, what machines and their orders are made with.
func (o *options) findMachines(ctx context.Context) error {
	if o.brokers != "" {
		return errors.New("with -machines the queue is one that they reach: -brokers can't be named")
	}
	if _, err := testkit.MachineRoot(ctx); err != nil {
		return notPossible{err}
	}
	if _, err := testkit.LocalStackPython(ctx); err != nil {
		return notPossible{err}
	}
	if o.providers != "" {
		return nil
	}
	var err error
	if o.providers, err = testkit.FindAWSProvider(); err != nil {
		return notPossible{fmt.Errorf("%w (PROVIDERS=folder names another)", err)}
	}
	return nil
}

// startCloud makes the machines' network, and starts LocalStack where they reach
// it.
func (d *demo) startCloud(ctx context.Context) error {
	fmt.Println("Starting LocalStack, and the program that boots its instances.")
	place, err := testkit.TakeMachinePlace(ctx, mostMachines)
	if err != nil {
		return err
	}
	d.host = place.Gateway()
	c := &cloud{place: place, folder: d.place.in("machines"), program: d.place.program("machines"), logs: d.place.logs()}
	d.cloud = c
	port, err := testkit.StartPort()
	if err != nil {
		return err
	}
	c.ec2 = &ec2.Client{Endpoint: fmt.Sprintf("http://127.0.0.1:%d", port), Region: "us-east-1"}
	if err := c.watch(); err != nil {
		return err
	}
	if err := c.awaitNetwork(ctx); err != nil {
		return err
	}
	if c.localstack, err = testkit.StartLocalStack(ctx, testkit.LocalStackOptions{Port: port, Also: d.host}); err != nil {
		return err
	}
	return errors.Join(c.localstack.MakeBucket(ctx, "bundles"), c.localstack.MakeBucket(ctx, "states"))
}

// watch starts the program that boots machines.
func (c *cloud) watch() (err error) {
	c.watching, err = c.start("machines", os.Environ(), c.program, c.arguments()...)
	return err
}

// restart kills that program with -9 and starts it again.
func (c *cloud) restart() error {
	if err := c.watching.Process.Kill(); err != nil {
		return fmt.Errorf("kill the program that boots machines: %w", err)
	}
	_ = c.watching.Wait() // killed, as was wanted
	return c.watch()
}

func (c *cloud) arguments(more ...string) []string {
	return append([]string{
		"-dir", c.folder, "-network", c.place.Network.String(), "-cgroup", c.place.Cgroup, "-endpoint", c.ec2.Endpoint, "-grace", "20s",
	}, more...)
}

// start starts a program with a log of its own, which a Ctrl-C in the terminal
// doesn't reach, and which ends with this one however this ends.
func (c *cloud) start(name string, environment []string, program string, arguments ...string) (*exec.Cmd, error) {
	log, err := os.OpenFile(filepath.Join(c.logs, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer func() { _ = log.Close() }()
	command := exec.Command(program, arguments...)
	command.Env, command.Stdout, command.Stderr = environment, log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return command, c.place.Adopt(command.Process.Pid)
}

// stop asks a program to end, and waits for it.
func stop(command *exec.Cmd, limit time.Duration) error {
	if command == nil {
		return nil
	}
	_ = command.Process.Signal(syscall.SIGTERM) // it may have ended
	late := time.AfterFunc(limit, func() { _ = command.Process.Kill() })
	defer late.Stop()
	if err := command.Wait(); err != nil {
		return fmt.Errorf("stop %s: %w", filepath.Base(command.Path), err)
	}
	return nil
}

// awaitNetwork waits until this host has its address among the machines.
func (c *cloud) awaitNetwork(ctx context.Context) error {
	return testkit.Poll(ctx, time.Minute, func(ctx context.Context) error {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(c.place.Gateway(), "0"))
		if err != nil {
			return fmt.Errorf("wait for the machines' network (see %s): %w", filepath.Join(c.logs, "machines.log"), err)
		}
		return l.Close()
	})
}

// environment is what speaks to LocalStack in place of Amazon.
func (c *cloud) environment() map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL_S3": c.localstack.URL(),
	}
}

// cloudSettings are what the crawlers' root module needs to know of this run.
func (d *demo) cloudSettings() map[string]any {
	return map[string]any{
		"network": d.cloud.place.Network.String(), "consul_address": d.consulAddr(), "aws_endpoint": d.cloud.ec2.Endpoint,
		"machines": d.cloud.folder, "peers_key_file": d.peersKey(), "state_directory": d.place.in("cells"),
	}
}

func (d *demo) peersKey() string { return filepath.Join(d.place.cloud(), "peers.key") }

// makeOnMachines publishes what a machine becomes, has the first crawler made as
// a person would, and starts the leader.
func (d *demo) makeOnMachines(ctx context.Context) error {
	if err := d.terraform(ctx, "crawler", "init"); err != nil {
		return err
	}
	if err := d.homeostat(ctx, "publish", "crawler"); err != nil {
		return err
	}
	d.watchBirths(ctx)
	if err := d.terraform(ctx, "crawler", "apply", "-auto-approve", "-lock-timeout=1m", "-var=initial_count=1"); err != nil {
		return err
	}
	var err error
	d.cloud.leader, err = d.cloud.start("leader", d.environment, d.place.program("homeostat"), "run", "-service", "crawler", "-policy", d.place.policy())
	if err != nil {
		return err
	}
	fmt.Println("Waiting for the crawlers' leader, which learns what an order changes.")
	return testkit.Poll(ctx, leaderLimit, func(ctx context.Context) error {
		record, _, err := d.fleet.Record(ctx, "crawler")
		if err == nil && record == nil {
			err = fmt.Errorf("the crawlers' leader has written no record yet (see %s)", filepath.Join(d.place.logs(), "leader.log"))
		}
		return err
	})
}

// leaderLimit is how long the leader may take to be ready: some plans with a large
// provider.
const leaderLimit = 10 * time.Minute

// writePeersKey makes the key that the sidecars of this run share.
func (d *demo) writePeersKey() error {
	return os.WriteFile(d.peersKey(), []byte(rand.Text()+rand.Text()+"\n"), 0o600)
}

func (c *cloud) stopLeader() error {
	err := stop(c.leader, 2*time.Minute)
	c.leader = nil
	return err
}

// close ends all of it. After a run it makes sure first that nothing is left.
func (c *cloud) close(ctx context.Context, ran bool) error {
	var errs []error
	c.births.end()
	if ran {
		errs = append(errs, c.noInstance(ctx))
	}
	errs = append(errs, c.keepConsoles(), stop(c.watching, time.Minute))
	if _, err := os.Stat(c.folder); err == nil {
		clearing := exec.CommandContext(ctx, c.program, c.arguments("clear")...)
		if out, err := clearing.CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("clear the machines: %w: %s", err, out))
		}
	}
	if c.localstack != nil {
		errs = append(errs, c.localstack.Stop(), c.localstack.Close())
	}
	return errors.Join(append(errs, c.place.Close(), c.noTrace(ctx))...)
}

// keepConsoles copies what the machines have said, which goes with them.
func (c *cloud) keepConsoles() error {
	consoles, err := filepath.Glob(filepath.Join(c.folder, "consoles", "*.log"))
	for _, console := range consoles {
		text, readErr := os.ReadFile(console)
		err = errors.Join(err, readErr, os.WriteFile(filepath.Join(c.logs, "console-"+filepath.Base(console)), text, 0o644))
	}
	if err != nil {
		return fmt.Errorf("keep the consoles of machines: %w", err)
	}
	return nil
}

// noTrace waits until the kernel knows nothing of the machines any more: no
// address, process or mount.
func (c *cloud) noTrace(ctx context.Context) error {
	err := testkit.Poll(ctx, time.Minute, func(context.Context) error {
		addresses, err := net.InterfaceAddrs()
		for _, address := range addresses {
			if strings.HasPrefix(address.String(), c.place.Gateway()+"/") {
				err = errors.Join(err, fmt.Errorf("the address %s", address))
			}
		}
		for _, of := range []struct{ file, trace string }{{"cgroup", c.place.Cgroup}, {"mountinfo", c.folder}} {
			files, globErr := filepath.Glob("/proc/[0-9]*/" + of.file)
			err = errors.Join(err, globErr)
			for _, file := range files {
				if text, readErr := os.ReadFile(file); readErr == nil && strings.Contains(string(text), of.trace) {
					err = errors.Join(err, fmt.Errorf("%s in %s", of.trace, file))
				}
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("something is left: %w", err)
	}
	return nil
}

// noInstance waits until EC2 has no instance that isn't terminated, and no machine
// is left of one.
func (c *cloud) noInstance(ctx context.Context) error {
	err := testkit.Poll(ctx, time.Minute, func(ctx context.Context) error {
		all, err := c.ec2.Instances(ctx)
		for _, i := range all {
			if i.State != "terminated" {
				err = errors.Join(err, fmt.Errorf("instance %s is %s", i.ID, i.State))
			}
		}
		left, globErr := filepath.Glob(filepath.Join(c.folder, "i-*"))
		if len(left) > 0 {
			err = errors.Join(err, fmt.Errorf("machines %v", left))
		}
		return errors.Join(err, globErr)
	})
	if err != nil {
		return fmt.Errorf("something is left: %w", err)
	}
	return nil
}
