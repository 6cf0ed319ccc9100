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
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// kill ends all processes of a cell with -9, its sidecar's and its
// application's alike. It returns how many those were.
func (d *demo) kill(cell fleet.Cell) (int, error) {
	pids, err := d.processes("HOMEOSTAT_CELL_ID=" + cell.ID())
	if err != nil {
		return 0, err
	}
	if len(pids) == 0 {
		return 0, fmt.Errorf("cell %s has no processes to kill", cell.ID())
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return 0, fmt.Errorf("kill process %d of cell %s: %w", pid, cell.ID(), err)
		}
	}
	return len(pids), nil
}

// processes finds this demo's processes by their environment, which begins with
// the given text in one of its variables, or by where they work. They are looked
// for in /proc, so that the verdict is none of Homeostat's own.
func (d *demo) processes(variable string) ([]int, error) {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil || pid == os.Getpid() {
			continue
		}
		// Processes end while they are looked at, and some are not ours to read.
		environment, _ := os.ReadFile(filepath.Join(folder, "environ"))
		ours, found := false, false
		for setting := range bytes.SplitSeq(environment, []byte{0}) {
			ours = ours || string(setting) == "CONSUL_HTTP_ADDR="+d.consulAddr()
			found = found || strings.HasPrefix(string(setting), variable)
		}
		if ours && found {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// nothingLeft waits until nothing is left of the services: no process, no
// registration, no session that could hold a lock, and no locked state.
func (d *demo) nothingLeft(ctx context.Context) error {
	err := testkit.Poll(ctx, time.Minute, func(context.Context) error {
		return errors.Join(d.noProcess(), d.noRegistration(), d.noLock())
	})
	if err != nil {
		return fmt.Errorf("something is left: %w", err)
	}
	return nil
}

func (d *demo) noProcess() error {
	pids, err := d.processes("HOMEOSTAT_CELL_ID=")
	if err != nil {
		return err
	}
	// PostgreSQL's own processes overwrite their environment, but work in the
	// data directory.
	working, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		return err
	}
	for _, link := range working {
		if at, err := os.Readlink(link); err == nil && strings.HasPrefix(at, d.place.in("data")) {
			pids = append(pids, pidOf(link))
		}
	}
	if len(pids) > 0 {
		return fmt.Errorf("processes %v", pids)
	}
	return nil
}

// pidOf reads the number in /proc/123/cwd.
func pidOf(link string) int {
	pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(link))) // the pattern lets only digits through
	return pid
}

func (d *demo) noRegistration() error {
	for _, service := range services {
		entries, _, err := d.consul.Catalog().Service(service, "", nil)
		if err != nil {
			return fmt.Errorf("ask Consul for %s: %w", service, err)
		}
		if len(entries) > 0 {
			return fmt.Errorf("%d registrations of %s", len(entries), service)
		}
	}
	return nil
}

func (d *demo) noLock() error {
	sessions, _, err := d.consul.Session().List(nil)
	if err != nil {
		return fmt.Errorf("ask Consul for sessions: %w", err)
	}
	if len(sessions) > 0 {
		return fmt.Errorf("%d sessions in Consul", len(sessions))
	}
	locks, err := filepath.Glob(filepath.Join(d.place.example(), "terraform", "*", ".terraform.tfstate.lock.info"))
	if err != nil {
		return err
	}
	if len(locks) > 0 {
		return fmt.Errorf("locked states: %v", locks)
	}
	return nil
}
