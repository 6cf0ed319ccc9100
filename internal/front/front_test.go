package front

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func TestPassesOn(t *testing.T) {
	h := newHouse(t, sharedConsul(t), func(f *policy.Front) { f.Trusted = []string{"127.0.0.0/8"} })
	cell := h.add("api-1")
	cell.report.Store(&load.Report{InFlight: 2, Limit: 10, Crawlers: true})
	answer, _ := h.get("/a%2Fb?q=1&q=2;x", func(r *http.Request) {
		r.Host = "search.example"
		r.Header.Set("X-Forwarded-For", "192.0.2.7")
		r.Header.Set("X-Forwarded-Proto", "https")
		r.AddCookie(&http.Cookie{Name: "own", Value: "1"})
		r.AddCookie(&http.Cookie{Name: "homeostat_" + h.service(), Value: "nonsense"})
	})
	got := cell.got.Load()
	if got.Host != "search.example" || got.RequestURI != "/a%2Fb?q=1&q=2;x" {
		t.Errorf("the cell was asked for %s of %s", got.RequestURI, got.Host)
	}
	for name, want := range map[string]string{
		"X-Forwarded-For": "192.0.2.7, 127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "search.example",
		"Cookie": "own=1", load.Header: load.Ask, load.Moved: "1",
	} {
		if is := got.Header.Get(name); is != want {
			t.Errorf("%s: %q, want %q", name, is, want)
		}
	}
	if answer.Header.Get(load.Header) != "" {
		t.Error("the report goes on to the client")
	}
	var known load.Report
	h.cells.with(func(_ time.Time, c *Chooser) { known = c.cells[cell.ID()].last.Report })
	if known != *cell.report.Load() {
		t.Errorf("of the cell's load is known %v", known)
	}
	if cookie := answer.cookies; len(cookie) != 1 || !cookie[0].HttpOnly || !cookie[0].Secure || strings.Contains(cookie[0].Value, "api") {
		t.Errorf("cookies %v", cookie)
	}
}

// Cells whose address is https are spoken to by TLS, and their certificate is looked at.
func TestCellsByTLS(t *testing.T) {
	other := httptest.NewTLSServer(nil) // for its certificate
	certificate := other.TLS.Certificates[0]
	certificate.Leaf = other.Certificate()
	other.Close()
	for _, h2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "h2"}[h2], func(t *testing.T) {
			h := newHouseBefore(t, sharedConsul(t), &certificate, func(f *policy.Front) { f.H2C = h2 })
			cell := h.add("api-1")
			transport := &http.Transport{Protocols: new(http.Protocols)}
			transport.Protocols.SetUnencryptedHTTP2(true)
			defer transport.CloseIdleConnections()
			answer, err := (&http.Client{Transport: transport}).Get(h.url)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if got := cell.got.Load(); answer.StatusCode != http.StatusOK || got.TLS == nil || (got.ProtoMajor == 2) != h2 {
				t.Errorf("%s, the cell saw %+v", answer.Status, got)
			}
			h.cells.mu.Lock()
			defer h.cells.mu.Unlock()
			if url := h.cells.baseURL(h.cells.members[cell.ID()]); url != cell.server.URL {
				t.Errorf("listed at %s", url)
			}
		})
	}
}

// A cell that is full refuses, and isn't taken for broken.
func TestBusyIsNotBroken(t *testing.T) {
	h := newHouse(t, sharedConsul(t), func(f *policy.Front) { f.Sticky, f.EjectAfter, f.Retries, f.Panic = policy.StickyOff, 1, 0, 0 })
	cell := h.add("api-1")
	cell.report.Store(&load.Report{InFlight: 10, Limit: 10})
	cell.does(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	for range 5 {
		h.get("/")
	}
	cell.does(func(http.ResponseWriter, *http.Request) {})
	if answer, text := h.get("/"); answer.StatusCode != http.StatusOK || cell.hits.Load() != 6 {
		t.Errorf("after %d requests: %s, %s", cell.hits.Load(), answer.Status, text)
	}
	cell.does(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	for range 5 {
		h.get("/")
	}
	if n := cell.hits.Load(); n != 7 {
		t.Errorf("a broken cell was asked %d times", n-6)
	}
}

// A client that sends what can't be read, or nothing, or takes nothing, is cut, and no
// cell is blamed for that.
func TestBadClients(t *testing.T) {
	h := newHouse(t, sharedConsul(t), func(f *policy.Front) {
		f.Sticky, f.EjectAfter, f.Panic, f.Silence = policy.StickyOff, 1, 0, 500*time.Millisecond
	})
	cell := h.add("api-1")
	cell.does(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for piece := make([]byte, 1<<20); r.URL.Path == "/much"; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	for request, want := range map[string]string{
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n": "HTTP/1.1 400",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc":             "HTTP/1.1 408",
		"GET /much HTTP/1.1\r\nHost: x\r\n\r\n":                                   "HTTP/1.1 200",
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, request)
		_ = c.SetDeadline(time.Now().Add(patient))
		line := make([]byte, len(want))
		if _, err := io.ReadFull(c, line); err != nil || string(line) != want {
			t.Errorf("%q: %q, %v, want %s", request, line, err, want)
		}
		h.await("nothing to be in flight", func() bool { return h.inFlight(cell) == 0 })
		_ = c.Close()
		if answer, text := h.get("/"); answer.StatusCode != http.StatusOK {
			t.Errorf("after %q: %s, %s", request, answer.Status, text)
		}
	}
}

// A stream may pause for longer than a client may be silent.
func TestStreamsPause(t *testing.T) {
	h := newHouse(t, sharedConsul(t), func(f *policy.Front) { f.Silence = 500 * time.Millisecond })
	h.add("api-1").does(func(w http.ResponseWriter, _ *http.Request) {
		for _, piece := range []string{"one ", "two"} {
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Second)
		}
	})
	if _, text := h.get("/"); text != "one two" {
		t.Errorf("got %q", text)
	}
}

func TestForwardedIsNotBelieved(t *testing.T) {
	h := newHouse(t, sharedConsul(t), nil)
	cell := h.add("api-1")
	h.get("/", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.7") })
	if is := cell.got.Load().Header.Get("X-Forwarded-For"); is != "127.0.0.1" {
		t.Errorf("X-Forwarded-For: %q", is)
	}
}

func TestSticky(t *testing.T) {
	for _, sticky := range []string{policy.StickyCookie, policy.StickyAddress, policy.StickyHeader} {
		t.Run(sticky, func(t *testing.T) {
			h := newHouse(t, sharedConsul(t), func(f *policy.Front) { f.Sticky, f.StickyHeader = sticky, "X-Client" })
			cells := map[string]*served{}
			for i := range 4 {
				cell := h.add(fmt.Sprintf("api-%d", i))
				cells[cell.Name] = cell
			}
			var cookies []*http.Cookie
			ask := func() string {
				answer, _ := h.get("/", func(r *http.Request) {
					r.Header.Set("X-Client", "seven")
					for _, c := range cookies {
						r.AddCookie(c)
					}
				})
				if set := answer.cookies; len(set) > 0 {
					cookies = set
				}
				return answer.Header.Get("Cell")
			}
			home := ask()
			for range 20 {
				if at := ask(); at != home {
					t.Fatalf("sent to %s, and is at home at %s", at, home)
				}
			}
			h.push(cells[home], fleet.Warning)
			for range 5 {
				if at := ask(); at == home {
					t.Fatalf("sent to %s, which is warning", at)
				}
			}
			if sticky != policy.StickyCookie {
				return
			}
			second := ask()
			hot := load.Report{InFlight: 9, Limit: 10, Hot: true}
			cells[second].report.Store(&hot)
			ask() // Its answer tells.
			if at := ask(); at == second || at == home {
				t.Errorf("sent to %s, which is hot or warning", at)
			}
		})
	}
}

func TestCellsThatFail(t *testing.T) {
	h := newHouse(t, sharedConsul(t), func(f *policy.Front) { f.Sticky, f.Panic = policy.StickyOff, 0 })
	good, dead, ill := h.add("api-1"), h.add("api-2"), h.add("api-3")
	dead.server.Close()
	// A broken cell whose proxy tells of much room is no better than one that is silent.
	ill.report.Store(&load.Report{Limit: 100, Crawlers: true})
	ill.does(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "ill", http.StatusServiceUnavailable) })
	for range 40 {
		if answer, text := h.get("/"); answer.StatusCode != http.StatusOK || answer.Header.Get("Cell") != good.Name {
			t.Fatalf("%s from %q: %s", answer.Status, answer.Header.Get("Cell"), text)
		}
	}
	// Once alone for a while, no cell that fails is asked any more.
	before := ill.hits.Load()
	if before > 10 {
		t.Errorf("the ill cell was asked %d times", before)
	}
	// A body is sent again only to who never had any of it.
	h.ahead.Add(int64(time.Hour))
	for range 10 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		if answer, text := h.do(r); answer.StatusCode != http.StatusOK && answer.Header.Get("Cell") != ill.Name {
			t.Errorf("%s from %q: %s", answer.Status, answer.Header.Get("Cell"), text)
		}
	}
}

// A cell that breaks off in the middle of an answer breaks the client's off too:
// what was passed on can't be taken back.
func TestNoRetryAfterTheFirstByte(t *testing.T) {
	h := newHouse(t, sharedConsul(t), nil)
	breaks := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "begun")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	a, b := h.add("api-1"), h.add("api-2")
	a.does(breaks)
	b.does(breaks)
	answer, err := http.Get(h.url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err == nil || string(text) != "begun" {
		t.Errorf("got %q, %v", text, err)
	}
	if n := a.hits.Load() + b.hits.Load(); n != 1 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestRetriesHaveABudget(t *testing.T) {
	h := newHouse(t, sharedConsul(t), func(f *policy.Front) { f.RetryMin, f.RetryShare, f.EjectAfter = 0, 0.1, 1000 })
	fails := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	a, b := h.add("api-1"), h.add("api-2")
	a.does(fails)
	b.does(fails)
	for range 50 {
		h.get("/")
	}
	if n := a.hits.Load() + b.hits.Load(); n > 55 || n < 52 {
		t.Errorf("50 requests became %d, and a tenth may be sent again", n)
	}
}

func TestStreams(t *testing.T) {
	h := newHouse(t, sharedConsul(t), nil)
	cell := h.add("api-1")
	next := make(chan string)
	cell.does(func(w http.ResponseWriter, r *http.Request) {
		for {
			select {
			case <-r.Context().Done():
				close(next)
				return
			case text := <-next:
				_, _ = io.WriteString(w, text)
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
	go func() { next <- "one\n" }()
	answer, err := http.Get(h.url)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(answer.Body)
	for _, want := range []string{"one\n", "two\n"} {
		if want == "two\n" {
			next <- want
		}
		if got, err := lines.ReadString('\n'); got != want {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if n := h.inFlight(cell); n != 1 {
		t.Errorf("%d in flight while the answer comes", n)
	}
	_ = answer.Body.Close()
	<-next // The cell learns that the client has gone.
	h.await("nothing to be in flight", func() bool { return h.inFlight(cell) == 0 })
}

func (h *house) inFlight(s *served) (n int) {
	h.cells.with(func(_ time.Time, c *Chooser) { n = c.cells[s.ID()].own })
	return n
}

func TestUpgrades(t *testing.T) {
	h := newHouse(t, sharedConsul(t), nil)
	cell := h.add("api-1")
	cell.does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.Copy(conn, both)
	})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, h.url, nil)
	r.RequestURI = ""
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	both, ok := answer.Body.(io.ReadWriteCloser)
	if answer.StatusCode != http.StatusSwitchingProtocols || !ok {
		t.Fatal(answer.Status)
	}
	_, _ = io.WriteString(both, "hello\n")
	if got, err := bufio.NewReader(both).ReadString('\n'); got != "hello\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if n := h.inFlight(cell); n != 1 {
		t.Errorf("%d in flight", n)
	}
	_ = both.Close()
	h.await("nothing to be in flight", func() bool { return h.inFlight(cell) == 0 })
}

func TestHTTP2(t *testing.T) {
	h := newHouse(t, sharedConsul(t), func(f *policy.Front) { f.H2C = true })
	cell := h.add("api-1")
	cell.does(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Sum")
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("Sum", "42")
	})
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Post(h.url, "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); string(text) != "hello" || err != nil || answer.Trailer.Get("Sum") != "42" {
		t.Errorf("got %q, %v, trailer %v", text, err, answer.Trailer)
	}
	if answer.ProtoMajor != 2 || cell.got.Load().ProtoMajor != 2 {
		t.Errorf("the client was spoken to by %s, the cell by %s", answer.Proto, cell.got.Load().Proto)
	}
}

func TestRefusals(t *testing.T) {
	h := newHouse(t, sharedConsul(t), func(f *policy.Front) { f.AnswerTimeout, f.MaxInFlight = 100*time.Millisecond, 1 })
	h.await("Consul to tell", func() bool { _, told := h.cells.age(); return told })
	answer, text := h.get("/", func(r *http.Request) { r.Header.Set("Accept", "text/html") })
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" || !strings.Contains(text, "has no server just now") || !strings.Contains(text, "<h1>") {
		t.Errorf("%s: %s", answer.Status, text)
	}
	cell := h.add("api-1")
	begun, end := make(chan struct{}), make(chan struct{})
	cell.does(func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-end
	})
	first := make(chan int)
	go func() {
		answer, err := http.Post(h.url, "text/plain", nil)
		if err != nil {
			first <- 0
			return
		}
		_ = answer.Body.Close()
		first <- answer.StatusCode
	}()
	<-begun
	if answer, text := h.get("/"); answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text, "Too many requests") {
		t.Errorf("%s: %s", answer.Status, text)
	}
	if status := <-first; status != http.StatusGatewayTimeout {
		t.Errorf("a cell that doesn't answer: %d", status)
	}
	close(end)
}

func TestDrains(t *testing.T) {
	h := newHouse(t, sharedConsul(t), nil)
	cell := h.add("api-1")
	begun, end := make(chan struct{}), make(chan struct{})
	cell.does(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-end
		_, _ = io.WriteString(w, "whole")
	})
	if answer, _ := h.get("/healthz"); answer.StatusCode != http.StatusOK {
		t.Errorf("health: %s", answer.Status)
	}
	got := make(chan string)
	go func() {
		answer, err := http.Get(h.url)
		if err != nil {
			got <- err.Error()
			return
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		got <- string(text)
	}()
	<-begun
	stopped := make(chan struct{})
	go func() { h.stop(); close(stopped) }()
	h.await("the front to take nobody new", func() bool {
		answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(h.url + "/healthz")
		if err == nil {
			_ = answer.Body.Close()
		}
		return err != nil
	})
	close(end)
	if text := <-got; text != "whole" {
		t.Errorf("the request in hand got %q", text)
	}
	<-stopped
}

func TestConsulAway(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Consul")
	}
	consul := testkit.Consul(t)
	h := newHouse(t, consul, nil)
	h.add("api-1")
	if err := consul.Kill(); err != nil {
		t.Fatal(err)
	}
	h.ahead.Add(int64(time.Hour))
	if answer, text := h.get("/"); answer.StatusCode != http.StatusOK {
		t.Errorf("with Consul away: %s %s", answer.Status, text)
	}
	l := h.list(h.service(), http.StatusOK)
	if !l.Stale || l.AgeSeconds < 3600 || len(l.Cells) != 1 || l.Cells[0].Cell != "api-1" {
		t.Errorf("the list with Consul away: %+v", l)
	}
	h.beside("never-heard-of-before", http.StatusServiceUnavailable)
	if err := consul.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.await("Consul to be heard again", func() bool { return h.list(h.service(), http.StatusOK).AgeSeconds < 3600 })
}

// list asks for the cells of a service.
func (h *house) list(service string, want int) (l List) {
	h.t.Helper()
	answer, text := h.get("/v1/services/" + service)
	h.read(service, answer.StatusCode, want, text, &l)
	return l
}

// beside asks as an application does, beside itself, where all services are listed.
func (h *house) beside(service string, want int) (l List) {
	h.t.Helper()
	mux, answer := http.NewServeMux(), httptest.NewRecorder()
	mux.Handle(ListPattern, h.lists)
	mux.ServeHTTP(answer, httptest.NewRequestWithContext(h.t.Context(), http.MethodGet, "/v1/services/"+service, nil))
	h.read(service, answer.Code, want, answer.Body.String(), &l)
	return l
}

func (h *house) read(service string, status, want int, text string, l *List) {
	h.t.Helper()
	if status != want {
		h.t.Fatalf("list of %s: %d %s", service, status, text)
	}
	if err := json.Unmarshal([]byte(text), l); err != nil {
		h.t.Fatal(err)
	}
}

func TestLists(t *testing.T) {
	h := newHouse(t, sharedConsul(t), nil)
	full, free, warned := h.add("api-1"), h.add("api-2"), h.add("api-3")
	h.push(warned, fleet.Warning)
	full.report.Store(&load.Report{InFlight: 10, Limit: 10})
	free.report.Store(&load.Report{InFlight: 1, Limit: 10})
	var l List
	h.await("the probes to tell what was reported last", func() bool {
		l = h.list(h.service(), http.StatusOK)
		first := l.Cells[0].Room
		return first != nil && *first >= 0.5 && *first <= 0.9 && l.Cells[1].Hot
	})
	var order []string
	for _, c := range l.Cells {
		order = append(order, c.Cell)
	}
	if strings.Join(order, " ") != "api-2 api-1 api-3" {
		t.Errorf("in the order %v", order)
	}
	if c := l.Cells[0]; c.URL != free.server.URL || c.Hot || c.Health != fleet.Passing || c.AgeSeconds == nil || c.Incarnation != "one" {
		t.Errorf("%+v", c)
	}
	if !l.Cells[1].Hot || l.Cells[2].Health != fleet.Warning || l.Stale {
		t.Errorf("%+v", l)
	}
	answer, _ := h.get("/v1/services/" + h.service() + "?limit=1")
	if answer.Header.Get("Cache-Control") != "max-age=2" {
		t.Errorf("Cache-Control: %s", answer.Header.Get("Cache-Control"))
	}
	h.list("empty", http.StatusNotFound)
	if l := h.beside("empty", http.StatusOK); l.Cells == nil || len(l.Cells) != 0 {
		t.Errorf("a service without cells: %+v", l)
	}
	h.beside("unknown", http.StatusNotFound)
	h.list(h.service()+"?limit=0", http.StatusBadRequest)
}
