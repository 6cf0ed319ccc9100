package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// rig is what an acceptance test stands on: a real Consul, a state directory
// and a service of its own, and Terraform.
type rig struct {
	t       *testing.T
	consul  *testkit.ConsulServer
	fleet   *fleet.Client
	service string
	dir     string
}

var serviceName = regexp.MustCompile(`[^a-zA-Z0-9]+`)

// newRig uses the Consul that all tests share. The test runs beside others.
func newRig(t *testing.T) *rig {
	t.Helper()
	needServers(t)
	return rigOn(t, testkit.SharedConsul(t))
}

// newRigAlone has a Consul of its own, for tests that stop it.
func newRigAlone(t *testing.T) *rig {
	t.Helper()
	needServers(t)
	return rigOn(t, testkit.Consul(t))
}

func needServers(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs Terraform and Consul")
	}
	t.Parallel()
}

func rigOn(t *testing.T, consul *testkit.ConsulServer) *rig {
	t.Helper()
	testkit.Terraform(t)
	client, err := fleet.New(fleet.Config{Addresses: []string{consul.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, consul: consul, fleet: client, service: serviceName.ReplaceAllString(t.Name(), "-"), dir: filepath.Join(t.TempDir(), "cells")}
	t.Cleanup(func() {
		r.killAll()
		client.Close()
	})
	return r
}

func factories() map[string]func() (tfprotov6.ProviderServer, error) {
	return map[string]func() (tfprotov6.ProviderServer, error){
		"homeostat": providerserver.NewProtocol6WithError(New("test")()),
	}
}

// provider is the configuration's first part.
func (r *rig) provider() string {
	return fmt.Sprintf("provider \"homeostat\" {\n  consul = { address = %q }\n  state_directory = %q\n}\n", r.consul.Addr(), r.dir)
}

// cell is a configuration with one cell, named web-1, whose sidecar is a
// stand-in of the given kind. More are attributes of the resource.
func (r *rig) cell(kind string, more ...string) string {
	return r.provider() + r.resource("web", "web-1", kind, more...)
}

func (r *rig) resource(label, name, kind string, more ...string) string {
	return fmt.Sprintf(`
resource "homeostat_cell" %q {
  service = %q
  name    = %q
  process = {
    command     = [%q]
    environment = { %s = %q, TEST_CONSUL = %q, TEST_RIG = %q }
  }
  %s
}
`, label, r.service, name, os.Args[0], standInVariable, kind, r.consul.Addr(), r.dir, strings.Join(more, "\n  "))
}

const cellAddress = "homeostat_cell.web"

// processes are those of the rig's cells that carry their mark, by their
// command line, and those that said in the log that they run.
func (r *rig) processes() []int {
	r.t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		r.t.Fatal(err)
	}
	var all []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		environ, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		if err == nil && strings.Contains(string(environ), "TEST_RIG="+r.dir+"\x00") && alive(pid) {
			all = append(all, pid)
		}
	}
	return all
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}

// said are the process ids that the stand-ins of web-1 have written to its log.
func (r *rig) said() []int {
	b, err := os.ReadFile(filepath.Join(r.dir, r.service, "web-1", "cell.log"))
	if err != nil {
		return nil
	}
	var all []int
	for line := range strings.Lines(string(b)) {
		var pid int
		if _, err := fmt.Sscanf(line, "begun %d", &pid); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

func (r *rig) killAll() {
	for _, pid := range r.processes() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			r.t.Error(err)
		}
	}
}

// member is the cell's registration, nil when there is none.
func (r *rig) member(name string) *fleet.Member {
	r.t.Helper()
	m, err := r.fleet.Member(context.Background(), r.service, name)
	if err != nil && !errors.Is(err, fleet.ErrNotFound) {
		r.t.Fatal(err)
	}
	return m
}

// nothingLeft is what must hold after every test: no process, registration or
// folder of any cell.
func (r *rig) nothingLeft(*terraform.State) error {
	if left := r.processes(); len(left) > 0 {
		return fmt.Errorf("processes left: %v", left)
	}
	members, err := r.fleet.Members(context.Background(), r.service)
	if err != nil {
		return err
	}
	if len(members) > 0 {
		return fmt.Errorf("registrations left: %+v", members)
	}
	entries, err := os.ReadDir(r.dir)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("left in the state directory: %v", entries)
	}
	return nil
}

// record lets the test be the service's leader for a moment and write.
func (r *rig) record(record fleet.Record) {
	r.t.Helper()
	lease, err := r.fleet.TryStand(r.t.Context(), r.service, fleet.Holder{Cell: "leader", Host: "test"})
	if err != nil {
		r.t.Fatal(err)
	}
	_, index, err := r.fleet.Record(r.t.Context(), r.service)
	if err != nil && !errors.Is(err, fleet.ErrNoRecord) {
		r.t.Fatal(err)
	}
	_, err = lease.PutRecord(r.t.Context(), record, index)
	if err := errors.Join(err, lease.Release(context.WithoutCancel(r.t.Context()))); err != nil {
		r.t.Fatal(err)
	}
}

// await waits for a condition; the limit is only there so that the test ends.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	testkit.Await(t, time.Minute, func(context.Context) error {
		if condition() {
			return nil
		}
		return errors.New("not yet: " + what)
	})
}
