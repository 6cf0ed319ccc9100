//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"text/template"
	"time"

	"golang.org/x/sys/unix"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

const (
	frontCells   = 20
	frontLoad    = 0.6 // of what the cells could do, were none slow
	frontLength  = 15 * time.Second
	frontBirth   = 2 * time.Second // when the newborn comes
	frontTimeout = 5 * time.Second // of a client
	frontSlowed  = 3
	frontNewborn = 11
)

// BenchmarkFront measures how clients fare before twenty cells of which one is
// slowed ten-fold and one is born meanwhile, ten times slower at first and as
// quick as the others after ten seconds, while what the cells tell of their load
// is one to ten seconds old. The front stands beside HAProxy and nginx, by turns
// and by least connections, in turn in one run with the same arrivals. Latency is
// from when a request was due; one that takes five seconds is an error. Cells and
// clients are on one core, the program before the cells alone on another.
func BenchmarkFront(b *testing.B) {
	n := measuring(b)
	rig := newFrontRig(b)
	figures := map[string][]clients{}
	for round := range n {
		for _, way := range rig.ways {
			figures[way.name] = append(figures[way.name], rig.measure(way, uint64(round)))
		}
	}
	b.Logf("%d rounds, machine's load %s\n%s", n, machineLoad(), rig.table(figures))
	if ours := figures[rig.ways[0].name]; len(ours) > 0 {
		report(b, map[string]float64{
			"p99-ms":  middle(each(ours, func(c clients) float64 { return ms(quantile(c.took, 0.99)) })),
			"error-%": middle(each(ours, clients.errorShare)),
		})
	}
}

// frontRig is the cells and the programs to put before them.
type frontRig struct {
	b      *testing.B
	dir    string
	fleet  *fleet.Client
	cells  []*pretend
	ways   []way
	listen string
	pinned bool
}

// way is a program, and how it chooses.
type way struct {
	name    string
	command func() []string
}

func newFrontRig(b *testing.B) *frontRig {
	for _, program := range []string{"haproxy", "nginx", "taskset"} {
		if _, err := exec.LookPath(program); err != nil {
			testkit.NotRun(b, b.Name(), program+" is not installed (Debian's packages haproxy, nginx-light and util-linux)")
		}
	}
	consul := testkit.Consul(b)
	client, err := fleet.New(fleet.Config{Addresses: []string{consul.Addr()}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	r := &frontRig{b: b, dir: b.TempDir(), fleet: client, listen: fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(b))}
	for i := range frontCells {
		slow := func(time.Duration) float64 { return 1 }
		switch i {
		case frontSlowed:
			slow = func(time.Duration) float64 { return 10 }
		case frontNewborn:
			slow = func(age time.Duration) float64 { return math.Max(1, 10-0.9*age.Seconds()) }
		}
		r.cells = append(r.cells, newPretend(b, i, slow))
	}
	r.write("homeostat.hcl", fmt.Sprintf("consul { address = %q }\nservice \"api\" {\n  min = 1\n  max = 30\n  terraform { dir = \"api\" }\n  front { sticky = \"off\" }\n}\n", consul.Addr()))
	homeostat := testkit.Sidecar(b)
	r.ways = []way{
		{"homeostat front", func() []string {
			return []string{homeostat, "front", "-policy", filepath.Join(r.dir, "homeostat.hcl"), "-listen", r.listen, "-log-level", "error"}
		}},
		{"HAProxy, round robin", func() []string { return []string{"haproxy", "-db", "-f", r.config("haproxy.cfg", "roundrobin")} }},
		{"HAProxy, leastconn", func() []string { return []string{"haproxy", "-db", "-f", r.config("haproxy.cfg", "leastconn")} }},
		{"nginx, round robin", func() []string { return []string{"nginx", "-p", r.dir, "-c", r.config("nginx.conf", "")} }},
		{"nginx, least_conn", func() []string { return []string{"nginx", "-p", r.dir, "-c", r.config("nginx.conf", "least_conn;")} }},
	}
	r.pin()
	return r
}

// pin keeps clients and cells, which are this process, on one core.
func (r *frontRig) pin() {
	if len(r.cores()) < 2 {
		r.b.Log("this machine has one core: all share it")
		return
	}
	out, err := exec.CommandContext(r.b.Context(), "taskset", "-apc", r.cores()[0], strconv.Itoa(os.Getpid())).CombinedOutput()
	if err != nil {
		r.b.Fatalf("pin to a core: %v: %s", err, out)
	}
	r.pinned = true
	r.first()
}

// first has this process, and what it starts from here on, go before the other
// work of the machine, where it may: else a busy machine is measured, and the more
// so the more a program waits for.
func (r *frontRig) first() {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		r.b.Fatal(err)
	}
	turns := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	for _, task := range tasks {
		id, _ := strconv.Atoi(task.Name()) // the kernel writes it so
		if err := unix.SchedSetAttr(id, &turns, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			r.b.Logf("the machine's other work goes on beside this, at the same priority: %v", err)
			return
		}
	}
}

// cores are those that this machine has, the first and the last.
func (r *frontRig) cores() []string {
	online, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		r.b.Fatal(err)
	}
	return slices.Compact(strings.FieldsFunc(strings.TrimSpace(string(online)), func(c rune) bool { return c == '-' || c == ',' }))
}

func (r *frontRig) write(name, text string) string {
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.b.Fatal(err)
	}
	return path
}

// config writes the configuration of one of the others.
func (r *frontRig) config(name, balance string) string {
	t, err := template.ParseFiles(filepath.Join("testdata", "bench-front", name))
	if err != nil {
		r.b.Fatal(err)
	}
	var addresses []string
	for _, c := range r.cells {
		addresses = append(addresses, c.address())
	}
	var text bytes.Buffer
	if err := t.Execute(&text, map[string]any{"Listen": r.listen, "Balance": balance, "Cells": addresses, "Dir": r.dir}); err != nil {
		r.b.Fatal(err)
	}
	return r.write(name, text.String())
}

// clients is what a run's clients met.
type clients struct {
	took   []time.Duration // of what was answered
	failed int
	errs   []error
	cpu    float64 // share of a core that clients and cells took
}

func (c clients) errorShare() float64 { return 100 * float64(c.failed) / float64(len(c.took)+c.failed) }

// measure runs one program before the cells once.
func (r *frontRig) measure(w way, seed uint64) clients {
	r.b.Helper()
	for i, c := range r.cells {
		if i != frontNewborn {
			c.begin(r.b, time.Hour)
			r.push(c)
		}
		defer c.end()
	}
	defer r.forget()
	stop := r.start(w)
	defer stop()
	born := time.AfterFunc(frontBirth, func() {
		c := r.cells[frontNewborn]
		c.begin(r.b, 0)
		r.push(c)
	})
	defer born.Stop()
	before := cpuTime()
	began := time.Now()
	got := r.offer(rand.New(rand.NewPCG(seed, 5)))
	got.cpu = (cpuTime() - before).Seconds() / time.Since(began).Seconds()
	if len(got.errs) > 0 {
		r.b.Logf("%s, round %d: %d errors, the first: %v", w.name, seed+1, got.failed, got.errs[0])
	}
	if got.cpu > 0.7 {
		r.b.Errorf("%s: void, as clients and cells took %.0f %% of their core", w.name, 100*got.cpu)
	}
	return got
}

func (r *frontRig) push(c *pretend) {
	if err := r.fleet.Push(r.b.Context(), c.Cell, fleet.Passing, "well"); err != nil {
		r.b.Error(err)
	}
}

// forget has the next run find the newborn unborn.
func (r *frontRig) forget() {
	if err := r.fleet.Deregister(context.WithoutCancel(r.b.Context()), r.cells[frontNewborn].ID()); err != nil {
		r.b.Error(err)
	}
}

// start runs the program until it answers. The function returned ends it.
func (r *frontRig) start(w way) (stop func()) {
	r.b.Helper()
	args := w.command()
	if r.pinned {
		args = append([]string{"taskset", "-c", r.cores()[1]}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		r.b.Fatal(err)
	}
	ready := &http.Client{Timeout: time.Second}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		answer, err := ready.Get("http://" + r.listen + "/")
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			r.b.Fatalf("%s doesn't answer: %v\n%s", w.name, err, said.String())
		}
	}
	ready.CloseIdleConnections()
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		killed := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // how it ends is no figure
		killed.Stop()
	}
}

// offer sends requests when they are due, whether or not others have come back.
func (r *frontRig) offer(rng *rand.Rand) clients {
	transport := &http.Transport{MaxIdleConnsPerHost: 4096}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: frontTimeout}
	rate := frontLoad * frontCells * frontWorkers / frontService.Seconds()
	var mu sync.Mutex
	var got clients
	var wg sync.WaitGroup
	due := time.Now()
	for end := due.Add(frontLength); due.Before(end); {
		due = due.Add(time.Duration(rng.ExpFloat64() / rate * float64(time.Second)))
		time.Sleep(time.Until(due))
		began := due
		wg.Go(func() {
			err := r.ask(client)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				got.failed++
				got.errs = append(got.errs, err)
				return
			}
			got.took = append(got.took, time.Since(began))
		})
	}
	wg.Wait()
	return got
}

func (r *frontRig) ask(client *http.Client) error {
	answer, err := client.Get("http://" + r.listen + "/")
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	if answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status)
	}
	return errors.Join(err, answer.Body.Close())
}

func cpuTime() time.Duration {
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use) // it can't fail for oneself
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func each(all []clients, f func(clients) float64) []float64 {
	var values []float64
	for _, c := range all {
		values = append(values, f(c))
	}
	return values
}

// table prints medians, and behind them the least and the most of all rounds.
func (r *frontRig) table(figures map[string][]clients) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "median (least-most)\tp50 ms\tp99 ms\tp99.9 ms\terrors %\trequests\tclients' CPU %\t")
	for _, way := range r.ways {
		all := figures[way.name]
		fmt.Fprintf(w, "%s\t", way.name)
		for _, q := range []float64{0.5, 0.99, 0.999} {
			fmt.Fprintf(w, "%s\t", spreadOf(each(all, func(c clients) float64 { return ms(quantile(c.took, q)) }), 0))
		}
		fmt.Fprintf(w, "%s\t", spreadOf(each(all, clients.errorShare), 2))
		fmt.Fprintf(w, "%.0f\t", middle(each(all, func(c clients) float64 { return float64(len(c.took) + c.failed) })))
		fmt.Fprintf(w, "%s\t\n", spreadOf(each(all, func(c clients) float64 { return 100 * c.cpu }), 0))
	}
	_ = w.Flush() // a strings.Builder takes everything
	return text.String()
}

func spreadOf(values []float64, digits int) string {
	return fmt.Sprintf("%.*f (%.*f-%.*f)", digits, middle(values), digits, slices.Min(values), digits, slices.Max(values))
}
