// Command machines boots the instances that an EC2 API says are running, where the
// API only keeps the books, as LocalStack's and moto's do. Each becomes a real
// Debian machine in namespaces of this host: systemd, sshd, and cloud-init with the
// instance's user data, at the instance's private address.
//
//	machines -dir DIR -network 10.77.0.0/24        until Ctrl-C, which ends no machine
//	machines -dir DIR end i-0123456789abcdef0      end a machine whose instance is no more
//	machines -dir DIR clear                        end all machines and remove everything
//
// It can end, be killed and be started again at any time: the machines run on, and
// it takes them up again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/localstack/ec2"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

type options struct {
	directory string
	network   string
	cgroup    string
	endpoint  string
	region    string
	beat      time.Duration
	grace     time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.directory, "dir", "", "folder for the machines: disks, consoles, what is known of them")
	flag.StringVar(&o.network, "network", "10.77.0.0/24", "network of the instances, as the VPC has it; this host gets its first address")
	flag.StringVar(&o.cgroup, "cgroup", "", "control group for the machines, below the mount of version 2 (default one below this process's)")
	flag.StringVar(&o.endpoint, "endpoint", "http://127.0.0.1:4566", "URL of the EC2 API")
	flag.StringVar(&o.region, "region", "us-east-1", "region of the instances")
	flag.DurationVar(&o.beat, "beat", time.Second, "time between two looks at the API")
	flag.DurationVar(&o.grace, "grace", time.Minute, "time that a machine has to shut down before its power is taken away")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "machines:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, arguments []string) error {
	if o.directory == "" {
		return errors.New("name a folder for the machines with -dir")
	}
	verb, arguments := "watch", arguments
	if len(arguments) > 0 {
		verb, arguments = arguments[0], arguments[1:]
	}
	switch verb {
	case "watch":
		return watch(ctx, o)
	case "end":
		return end(ctx, o, arguments)
	case "clear":
		return clearAll(ctx, o)
	}
	return fmt.Errorf("%q is none of its commands: end, clear, or none", verb)
}

// watch keeps the machines as the API says until ctx ends.
func watch(ctx context.Context, o options) error {
	network, err := netip.ParsePrefix(o.network)
	if err != nil {
		return fmt.Errorf("read -network: %w", err)
	}
	root, err := testkit.MachineRoot(ctx)
	if err != nil {
		return err
	}
	p, err := openPlace(o.directory, network, o.cgroup)
	if err != nil {
		return err
	}
	defer p.close()
	w := &watcher{
		place: p, root: root, grace: o.grace, said: map[string]string{}, busy: map[string]bool{},
		api: &ec2.Client{Endpoint: o.endpoint, Region: o.region},
		log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	w.run(ctx, o.beat)
	return nil
}

// end ends machines that no instance is behind any more.
func end(ctx context.Context, o options, ids []string) error {
	p, err := findPlace(o.directory)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		b, err := p.box(id)
		if err == nil {
			err = errors.Join(b.powerOff(ctx, o.grace), b.remove())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// clearAll ends the machines and removes all there is of them and their network.
func clearAll(ctx context.Context, o options) error {
	p, err := findPlace(o.directory)
	if err != nil {
		return err
	}
	if err := p.lock(); err != nil {
		return err
	}
	defer p.close()
	return p.clear(ctx)
}
