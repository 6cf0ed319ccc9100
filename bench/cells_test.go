package bench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// house is several cells of one service and a front before them, on the processor of
// the programs under test; their applications are on the other one.
type house struct {
	houseSettings
	policy string // path
	front  *program
	cells  []*cell
}

// houseSettings is what cells.hcl and haproxy-cells.cfg are filled in with.
type houseSettings struct {
	settings
	// Service has a name of its own in each house, as all share one Consul.
	Service string
	// Kafka and Topic are of the queue that applications put messages on by way of
	// the spool; empty for none.
	Kafka, Topic string
	// Cells are the addresses of applications that have no sidecar.
	Cells []string
}

// cell is a sidecar and its application, or an application alone.
type cell struct {
	*program
	address     string // of the application, or of the proxy before it
	application int    // process id
	own         string // address of the sidecar's own HTTP
	messages    string // file with the ids that were acknowledged
}

var houses atomic.Int64

// newHouse begins without any cell.
func newHouse(b *testing.B, t task, queue *testkit.KafkaServer, topic string) *house {
	b.Helper()
	h := &house{houseSettings: houseSettings{
		settings: settings{task: t, Dir: b.TempDir(), Listen: loopback(b), Consul: testkit.SharedConsul(b).Addr()},
		Service:  fmt.Sprintf("api%d", houses.Add(1)), Topic: topic,
	}}
	if queue != nil {
		h.Kafka = queue.Addr()
	}
	must(b, os.WriteFile(filepath.Join(h.Dir, "homeostat.paused"), nil, 0o600)) // it leads nobody
	h.policy = write(b, "cells.hcl", h.Dir, h.houseSettings)
	return h
}

// application is the command of an application.
func (h *house) application(b *testing.B) []string {
	return []string{
		generator(b), "serve", "-workers", strconv.Itoa(h.Workers), "-work", h.Work.String(), "-body", "1000",
	}
}

// begin starts one more cell. It answers some moments later.
func (h *house) begin(b *testing.B) *cell {
	b.Helper()
	name := fmt.Sprintf("%s-%d", h.Service, len(h.cells)+1)
	c := &cell{own: loopback(b), messages: filepath.Join(h.Dir, name+".ids")}
	address := loopback(b)
	_, port, err := net.SplitHostPort(address)
	must(b, err)
	command := []string{
		testkit.Sidecar(b), "run", "-policy", h.policy, "-service", h.Service, "-cell", name,
		"-address", "127.0.0.1", "-port", port, "-listen", c.own, "--", "taskset", "-c", theirs,
	}
	command = append(command, h.application(b)...)
	if h.Topic != "" {
		command = append(command, "-topic", h.Topic, "-name", name, "-log", c.messages)
	}
	c.program = run(b, name, ours, h.Dir, nil, command...)
	c.address = address
	h.cells = append(h.cells, c)
	return c
}

// ready waits until a cell answers.
func (c *cell) ready(b *testing.B) {
	b.Helper()
	c.answers(b, c.address)
	c.application = childOf(b, c.cmd.Process.Pid)
}

// beginFront starts the front and waits until it answers, and knows as many cells.
func (h *house) beginFront(b *testing.B) {
	b.Helper()
	h.front = run(b, "front", ours, h.Dir, nil, testkit.Sidecar(b), "front", "-policy", h.policy, "-service", h.Service, "-listen", h.Listen)
	h.front.answers(b, h.Listen)
}

// stop ends front and cells.
func (h *house) stop() {
	if h.front != nil {
		h.front.stop()
	}
	for _, c := range h.cells {
		c.stop()
	}
}

// cpu is the time that the applications have had.
func (h *house) cpu(b *testing.B) (all time.Duration) {
	b.Helper()
	for _, c := range h.cells {
		if c.application != 0 {
			all += cpu(b, c.application)
		}
	}
	return all
}

// signal stops or wakes a cell as a whole, as a machine that freezes.
func (c *cell) signal(b *testing.B, s syscall.Signal) {
	b.Helper()
	must(b, c.cmd.Process.Signal(s))
	if c.application != c.cmd.Process.Pid {
		must(b, syscall.Kill(c.application, s))
	}
}

// fetched is what a URL answers.
func fetched(ctx context.Context, url string, read func(*http.Response) error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, answer.Status)
	}
	return read(answer)
}
