package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	cellload "github.com/homeostat-io/terraform-provider-homeostat/internal/load"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// apiVariable has the test binary be an application: see serveAPI.
const apiVariable = "HOMEOSTAT_TEST_API"

// serveAPI is an application behind a proxy. It answers who asked, /slow once
// the file named in the query is there, and ends at /die.
func serveAPI() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%d %s for %s at %s", os.Getpid(), r.URL.Path, r.Header.Get("X-Forwarded-For"), os.Getenv("HOMEOSTAT_PUBLIC"))
	})
	http.HandleFunc("/late", func(http.ResponseWriter, *http.Request) { time.Sleep(300 * time.Millisecond) })
	http.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		for range 6000 {
			if _, err := os.Stat(r.URL.Query().Get("file")); err == nil || r.Context().Err() != nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		_, _ = io.WriteString(w, "done")
	})
	http.HandleFunc("/die", func(http.ResponseWriter, *http.Request) { os.Exit(3) })
	at := net.JoinHostPort(os.Getenv("HOMEOSTAT_ADDRESS"), os.Getenv("HOMEOSTAT_PORT"))
	fmt.Fprintln(os.Stderr, http.ListenAndServe(at, nil))
	os.Exit(1)
}

// fronted is a cell whose sidecar has a proxy before the application.
type fronted struct {
	t      *testing.T
	cmd    *exec.Cmd
	log    *bytes.Buffer
	fleet  *fleet.Client
	member fleet.Member
	url    string
}

func startFronted(t *testing.T) *fronted {
	needServers(t)
	program, consul, dir := testkit.Sidecar(t), testkit.Consul(t), t.TempDir()
	policy := filepath.Join(dir, "homeostat.hcl")
	if err := os.WriteFile(policy, fmt.Appendf(nil, `
consul { address = %q }
service "api" {
  min  = 1
  max  = 2
  beat = "200ms"
  lead = []
  terraform { dir = "api" }
  proxy {
    slow_start = "0s"
    trusted    = ["127.0.0.0/8"]
  }
  latency { upper = "5s" }
  health {
    tcp      = true
    interval = "100ms"
  }
}`, consul.Addr()), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := &fronted{t: t, log: &bytes.Buffer{}}
	f.cmd = exec.Command(program, "run", "-policy", policy, "-service", "api", "-cell", "api-1", "--", self)
	f.cmd.Env = append(os.Environ(), apiVariable+"=1")
	f.cmd.Stdout, f.cmd.Stderr = f.log, f.log
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	t.Cleanup(func() {
		once.Do(func() {
			_ = f.cmd.Process.Kill() // it has ended where the test did
			_ = f.cmd.Wait()
		})
		if t.Failed() {
			t.Log(f.log)
		}
	})
	if f.fleet, err = fleet.New(fleet.Config{Addresses: []string{consul.Addr()}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.fleet.Close)
	f.await("the cell is passing", func() bool { return f.health() == fleet.Passing })
	f.url = "http://" + net.JoinHostPort(f.member.Address, strconv.Itoa(f.member.Port))
	return f
}

func (f *fronted) health() fleet.Health {
	members, err := f.fleet.Members(f.t.Context(), "api")
	if err != nil || len(members) != 1 {
		return ""
	}
	f.member = members[0]
	return f.member.Health
}

func (f *fronted) await(what string, ok func() bool) {
	f.t.Helper()
	testkit.Await(f.t, time.Minute, func(context.Context) error {
		if !ok() {
			return fmt.Errorf("not yet: %s", what)
		}
		return nil
	})
}

func (f *fronted) ask(method, url string, header ...string) (int, string, http.Header) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	if res.Close {
		res.Header.Set("Connection", "close") // net/http takes it off
	}
	return res.StatusCode, string(body), res.Header
}

func (f *fronted) vitals() (v sense.Vitals) {
	_, text, _ := f.ask(http.MethodGet, f.member.Vitals+sense.VitalsPath)
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		f.t.Fatal(err)
	}
	return v
}

// A cell behind a proxy, whole: found in Consul at the proxy's port, measured by it,
// told apart when its application is gone, drained, and ended without losing a request.
func TestProxiedCell(t *testing.T) {
	f := startFronted(t)
	status, body, header := f.ask(http.MethodGet, f.url+"/a", cellload.Header, cellload.Ask, "X-Forwarded-For", "192.0.2.7")
	pid, rest, _ := strings.Cut(body, " ")
	if want := "/a for 192.0.2.7, 127.0.0.1 at " + f.url; status != 200 || rest != want {
		t.Fatalf("%d %q, want %q", status, rest, want)
	}
	if r, err := cellload.Parse(header.Get(cellload.Header)); err != nil || !r.Crawlers || r.Hot {
		t.Errorf("report in band: %+v, %v", r, err)
	}
	if status, text, _ := f.ask(http.MethodGet, f.member.Vitals+cellload.Path); status != 200 {
		t.Errorf("probe: %d %q", status, text)
	}
	f.await("the vitals are the proxy's", func() bool {
		f.ask(http.MethodGet, f.url+"/b", "Homeostat-Crawler", "1")
		f.ask(http.MethodGet, f.url+"/b")
		v := f.vitals()
		return v.Latency != nil && v.Latency.Count() > 0 && v.Offered.Known && v.Offered.Value > 0 && v.Served.Value > 0 && v.InFlight.Known
	})
	if status, text, _ := f.ask(http.MethodGet, f.member.Vitals+"/metrics"); status != 200 ||
		!strings.Contains(text, `homeostat_proxy_requests_total{class="crawler",outcome="served"}`) {
		t.Errorf("metrics: %d without the proxy's", status)
	}

	// Its application ends in the middle of an answer, is not there, and comes back.
	if status, text, _ := f.ask(http.MethodPost, f.url+"/die"); status != http.StatusBadGateway {
		t.Errorf("a request that ends the application: %d %q, want 502", status, text)
	}
	f.await("the application is back", func() bool {
		status, text, _ := f.ask(http.MethodGet, f.url+"/c")
		if status == http.StatusServiceUnavailable && !strings.Contains(text, "the application isn't there") {
			t.Errorf("503 says %q", text)
		}
		return status == 200 && !strings.HasPrefix(text, pid+" ")
	})
	f.await("the cell is passing again", func() bool { return f.health() == fleet.Passing })

	f.drains(t)
}

// drains has the cell drain and take that back, and then end with a request in flight.
func (f *fronted) drains(t *testing.T) {
	drain := f.member.Vitals + "/v1/drain?cell=" + f.member.ID()
	f.ask(http.MethodPut, drain)
	f.await("the cell is spared", func() bool { return f.health() == fleet.Warning })
	if status, _, header := f.ask(http.MethodGet, f.url+"/d"); status != 200 || header.Get("Connection") != "close" {
		t.Errorf("while it drains: %d, Connection: %q", status, header.Get("Connection"))
	}
	f.ask(http.MethodDelete, drain)
	f.await("the cell is passing again", func() bool { return f.health() == fleet.Passing })

	file := filepath.Join(t.TempDir(), "go")
	slow := make(chan string, 1)
	go func() {
		res, err := http.Get(f.url + "/slow?file=" + file)
		if err != nil {
			slow <- err.Error()
			return
		}
		defer func() { _ = res.Body.Close() }()
		body, _ := io.ReadAll(res.Body)
		slow <- string(body)
	}()
	f.await("the request is in flight", func() bool { return f.vitals().InFlight.Value == 1 })
	if err := f.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.await("the cell leaves", func() bool { return f.health() != fleet.Passing })
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := <-slow; got != "done" {
		t.Errorf("the request in flight got %q", got)
	}
	if err := f.cmd.Wait(); err != nil {
		t.Errorf("the sidecar ended with %v", err)
	}
}
