package fleet

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"go.uber.org/goleak"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// fastSessions lets sessions be shorter than the ten seconds Consul asks for.
const fastSessions = `session_ttl_min = "500ms"`

// testTTL is the session TTL of the tests that wait for one to run out.
const testTTL = 1500 * time.Millisecond

// patient is how long a test waits for what must come.
const patient = time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(leaderAddress) != "" {
		leaderMain()
		return
	}
	goleak.VerifyTestMain(rig{m})
}

// rig runs the tests in an environment of their own and ends their servers
// before goroutines are counted.
type rig struct{ m *testing.M }

func (r rig) Run() int {
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "CONSUL_") {
			if err := os.Unsetenv(name); err != nil {
				panic(err)
			}
		}
	}
	code := r.m.Run()
	var err error
	if shared.server != nil {
		err = shared.server.Close()
	}
	if err := errors.Join(err, testkit.Shutdown()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

var shared struct {
	sync.Once
	server *testkit.ConsulServer
	err    error
}

// sharedConsul is one server for all tests that don't disturb it.
func sharedConsul(t *testing.T) *testkit.ConsulServer {
	t.Helper()
	if _, err := testkit.ConsulBinary(t.Context()); err != nil {
		testkit.NotRun(t, t.Name(), err.Error())
	}
	shared.Do(func() {
		shared.server, shared.err = testkit.StartConsul(context.Background(), testkit.ConsulOptions{Config: fastSessions})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	t.Cleanup(func() { tidy(t, shared.server) })
	return shared.server
}

// tidy removes what a test left, so that it can run again.
func tidy(t *testing.T, server *testkit.ConsulServer) {
	consul := raw(t, server)
	_, err := consul.KV().DeleteTree(prefix(t)+"/", nil)
	ok(t, err)
	cells, err := consul.Agent().ServicesWithFilter(fmt.Sprintf("Service == %q", service(t)))
	ok(t, err)
	for id := range cells {
		ok(t, consul.Agent().ServiceDeregister(id))
	}
}

// prefix is a folder in Consul's KV of the test's own.
func prefix(t *testing.T) string {
	return "test/" + strings.NewReplacer("#", "-", " ", "_").Replace(t.Name())
}

// quiet is a configuration for a server, with keys of the test's own.
func quiet(t *testing.T, addresses ...string) Config {
	return Config{
		Addresses: addresses, Prefix: prefix(t),
		SessionTTL: testTTL, LockDelay: 100 * time.Millisecond, Timeout: 2 * time.Second,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// service is a name in Consul's catalog of the test's own.
func service(t *testing.T) string {
	return strings.ToLower(strings.NewReplacer("/", "-", "#", "-", "_", "-").Replace(t.Name()))
}

func newClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// sharedClient is a client of the shared server.
func sharedClient(t *testing.T) *Client {
	t.Helper()
	return newClient(t, quiet(t, sharedConsul(t).Addr()))
}

// lead takes a lock and gives it up with the test.
func lead(t *testing.T, c *Client, service string) *Lease {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	lease, err := c.Stand(ctx, service, Holder{Service: service, Cell: service + "-1", Host: "here", PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patient)
		defer cancel()
		if err := lease.Release(ctx); err != nil {
			t.Errorf("release: %v", err)
		}
	})
	return lease
}

// awaitLost waits until a lease is lost and checks that it says why.
func awaitLost(t *testing.T, lease *Lease) {
	t.Helper()
	select {
	case <-lease.Lost():
	case <-time.After(patient):
		t.Fatal("the lease was never lost")
	}
	if err := lease.Err(); !errors.Is(err, ErrFenced) {
		t.Errorf("lost because of %v, want ErrFenced", err)
	}
}

// await repeats a look until it succeeds.
func await(t *testing.T, what string, look func() error) {
	t.Helper()
	deadline := time.Now().Add(patient)
	for {
		err := look()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// raw is Consul's own client, for what an operator does by hand.
func raw(t *testing.T, server *testkit.ConsulServer) *api.Client {
	t.Helper()
	return must(server.Client())(t)
}

// fault is an address that answers as a test wants it to.
func fault(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	addr := l.Addr().String()
	ok(t, l.Close())
	return addr
}

// must ends the test on an error: must(f())(t) is f's value.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

// swallow forwards requests and drops the answers of those that match.
func swallow(to string, matches func(*http.Request) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		drop := matches(r)
		out := r.Clone(r.Context())
		out.URL.Scheme, out.URL.Host, out.RequestURI = "http", to, ""
		resp, err := http.DefaultTransport.RoundTrip(out)
		if err != nil || drop {
			panic(http.ErrAbortHandler)
		}
		defer func() { _ = resp.Body.Close() }()
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}
}

// base64Record is a record as Consul's HTTP API shows it.
func base64Record(count int) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"format":1,"count":%d}`, count))
}
