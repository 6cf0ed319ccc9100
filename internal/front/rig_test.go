package front

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(rig{m}) }

// rig ends the servers before goroutines are counted.
type rig struct{ m *testing.M }

func (r rig) Run() int {
	code := r.m.Run()
	if err := testkit.Shutdown(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

// patient is how long a test waits for what must come.
const patient = time.Minute

// house is a Consul, the cells of a service that register there, and a front.
type house struct {
	t     *testing.T
	fleet *fleet.Client
	cells *Cells
	lists *Lists
	front *Front
	url   string
	stop  func()
	// certificate is that of the cells; nil for no TLS.
	certificate *tls.Certificate
	// ahead is added to the front's clock.
	ahead atomic.Int64
}

// served is a cell: an HTTP server that is registered.
type served struct {
	fleet.Cell
	server *httptest.Server
	// answer is what it does beside naming itself; nil for nothing more.
	answer atomic.Pointer[http.HandlerFunc]
	report atomic.Pointer[load.Report]
	got    atomic.Pointer[http.Request]
	hits   atomic.Int64
	probes atomic.Int64
}

// sharedConsul is one Consul for all tests that leave it alone; a test that needs
// it doesn't run with -short.
func sharedConsul(t *testing.T) *testkit.ConsulServer {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Consul")
	}
	return testkit.SharedConsul(t)
}

// newHouse starts a front for service with a rule of its own.
func newHouse(t *testing.T, consul *testkit.ConsulServer, change func(*policy.Front)) *house {
	t.Helper()
	return newHouseBefore(t, consul, nil, change)
}

// newHouseBefore starts one before cells that have TLS and a certificate; nil for none.
func newHouseBefore(t *testing.T, consul *testkit.ConsulServer, certificate *tls.Certificate, change func(*policy.Front)) *house {
	t.Helper()
	r := rule()
	r.SlowStart = 0
	if change != nil {
		change(&r)
	}
	c, err := fleet.New(fleet.Config{Addresses: []string{consul.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, fleet: c, certificate: certificate}
	var scheme string
	var encrypted *tls.Config
	if certificate != nil {
		scheme, encrypted = "https", &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "example.com", RootCAs: x509.NewCertPool()}
		encrypted.RootCAs.AddCert(certificate.Leaf)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	now := func() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }
	cellsOf := func(service string) *Cells {
		if strings.HasPrefix(service, "unknown") {
			return nil
		}
		return NewCells(CellsConfig{Service: service, Rule: r, Catalog: c, Scheme: scheme, Log: log, Now: now})
	}
	watching, unwatch := context.WithCancel(context.Background())
	h.cells, h.lists = cellsOf(h.service()), NewLists(watching, cellsOf)
	h.lists.Add(h.service(), h.cells)
	f := New(Config{Service: h.service(), Rule: r, Cells: h.cells, Lists: h.lists, TLS: encrypted, Log: log, Now: now})
	h.front = f
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.url = "http://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, f, listener) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the front ended with %v", err)
		}
	})
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		unwatch()
		h.lists.Wait()
		h.stop()
		c.Close()
	})
	return h
}

// service is a name in Consul of the test's own.
func (h *house) service() string {
	return strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(h.t.Name()))
}

// add starts a cell and registers it as passing.
func (h *house) add(name string) *served {
	h.t.Helper()
	s := &served{}
	s.server = httptest.NewUnstartedServer(s)
	s.server.Config.Protocols = new(http.Protocols)
	s.server.Config.Protocols.SetHTTP1(true)
	s.server.Config.Protocols.SetUnencryptedHTTP2(true)
	if h.certificate != nil {
		s.server.TLS = &tls.Config{Certificates: []tls.Certificate{*h.certificate}, NextProtos: []string{"h2", "http/1.1"}}
		s.server.Config.Protocols.SetHTTP2(true)
		s.server.StartTLS()
	} else {
		s.server.Start()
	}
	h.t.Cleanup(s.server.Close)
	at := netip.MustParseAddrPort(s.server.Listener.Addr().String())
	s.Cell = fleet.Cell{
		Service: h.service(), Name: name, Incarnation: "one", Address: at.Addr().String(), Port: int(at.Port()),
		Vitals: s.server.URL, BornAt: time.Now().Add(-time.Hour), TTL: time.Hour,
	}
	h.push(s, fleet.Passing)
	h.t.Cleanup(func() { _ = h.fleet.Deregister(context.Background(), s.ID()) }) // The server may be gone.
	return s
}

func (h *house) push(s *served, health fleet.Health) {
	h.t.Helper()
	if err := h.fleet.Push(h.t.Context(), s.Cell, health, "as the test says"); err != nil {
		h.t.Fatal(err)
	}
	h.await("the front to see that "+s.Name+" is "+string(health), func() bool {
		h.cells.mu.Lock()
		defer h.cells.mu.Unlock()
		return h.cells.members[s.ID()].Health == health
	})
}

// ServeHTTP implements http.Handler.
func (s *served) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	report := s.report.Load()
	if r.URL.Path == load.Path {
		s.probes.Add(1)
		if report == nil {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, report.String())
		return
	}
	s.hits.Add(1)
	s.got.Store(r.Clone(context.Background()))
	if report != nil && r.Header.Get(load.Header) == load.Ask {
		w.Header().Set(load.Header, report.String())
	}
	w.Header().Set("Cell", s.Name)
	if answer := s.answer.Load(); answer != nil {
		(*answer)(w, r)
	}
}

func (s *served) does(answer http.HandlerFunc) { s.answer.Store(&answer) }

// reply is an answer whose body was read.
type reply struct {
	StatusCode int
	Status     string
	Header     http.Header
	cookies    []*http.Cookie
}

// get asks the front, and returns the answer and its body.
func (h *house) get(path string, change ...func(*http.Request)) (reply, string) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.url+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.do(r, change...)
}

func (h *house) do(r *http.Request, change ...func(*http.Request)) (reply, string) {
	h.t.Helper()
	for _, c := range change {
		c(r)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		h.t.Fatal(err)
	}
	return reply{answer.StatusCode, answer.Status, answer.Header, answer.Cookies()}, string(text)
}

func (h *house) await(what string, condition func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(patient)
	for !condition() {
		if time.Now().After(deadline) {
			h.t.Fatalf("waited %v for %s", patient, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
