package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// standIn is a sidecar for these tests: it registers its cell with the real
// Consul and pushes its health as the real one does, and on top of that can be
// as faulty as a test needs it.
//
//	fail          says why and ends with status 7
//	mute          never registers
//	sick          registers, and is critical
//	gate=FILE     is critical until the file exists
//	stubborn      ignores SIGTERM
//	brood         has children with sessions of their own, one of which
//	              overwrites its environment as PostgreSQL does
//	heir          has a child with a session of its own, which keeps its mark
//	busy          has something in hand for a while after it was asked to drain
//	swamped       has something in hand for ever
type standIn struct {
	kind     []string
	draining atomic.Bool
	asked    atomic.Int64
}

func runStandIn(kind []string) {
	// Nothing of a test outlives it by more than this, whatever fails.
	time.AfterFunc(3*time.Minute, func() { os.Exit(9) })
	s := &standIn{kind: kind}
	switch {
	case s.is("child"):
		s.child()
	case s.is("fail"):
		fmt.Println("cannot open the index: no such file")
		os.Exit(7)
	}
	s.run()
}

func (s *standIn) is(word string) bool { return slices.Contains(s.kind, word) }

func (s *standIn) run() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if s.is("stubborn") {
		ctx = context.Background()
	}
	fmt.Println("begun", os.Getpid())
	if s.is("heir") {
		s.breed("child", true)
	}
	if s.is("brood") {
		s.breed("child", false)
		s.breed("child", true)
		s.breed("child clobbered", true)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() { _ = http.Serve(listener, s.api()) }()
	if s.is("mute") {
		<-ctx.Done()
		return
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	check(err)
	s.push(ctx, port)
	fmt.Println("ended in order")
}

func (s *standIn) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/vitals", func(w http.ResponseWriter, _ *http.Request) {
		v := vitals{
			Cell: os.Getenv("HOMEOSTAT_CELL"), Incarnation: os.Getenv("HOMEOSTAT_INCARNATION"),
			Draining: s.draining.Load(), InFlight: reading.Of(0, time.Now()),
		}
		if s.is("swamped") || s.is("busy") && s.asked.Load() < 3 {
			v.InFlight = reading.Of(2, time.Now())
		}
		if v.Draining {
			s.asked.Add(1)
		}
		_ = json.NewEncoder(w).Encode(v)
	})
	mux.HandleFunc("/v1/drain", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cell") != os.Getenv(birth.Marker) {
			http.Error(w, "another cell's", http.StatusConflict)
			return
		}
		fmt.Println("drain", r.Method)
		s.draining.Store(r.Method == http.MethodPut)
	})
	return mux
}

// push registers the cell and keeps pushing its health, as the real one does.
func (s *standIn) push(ctx context.Context, portText string) {
	port, err := strconv.Atoi(portText)
	check(err)
	client, err := fleet.New(fleet.Config{Addresses: []string{os.Getenv("TEST_CONSUL")}, Prefix: os.Getenv("TEST_PREFIX")})
	check(err)
	host, err := birth.ThisHost()
	check(err)
	pid, started, err := birth.Self()
	check(err)
	generation, err := strconv.Atoi(os.Getenv("HOMEOSTAT_GENERATION"))
	check(err)
	born, err := time.Parse(time.RFC3339Nano, os.Getenv("HOMEOSTAT_BORN_AT"))
	check(err)
	cell := fleet.Cell{
		Service: os.Getenv("HOMEOSTAT_SERVICE"), Name: os.Getenv("HOMEOSTAT_CELL"), Incarnation: os.Getenv("HOMEOSTAT_INCARNATION"),
		Address: "127.0.0.1", Port: port, Vitals: fmt.Sprintf("http://127.0.0.1:%d", port),
		Parent: os.Getenv("HOMEOSTAT_PARENT"), Generation: generation, Reason: os.Getenv("HOMEOSTAT_REASON"), BornAt: born,
		Machine: host.Machine, PID: pid, Started: started, TTL: 10 * time.Second,
	}
	for ctx.Err() == nil {
		health, why := s.health()
		if err := client.Push(ctx, cell, health, why); err != nil && ctx.Err() == nil {
			fmt.Println(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *standIn) health() (fleet.Health, string) {
	if s.is("sick") {
		return fleet.Critical, "the database refuses connections"
	}
	for _, word := range s.kind {
		if file, ok := strings.CutPrefix(word, "gate="); ok {
			if _, err := os.Stat(file); err != nil {
				return fleet.Critical, "still loading the index"
			}
		}
	}
	return fleet.Passing, "well"
}

func (s *standIn) breed(kind string, session bool) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), standInVariable+"="+kind)
	cmd.Stdout = os.Stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	check(cmd.Start())
}

func (s *standIn) child() {
	signal.Ignore(syscall.SIGTERM, syscall.SIGHUP)
	if s.is("clobbered") {
		clobberEnvironment()
	}
	fmt.Println("begun", os.Getpid())
	select {}
}

// clobberEnvironment writes over the environment that /proc shows.
func clobberEnvironment() {
	b, err := os.ReadFile("/proc/self/stat")
	check(err)
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	from, err := strconv.ParseInt(fields[47], 10, 64)
	check(err)
	to, err := strconv.ParseInt(fields[48], 10, 64)
	check(err)
	mem, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	check(err)
	_, err = mem.WriteAt(bytes.Repeat([]byte{'x'}, int(to-from)), from)
	check(err)
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
