package proxy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// bigBytes is more than the sockets on the way keep for a caller who takes nothing.
const bigBytes = 32 << 20

// large is an application with an answer of that size, of a length that it says or not.
func large(t *testing.T) (http.Handler, []byte) {
	t.Helper()
	body := make([]byte, bigBytes)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(body) // never fails
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/big":
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = w.Write(body) // who has gone needs none
		case "/chunked":
			for rest := body; len(rest) > 0; {
				n := min(len(rest), 100_000)
				_, _ = w.Write(rest[:n]) // as above
				rest = rest[n:]
			}
		}
	}), body
}

// idler asks for something and takes nothing of the answer.
func (r *rig) idler(t *testing.T, method, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, err = fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, path)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it has begun", func() bool { return r.stats[Client].latency.cumulative()[len(bounds)] > 0 })
	return c
}

// Who takes an answer slowly holds no place, where the answer fits the buffers, and gets
// all of it nevertheless.
func TestSlowReaderHoldsNoPlace(t *testing.T) {
	application, body := large(t)
	for name, c := range map[string]struct {
		method, path, bounds string
		free                 bool
	}{
		"of a known length":     {"GET", "/big", "buffer = 67108864", true},
		"chunk by chunk":        {"GET", "/chunked", "buffer = 67108864", true},
		"by the transport":      {"POST", "/chunked", "buffer = 67108864", true},
		"too large for it":      {"GET", "/big", "buffer = 1048576", false},
		"too large for all":     {"GET", "/big", "buffer = 67108864\n buffers = 1048576", false},
		"nothing is read ahead": {"GET", "/chunked", "buffer = 0\n buffers = 0", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, onePlace+"\nbounds {\n grace = \"1m\"\n "+c.bounds+"\n}", application)
			slow := r.idler(t, c.method, c.path)
			if c.free {
				until(t, "its place is free", func() bool { return r.inHand() == 0 })
				if r.Idle() || r.Traffic().InFlight != 1 {
					t.Error("the cell is idle though an answer is being taken")
				}
				if got := r.do(t, "GET", "/", ""); got.status != http.StatusOK {
					t.Errorf("another one: %+v", got)
				}
			} else if got := r.do(t, "GET", "/", ""); got.status != http.StatusServiceUnavailable || r.inHand() != 1 {
				t.Errorf("another one: %+v", got)
			}
			_ = slow.SetDeadline(time.Now().Add(time.Minute))
			res, err := http.ReadResponse(bufio.NewReader(slow), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			if err != nil || sha256.Sum256(got) != sha256.Sum256(body) {
				t.Errorf("%d bytes of %d, %v", len(got), len(body), err)
			}
			_ = res.Body.Close()
			until(t, "nothing is in hand", r.Idle)
			if n := len(r.shared); n != 0 {
				t.Errorf("%d pieces are in use still", n)
			}
		})
	}
}

// Who is cut meanwhile, or goes, leaves nothing behind.
func TestSlowReaderIsCut(t *testing.T) {
	application, _ := large(t)
	for _, method := range []string{"GET", "POST"} {
		for name, gone := range map[string]bool{"cut": false, "gone": true} {
			t.Run(method+" "+name, func(t *testing.T) {
				r := start(t, "bounds {\n grace = \"300ms\"\n rate = 1000000000\n buffer = 1048576\n}", application)
				if c := r.idler(t, method, "/chunked"); gone {
					_ = c.Close()
				}
				until(t, "nothing is in hand", r.Idle)
				until(t, "its pieces are free", func() bool { return len(r.shared) == 0 })
			})
		}
	}
}

// An application that breaks off in what is read ahead breaks the caller's answer off, too.
func TestBrokenOffAhead(t *testing.T) {
	r := start(t, "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte("x"), 3*pieceBytes)) // as above
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	res, err := r.client.Get(r.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if text, err := io.ReadAll(res.Body); err == nil || len(text) > 3*pieceBytes {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	until(t, "nothing is in hand", r.Idle)
}
