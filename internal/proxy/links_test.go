package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// scripted is an application of raw TCP: it gives each request, by its number on its
// connection and in all, to answer, which returns what is written, and whether the
// connection is closed then.
func scripted(t *testing.T, answer func(conn, n int, r *http.Request) (string, bool)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		for conn := 0; ; conn++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				requests := bufio.NewReader(c)
				for n := 0; ; n++ {
					r, err := http.ReadRequest(requests)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					text, end := answer(conn, n, r)
					_, _ = io.WriteString(c, text)
					if end {
						return
					}
				}
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestLinksAreUsedAgain(t *testing.T) {
	var conns atomic.Int64
	at := scripted(t, func(conn, _ int, r *http.Request) (string, bool) {
		conns.Store(int64(conn) + 1)
		switch r.URL.Path {
		case "/interim":
			return "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + fine, false
		case "/chunked":
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false
		case "/closes":
			return "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", true
		case "/more":
			return fine + fine, false // the second one is nobody's
		}
		return fine, false
	})
	r := startBefore(t, "", at)
	for _, c := range []struct {
		path  string
		conns int64
	}{{"/", 1}, {"/interim", 1}, {"/chunked", 1}, {"/closes", 1}, {"/", 2}, {"/more", 2}, {"/", 3}} {
		got := r.do(t, "GET", c.path, "")
		if got.status != 200 || got.body != "ok" || conns.Load() != c.conns {
			t.Errorf("%s: %+v by %d connections, want %d", c.path, got, conns.Load(), c.conns)
		}
	}
}

// An application that has closed an idle connection is asked again by a new one; that
// is no fault, and a request that it has begun to answer is not sent again.
func TestStaleLinks(t *testing.T) {
	var asked atomic.Int64
	at := scripted(t, func(_, n int, r *http.Request) (string, bool) {
		asked.Add(1)
		switch {
		case r.URL.Path == "/stale" && n > 0:
			return "", true // as if it had been closed before
		case r.URL.Path == "/begun":
			return "HTTP/1.1 2", true
		case r.URL.Path == "/garbled":
			return "no HTTP at all\r\n\r\n", true
		}
		return fine, false
	})
	r := startBefore(t, `bounds { keep_alive = "10m" }`, at)
	for _, c := range []struct {
		path          string
		status, asked int
	}{{"/", 200, 1}, {"/stale", 200, 2}, {"/begun", 502, 1}, {"/garbled", 502, 1}} {
		asked.Store(0)
		if got := r.do(t, "GET", c.path, ""); got.status != c.status || int(asked.Load()) != c.asked {
			t.Errorf("%s: %+v after %d requests, want %d after %d", c.path, got, asked.Load(), c.status, c.asked)
		}
	}
	// A request that may have done something isn't sent again.
	if got := r.do(t, "POST", "/", ""); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	asked.Store(0)
	if got := r.do(t, "POST", "/stale", "x"); got.status != 502 || asked.Load() != 1 {
		t.Errorf("POST: %+v after %d requests, want 502 after 1", got, asked.Load())
	}
}

// Links that nobody uses are closed in time.
func TestIdleLinks(t *testing.T) {
	r := start(t, `bounds { keep_alive = "100ms" }`, echo)
	r.do(t, "GET", "/", "")
	until(t, "the idle link is closed", func() bool {
		r.links.mu.Lock()
		defer r.links.mu.Unlock()
		return len(r.links.idle) == 0 && r.links.sweeping == nil
	})
	if got := r.do(t, "GET", "/", ""); got.status != 201 {
		t.Errorf("%+v", got)
	}
}

// A space in a query can't end the path of the request that the application sees.
func TestSpaceInQuery(t *testing.T) {
	saw := make(chan string, 1)
	r := start(t, "", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { saw <- r.RequestURI }))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.RawQuery = "x HTTP/1.1"
	res, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		t.Skip("the client refuses it: ", err)
	}
	_ = res.Body.Close()
	select {
	case uri := <-saw:
		if strings.Contains(uri, " ") {
			t.Errorf("the application saw %q", uri)
		}
	default:
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("answered %d", res.StatusCode)
		}
	}
}

// A length that a request without a body gives, as it can over HTTP/2, doesn't have the
// application take the next request for its body.
func TestLengthWithoutBody(t *testing.T) {
	saw := make(chan string, 2)
	r := start(t, "", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		saw <- r.URL.Path + string(body)
	}))
	for _, path := range []string{"/first", "/second"} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		request.Header.Set("Content-Length", "20")
		answer := httptest.NewRecorder()
		r.ServeHTTP(answer, request)
		if got := <-saw; answer.Code != http.StatusOK || got != path {
			t.Errorf("%d, the application saw %q, want %q", answer.Code, got, path)
		}
	}
}

// What an application sends too late is nobody's answer.
func TestLinksDropWhatComesTooLate(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	late, done := make(chan bool, 1), make(chan bool)
	serve := func(c net.Conn) {
		defer func() { _ = c.Close() }()
		for requests := bufio.NewReader(c); ; {
			r, err := http.ReadRequest(requests)
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, fine[:len(fine)-2])
			if r.Method == http.MethodHead {
				<-late
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
				late <- true
			} else {
				_, _ = io.WriteString(c, "ok")
			}
		}
	}
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	r := startBefore(t, "", l.Addr().String())
	r.do(t, "HEAD", "/", "")
	late <- true // the body that nobody asked for, after the link is idle
	<-late
	for range 3 {
		if got := r.do(t, "GET", "/other", ""); got.status != 200 || got.body != "ok" {
			t.Errorf("another caller got %d %q", got.status, got.body)
		}
	}
}
