//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	inband "github.com/homeostat-io/terraform-provider-homeostat/internal/load"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// pretend is a cell whose work is waiting: so many requests side by side, the
// others in a queue. What it tells of its load is one to ten seconds old.
type pretend struct {
	fleet.Cell
	slow    func(age time.Duration) float64 // how many times slower
	workers chan struct{}
	server  *http.Server
	ended   chan struct{}
	quit    chan struct{}

	mu      sync.Mutex
	began   time.Time
	flight  int
	latency float64 // seconds
	past    []inband.Report
}

const (
	frontWorkers = 4
	frontService = 200 * time.Millisecond // mean, exponential
	noteEvery    = 100 * time.Millisecond
)

// newPretend picks an address; begin opens it.
func newPretend(tb testing.TB, i int, slow func(time.Duration) float64) *pretend {
	tb.Helper()
	port := testkit.FreePort(tb)
	return &pretend{slow: slow, Cell: fleet.Cell{
		Service: "api", Name: fmt.Sprintf("api-%d", i), Address: "127.0.0.1", Port: port,
		Vitals: "http://127.0.0.1:" + strconv.Itoa(port), TTL: time.Hour,
	}}
}

func (p *pretend) address() string { return net.JoinHostPort(p.Address, strconv.Itoa(p.Port)) }

// begin opens a new life of the cell, born so long ago.
func (p *pretend) begin(tb testing.TB, age time.Duration) {
	tb.Helper()
	l, err := net.Listen("tcp", p.address())
	if err != nil {
		tb.Fatal(err)
	}
	p.BornAt = time.Now().Add(-age)
	p.workers = make(chan struct{}, frontWorkers)
	p.began, p.flight, p.latency, p.past = time.Now(), 0, 0, nil
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	p.ended, p.quit = make(chan struct{}), make(chan struct{})
	server, ended, quit := p.server, p.ended, p.quit
	go func() {
		_ = server.Serve(l) // until end closes it
		close(ended)
	}()
	go p.note(quit)
}

func (p *pretend) end() {
	if p.server == nil {
		return
	}
	_ = p.server.Close() // what is in hand is of no more use
	<-p.ended
	close(p.quit)
	p.server = nil
}

// note writes the load down, for the reports to come.
func (p *pretend) note(quit <-chan struct{}) {
	tick := time.NewTicker(noteEvery)
	defer tick.Stop()
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		p.mu.Lock()
		p.past = append(p.past, inband.Report{
			InFlight: p.flight, Limit: 16 * frontWorkers, Latency: time.Duration(p.latency * float64(time.Second)),
			Hot: p.flight > 8*frontWorkers,
		})
		p.mu.Unlock()
	}
}

// report is the load of one to ten seconds ago; false in the first second.
func (p *pretend) report() (inband.Report, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	age := time.Second + rand.N(9*time.Second)
	if i := len(p.past) - 1 - int(age/noteEvery); i >= 0 {
		return p.past[i], true
	}
	if i := len(p.past) - 1 - int(time.Second/noteEvery); i >= 0 {
		return p.past[0], true
	}
	return inband.Report{}, false
}

// ServeHTTP implements http.Handler.
func (p *pretend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	report, told := p.report()
	switch {
	case r.URL.Path == "/healthz":
		return
	case r.URL.Path == inband.Path && told:
		fmt.Fprint(w, report)
		return
	case r.URL.Path == inband.Path:
		http.NotFound(w, r)
		return
	case told && r.Header.Get(inband.Header) == inband.Ask:
		w.Header().Set(inband.Header, report.String())
	}
	came := time.Now()
	p.count(1, 0)
	p.work(r.Context())
	p.count(-1, time.Since(came))
	fmt.Fprintln(w, "page")
}

func (p *pretend) count(n int, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flight += n
	if n < 0 {
		p.latency += 0.2 * (took.Seconds() - p.latency)
	}
}

func (p *pretend) work(ctx context.Context) {
	select {
	case p.workers <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-p.workers }()
	wait := time.Duration(rand.ExpFloat64() * float64(frontService) * p.slow(time.Since(p.began)))
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}
