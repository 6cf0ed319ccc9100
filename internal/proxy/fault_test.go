package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What went wrong behind the proxy is told apart, and no request that may have done
// something is sent twice.
func TestFaults(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	nobody := startBefore(t, "", l.Addr().String())
	got := nobody.do(t, "GET", "/", "")
	if got.status != 503 || !strings.Contains(got.body, "the application isn't there") || got.header.Get("Retry-After") == "" {
		t.Errorf("nobody there: %+v", got)
	}
	if !nobody.away.Load() {
		t.Error("it isn't noted that the application is away")
	}

	var came atomic.Int64
	r := start(t, `bounds { answer = "50ms" }`, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/late":
			<-r.Context().Done()
		case "/ends":
			panic(http.ErrAbortHandler)
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/unasked":
			w.WriteHeader(http.StatusSwitchingProtocols)
		}
	}))
	for path, want := range map[string]int{"/late": 504, "/ends": 502, "/unasked": 502, "/": 200} {
		for _, method := range []string{"POST", "PUT"} {
			came.Store(0)
			if got := r.do(t, method, path, "x"); got.status != want || came.Load() != 1 {
				t.Errorf("%s %s: %d after %d tries, want %d after 1", method, path, got.status, came.Load(), want)
			}
		}
	}
	if res, err := r.client.Get(r.url + "/cut"); err == nil {
		defer func() { _ = res.Body.Close() }()
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Error("an answer that is cut looks whole")
		}
	}
	if n := r.inHand(); n != 0 {
		t.Errorf("%d are still in hand", n)
	}
}

// A caller that gives up has the application give up, too, and its place is free.
func TestCallerGivesUp(t *testing.T) {
	begun, ended := make(chan bool, 1), make(chan bool, 1)
	r := start(t, "", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		begun <- true
		<-r.Context().Done()
		ended <- true
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.Do(req); err == nil { //nolint:bodyclose // there is no answer
		t.Error("answered")
	}
	<-ended
	until(t, "its place is free", func() bool { return r.Idle() && r.stats[Client].gone.Load() == 1 })
}

// Senders that are slow or send too much are cut, and one whose application is slow is
// not.
func TestBodies(t *testing.T) {
	r := start(t, `bounds {
      body_bytes = 1000
      grace      = "100ms"
      rate       = 1000
    }`, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/thinks" {
			time.Sleep(300 * time.Millisecond) // longer than a sender may take
		}
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Saw", strconv.FormatInt(n, 10))
	}))
	long := strings.Repeat("x", 1001)
	head := "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	for name, c := range map[string]struct{ text, want string }{
		"too long, as it says":     {head + "Content-Length: 1001\r\n\r\n" + long, "413"},
		"too long, chunk by chunk": {head + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + long + "\r\n0\r\n\r\n", "413"},
	} {
		if got, _, _ := strings.Cut(r.raw(t, c.text, false), "\r\n"); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %s", name, got, c.want)
		}
	}
	if got := r.do(t, "POST", "/thinks", long[:1000]); got.status != 200 || got.header.Get("Saw") != "1000" {
		t.Errorf("a slow application: %+v", got)
	}
	c, err := net.Dial("tcp", r.at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, head+"Content-Length: 10\r\n\r\nabc") // and no more
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	line := make([]byte, 12)
	if _, err := io.ReadFull(c, line); err != nil || string(line) != "HTTP/1.1 408" {
		t.Errorf("a slow sender: %q, %v", line, err)
	}
}

// A reader that takes nothing is cut: it would hold its place for ever.
func TestSlowReader(t *testing.T) {
	r := start(t, `bounds {
      grace = "100ms"
      rate  = 1000000
    }`, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 1<<20)
		for range 100 {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}))
	c, err := net.Dial("tcp", r.at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	until(t, "it has begun", func() bool { return r.stats[Client].offered.Load() == 1 })
	until(t, "it is cut", r.Idle)
}

// Nobody keeps a connection by asking on and on and never reading: what is refused, has
// no body, or goes elsewhere counts as much as a long answer.
func TestWhoNeverReadsIsCut(t *testing.T) {
	const bounds = "\nbounds { grace = \"100ms\" }\n"
	long := strings.Repeat("x", 4000)
	for name, c := range map[string]struct {
		block   string
		request string
		change  func(*Config)
	}{
		"refused":   {onePlace + bounds, "GET /x HTTP/1.1\r\nHost: x\r\nHomeostat-Crawler: 1\r\n\r\n", func(*Config) {}},
		"elsewhere": {onePlace + bounds, "GET /" + long + " HTTP/1.1\r\nHost: x\r\n\r\n", func(c *Config) { c.Siblings = anyRoom{} }},
		"no body":   {bounds, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n", func(*Config) {}},
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			r := start(t, c.block, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/none" {
					w.Header().Set("X-Long", long)
					w.WriteHeader(http.StatusNoContent)
					return
				}
				<-release
			}), c.change)
			defer close(release)
			if c.block != bounds {
				go func() { _, _ = http.Get(r.url) }() //nolint:noctx,bodyclose // it takes the one place until the end
				until(t, "the place is taken", func() bool { return r.inHand() == 1 })
			}
			conn, err := net.Dial("tcp", r.at)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
			many := strings.Repeat(c.request, 100)
			for err == nil {
				_, err = io.WriteString(conn, many)
			}
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Fatal("it is still open after minutes")
			}
		})
	}
}

// anyRoom is siblings one of which always has room.
type anyRoom struct{}

func (anyRoom) WithRoom(bool) (string, bool) { return "http://sibling.example", true }

func TestConnections(t *testing.T) {
	r := start(t, "bounds { connections_per_address = 2 }", echo)
	var open []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", r.at)
		if err != nil && len(open) == 2 {
			return // it was closed before it knew that it was open
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		open = append(open, c)
		until(t, "it is accepted", func() bool { return r.open()+int(r.refusedOf()) == len(open) })
	}
	if _, err := open[2].Read(make([]byte, 1)); err == nil {
		t.Error("the third connection is answered")
	}
	_, _ = io.WriteString(open[1], "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := open[1].Read(make([]byte, 1)); err != nil {
		t.Errorf("the second connection: %v", err)
	}
	_ = open[0].Close()
	until(t, "the first is gone", func() bool { return r.open() == 1 })
	if got := r.do(t, "GET", "/", ""); got.status != 201 {
		t.Errorf("after one has gone: %+v", got)
	}
}

func (r *rig) refusedOf() uint64 { return r.connections.Counts().RefusedOfOne }

func TestHeaderBounds(t *testing.T) {
	r := start(t, `bounds {
      header_bytes = 1024
      header_time  = "100ms"
    }`, echo)
	if got := r.raw(t, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 8000)+"\r\n\r\n", false); !strings.HasPrefix(got, "HTTP/1.1 431") {
		t.Errorf("long headers: %.40q", got)
	}
	c, err := net.Dial("tcp", r.at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHo")
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("slow headers: %v", err)
	}
}

// While the application is away the cell doesn't look like one with room, sends clients
// on, and counts none of them; its return is noticed though nobody asks.
func TestApplicationReturns(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	siblings := &others{}
	r := startBefore(t, "", l.Addr().String(), func(c *Config) { c.Siblings = siblings })
	if got := r.do(t, "GET", "/", ""); got.status != 503 {
		t.Errorf("nobody there: %+v", got)
	}
	if report := r.Report(); !report.Hot || report.Crawlers {
		t.Errorf("while nobody is there: %+v", report)
	}
	siblings.room = "http://192.0.2.1:80"
	for _, class := range []string{"Homeostat-Crawler", "X"} {
		if got := r.do(t, "POST", "/", "x", class, "1"); got.status != 307 {
			t.Errorf("%s with a sibling: %+v", class, got)
		}
	}
	if offered := r.Traffic().Offered; offered != 1 {
		t.Errorf("%g offered here, want only the first", offered)
	}
	if l, err = net.Listen("tcp", l.Addr().String()); err != nil {
		t.Skipf("another program took the port meanwhile: %v", err)
	}
	app := &http.Server{Handler: echo, ReadHeaderTimeout: time.Minute}
	defer func() { _ = app.Close() }()
	go func() { _ = app.Serve(l) }()
	until(t, "the return is noticed", func() bool { report := r.Report(); return !report.Hot && report.Crawlers })
	if got := r.do(t, "GET", "/", ""); got.status != 201 {
		t.Errorf("after the return: %+v", got)
	}
}

// Who is refused and sends the body slowly is cut as well: the server would read some
// of it before it answers, for as long as it takes.
func TestSlowBodyOfTheRefused(t *testing.T) {
	r, siblings := crowded(t, "\nbounds { grace = \"100ms\" }")
	for _, want := range []string{"HTTP/1.1 503", "HTTP/1.1 307"} {
		c, err := net.Dial("tcp", r.at)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc") // and no more
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%q, %v, want %s and the end", got, err, want)
		}
		_ = c.Close()
		siblings.room = "http://192.0.2.1:80"
	}
}

// The same where the application answers before it has read the body.
func TestSlowBodyOfTheAnswered(t *testing.T) {
	r := start(t, "bounds { grace = \"500ms\" }", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusUnauthorized)
		_ = http.NewResponseController(w).Flush()
	}))
	c, err := net.Dial("tcp", r.at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc") // and no more
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	got, err := io.ReadAll(c)
	if status, _, _ := strings.Cut(string(got), "\r\n"); err != nil || !strings.HasPrefix(status, "HTTP/1.1 4") {
		t.Errorf("%q, %v, want a status and the end", got, err)
	}
	until(t, "its place is free", r.Idle)
}

// The application's errors are no sign that it is quick.
func TestErrorsAreNotQuick(t *testing.T) {
	r := start(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ill" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	for range 10 {
		r.do(t, "GET", "/ill", "")
	}
	if got := r.Report().Latency; got != 0 {
		t.Errorf("ten errors make a latency of %v", got)
	}
	r.do(t, "GET", "/", "")
	if got := r.Report().Latency; got == 0 {
		t.Error("an answer makes none")
	}
	if served := r.Traffic().Served; served != 11 {
		t.Errorf("%g served, want 11", served)
	}
}
