package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// echo shows the application's view of a request.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for name, values := range r.Header {
		w.Header()["Saw-"+name] = values
	}
	w.Header().Set("Saw", r.Method+" "+r.RequestURI+" "+r.Host)
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(body)
})

func TestPassesThrough(t *testing.T) {
	r := start(t, "", echo)
	for _, path := range []string{"/", "/a%2Fb//c/../d?x=1;2&y=%zz", "/?", "/*", "//host/path"} {
		got := r.do(t, "POST", path, "hello")
		if want := "POST " + path + " " + r.at; got.status != 201 || got.body != "hello" || got.header.Get("Saw") != want {
			t.Errorf("%s: %+v, want %q", path, got, want)
		}
	}
	if got := r.do(t, "HEAD", "/", ""); got.status != 201 || got.header.Get("Saw-User-Agent") != "Go-http-client/1.1" {
		t.Errorf("HEAD: %+v", got)
	}
}

func TestHeaders(t *testing.T) {
	told := []string{
		"X-Forwarded-For", "192.0.2.1", "X-Forwarded-Host", "api.example", "X-Forwarded-Proto", "https", "Forwarded", "for=192.0.2.1",
		"Connection", "close, X-Hop", "X-Hop", "1", "Keep-Alive", "timeout=5", "Proxy-Authorization", "x", "Te", "trailers", "X-End", "2",
	}
	r := start(t, "", echo)
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": r.at, "X-Forwarded-Proto": "http", "Forwarded": "",
		"X-Hop": "", "Keep-Alive": "", "Proxy-Authorization": "", "Te": "trailers", "X-End": "2",
	} {
		if got := r.do(t, "GET", "/", "", told...).header.Get("Saw-" + name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	r = start(t, `trusted = ["127.0.0.0/8"]`, echo)
	for name, want := range map[string]string{
		"X-Forwarded-For": "192.0.2.1, 127.0.0.1", "X-Forwarded-Host": "api.example", "X-Forwarded-Proto": "https",
		"Forwarded": `for=192.0.2.1, for=127.0.0.1;host="` + r.at + `";proto=http`,
	} {
		if got := r.do(t, "GET", "/", "", told...).header.Get("Saw-" + name); got != want {
			t.Errorf("trusted %s: %q, want %q", name, got, want)
		}
	}
}

// raw sends text as it is, and perhaps no more, and returns all that is answered until
// the connection is closed.
func (r *rig) raw(t *testing.T, text string, cut bool) string {
	t.Helper()
	c, err := net.Dial("tcp", r.at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if tcp, ok := c.(*net.TCPConn); ok && cut {
		_ = tcp.CloseWrite()
	}
	got, _ := io.ReadAll(c) // a reset says the same as an end
	return string(got)
}

// No request is hidden within another: what this proxy and the application could read
// differently is refused, or written anew in one way.
func TestSmuggling(t *testing.T) {
	paths := make(chan string, 100)
	r := start(t, "", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		paths <- r.Method + " " + r.URL.Path
	}))
	hidden := "GET /hidden HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for name, c := range map[string]struct{ head, body, want string }{
		"both lengths":              {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", "200"},
		"two lengths":               {"Content-Length: 3\r\nContent-Length: 4\r\n", "abcd", "400"},
		"two lengths in one":        {"Content-Length: 3, 4\r\n", "abcd", "400"},
		"signed length":             {"Content-Length: +3\r\n", "abc", "400"},
		"another encoding":          {"Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n", "501"},
		"two encodings":             {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n", "501"},
		"space before colon":        {"Transfer-Encoding : chunked\r\n", "0\r\n\r\n", "400"},
		"folded header":             {"Transfer-Encoding:\r\n chunked\r\nContent-Length: 3\r\n", "abc", ""},
		"no number of a chunk":      {"Transfer-Encoding: chunked\r\n", "xyz\r\nabc\r\n0\r\n\r\n", "400"},
		"a huge chunk":              {"Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nabc", "400"},
		"a chunk without its end":   {"Transfer-Encoding: chunked\r\n", "3\r\nabcdef0\r\n\r\n", "400"},
		"a chunk that is cut":       {"Transfer-Encoding: chunked\r\n", "10\r\nabc", "400"},
		"a body that is cut":        {"Content-Length: 1000\r\n", "abc", "400"},
		"a name that is no name":    {"X Y: 1\r\n", "", "400"},
		"a line feed in a value":    {"X: a\nTransfer-Encoding: chunked\r\n", "", ""},
		"an upgrade with a body":    {"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n", "abc", "200"},
		"lengths hidden as per hop": {"Connection: Content-Length\r\nContent-Length: 3\r\n", "abc", "200"},
	} {
		t.Run(name, func(t *testing.T) {
			got := r.raw(t, "POST /seen HTTP/1.1\r\nHost: x\r\n"+c.head+"\r\n"+c.body+hidden, strings.Contains(name, "is cut"))
			line, _, _ := strings.Cut(got, "\r\n")
			if !strings.Contains(line, c.want) {
				t.Errorf("answered %q, want %s", got, c.want)
			}
			for len(paths) > 0 {
				// What follows a good request is one of its own, seen as such by both.
				if path := <-paths; path != "POST /seen" && c.want != "200" && c.want != "" {
					t.Errorf("the application saw %s", path)
				}
			}
		})
	}
}

// A stream's pieces go on at once, though its length is known of none.
func TestStream(t *testing.T) {
	next := make(chan string)
	r := start(t, "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Trailer", "X-Sum")
		for piece := range next {
			_, _ = io.WriteString(w, piece+"\n")
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set("X-Sum", "7")
	}))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { next <- "0" }()
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewReader(res.Body)
	for i := range 3 {
		if got, err := lines.ReadString('\n'); err != nil || got != fmt.Sprintln(i) {
			t.Fatalf("%q, %v", got, err)
		}
		if i < 2 {
			next <- fmt.Sprint(i + 1)
		}
	}
	close(next)
	if _, err := io.Copy(io.Discard, lines); err != nil || res.Trailer.Get("X-Sum") != "7" {
		t.Errorf("trailer %v, %v", res.Trailer, err)
	}
}

// onePlace is a policy that lets one request in, and has none wait.
const onePlace = `
    concurrency {
      initial = 1
      min     = 1
      max     = 1
    }
    wait {
      max      = "0s"
      standing = "0s"
    }`

// h2c is a client that speaks HTTP/2 without encryption.
func h2c(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// A stream may pause for longer than a piece of it may take, before its end as well.
func TestPauses(t *testing.T) {
	r := start(t, `bounds {
      grace = "500ms"
      rate  = 1000000000
    }`, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, piece := range []string{"one ", "two"} {
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Second)
		}
	}))
	var asking sync.WaitGroup
	for name, client := range map[string]*http.Client{"HTTP/1.1": r.client, "HTTP/2": h2c(t)} {
		asking.Go(func() {
			res, err := client.Get(r.url)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			defer func() { _ = res.Body.Close() }()
			if text, err := io.ReadAll(res.Body); err != nil || string(text) != "one two" {
				t.Errorf("%s: %q, %v", name, text, err)
			}
		})
	}
	asking.Wait()
}

// deadlines is a caller's connection that remembers until when it may be read.
type deadlines struct {
	http.ResponseWriter
	set []time.Time
}

// SetReadDeadline is what http.ResponseController looks for.
func (d *deadlines) SetReadDeadline(t time.Time) error { d.set = append(d.set, t); return nil }

// Between two reads of a body there is no deadline: the application may take its time,
// and HTTP/2 ends a body whose deadline passes though nobody reads.
func TestBodyHasNoDeadlineAtRest(t *testing.T) {
	d := &deadlines{}
	b := &body{
		from: io.NopCloser(strings.NewReader("hello")), control: http.NewResponseController(d),
		left: 10, grace: time.Second, rate: 1000, now: time.Now,
	}
	for n, err := 0, error(nil); err == nil; n, err = b.Read(make([]byte, 2)) {
		if len(d.set) > 0 && !d.set[len(d.set)-1].IsZero() {
			t.Errorf("after %d bytes more a deadline stays", n)
		}
	}
	if n := len(d.set); n != 8 || !d.set[n-1].IsZero() || d.set[n-2].IsZero() {
		t.Errorf("deadlines %v", d.set)
	}
}

// A stream of events begins before its first event, and has no place of those in
// flight, so that others have it.
func TestEventStreams(t *testing.T) {
	r := start(t, onePlace, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/events" {
			return
		}
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	res, err := r.client.Get(r.url + "/events")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.do(t, "GET", "/", ""); got.status != 200 || r.upgraded.Load() != 1 {
		t.Errorf("beside a stream, one of %d: %+v", r.upgraded.Load(), got)
	}
	_ = res.Body.Close()
	until(t, "the stream has ended", func() bool { return r.upgraded.Load() == 0 && r.Idle() })
}

// WebSockets are passed through, give their place back, and end with the cell.
// Nobody gets by the gate in another HTTP.
func TestNoUpgradeToHTTP2(t *testing.T) {
	r := start(t, "", echo)
	got := r.do(t, "GET", "/", "", "Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
	if got.status != http.StatusCreated || got.header.Get("Saw-Upgrade") != "" || got.header.Get("Saw-Connection") != "" {
		t.Errorf("%+v", got)
	}
}

func TestUpgrade(t *testing.T) {
	r := start(t, onePlace, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" {
			return
		}
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = c.Close() }()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + r.Header.Get("X-Forwarded-For") + "\n")
		_ = rw.Flush()
		_, _ = io.Copy(c, rw)
	}))
	c, err := net.Dial("tcp", r.at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(c, "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n")
	lines := bufio.NewReader(c)
	for _, want := range []string{"HTTP/1.1 101 Switching Protocols\r\n", "Connection: Upgrade\r\n", "Upgrade: websocket\r\n", "\r\n", "127.0.0.1\n"} {
		if got, err := lines.ReadString('\n'); err != nil || got != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
	}
	_, _ = io.WriteString(c, "hello\n")
	if got, err := lines.ReadString('\n'); err != nil || got != "hello\n" {
		t.Fatalf("%q, %v", got, err)
	}
	if got := r.do(t, "GET", "/", ""); got.status != 200 || !r.Idle() || r.upgraded.Load() != 1 {
		t.Errorf("beside it: %+v, idle %t, %d upgraded", got, r.Idle(), r.upgraded.Load())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if _, err := lines.ReadByte(); err == nil {
		t.Error("it lives on after the cell's end")
	}
}

func TestH2C(t *testing.T) {
	r := start(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	client := h2c(t)
	ask := func() {
		res, err := client.Post(r.url, "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if body, err := io.ReadAll(res.Body); string(body) != "hello" || err != nil || res.ProtoMajor != 2 {
			t.Fatalf("%q, %v by HTTP/%d", body, err, res.ProtoMajor)
		}
	}
	ask()
	// A drain says GOAWAY: the next request comes by another connection.
	before := r.accepted()
	r.Drain(true)
	ask()
	until(t, "the connection goes", func() bool { return r.open() == 0 })
	r.Drain(false)
	ask()
	if got := r.accepted(); got != before+1 {
		t.Errorf("%d connections, want one more than %d", got, before)
	}
}

func (r *rig) open() int { return r.connections.Counts().Open }

func (r *rig) accepted() uint64 { return r.connections.Counts().Opened }
