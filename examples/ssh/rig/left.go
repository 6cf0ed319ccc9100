package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/remote"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// nothingLeft makes sure that the service has left nothing, neither in Consul nor on
// the machines, which can be used again.
func (r *rig) nothingLeft(ctx context.Context) error {
	errs := []error{r.consulIsEmpty(ctx)}
	for _, m := range r.machines {
		if err := r.isBlank(ctx, m); err != nil {
			errs = append(errs, fmt.Errorf("machine %s: %w", m.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// consulIsEmpty waits until nobody is registered, holds a lock, or has a machine.
func (r *rig) consulIsEmpty(ctx context.Context) error {
	client, err := r.consul.Client()
	if err != nil {
		return err
	}
	return testkit.Poll(ctx, time.Minute, func(ctx context.Context) error {
		members, err := r.fleet.Members(ctx, "web")
		hosts, hostsErr := r.fleet.Hosts(ctx)
		sessions, _, sessionsErr := client.Session().List(nil)
		if err := errors.Join(err, hostsErr, sessionsErr); err != nil {
			return err
		}
		if len(members)+len(hosts)+len(sessions) > 0 {
			return fmt.Errorf("left in Consul: %d registrations, %d claims of machines, %d sessions", len(members), len(hosts), len(sessions))
		}
		return nil
	})
}

// traces lists what of a birth could be on a machine: files, processes, a unit. What
// was brought by its digest stays for the next birth.
const traces = `
ls -d /etc/homeostat /usr/local/bin/* /etc/systemd/system/homeostat.service 2>/dev/null
ls -A /var/lib/homeostat 2>/dev/null | grep -v -x -e blobs -e .lock
pgrep -l homeostat; pgrep -x -l web
:`

// isBlank makes sure that a machine is as it was, and lets births in again.
func (r *rig) isBlank(ctx context.Context, m *testkit.Machine) error {
	out, err := m.Exec(ctx, "sh", "-c", traces)
	if err != nil {
		return err
	}
	if out != "" {
		return fmt.Errorf("left there: %s", strings.Join(strings.Fields(out), " "))
	}
	config, err := r.how.config(m, r.example("secrets", "births.key"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	in, err := remote.Dial(ctx, config)
	if err != nil {
		return fmt.Errorf("it can't be used again: %w", err)
	}
	return in.Close()
}

// noProcess makes sure that no process of this rig is left on this host.
func (r *rig) noProcess(ctx context.Context) error {
	return testkit.Poll(ctx, time.Minute, func(context.Context) error {
		paths, err := filepath.Glob("/proc/[0-9]*/environ")
		if err != nil {
			return err
		}
		var left []string
		for _, path := range paths {
			pid := filepath.Base(filepath.Dir(path))
			environment, err := os.ReadFile(path)
			if err == nil && pid != strconv.Itoa(os.Getpid()) && bytes.Contains(environment, []byte("HOMEOSTAT_POLICY="+r.policy())) {
				left = append(left, pid)
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("processes %s are left", strings.Join(left, ", "))
		}
		return nil
	})
}
