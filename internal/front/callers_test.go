package front

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// A client that sends a byte now and then is never silent, and yet is cut.
func TestTrickle(t *testing.T) {
	h := newHouse(t, sharedConsul(t), func(f *policy.Front) { f.Silence = 2 * time.Second })
	cell := h.add("api-1")
	cell.does(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
	line := make([]byte, len("HTTP/1.1 408"))
	for end := time.Now().Add(patient); ; {
		_, _ = io.WriteString(c, "x") // it may be cut already
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := io.ReadFull(c, line)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(end) {
			t.Fatalf("it isn't told: %v", err)
		}
	}
	if string(line) != "HTTP/1.1 408" {
		t.Errorf("%s", line)
	}
	h.await("nothing to be in flight", func() bool { return h.inFlight(cell) == 0 })
}

// One address has no more connections than it may, unless it is a proxy's.
func TestConnections(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*policy.Front)
		want   int
	}{
		"of one address": {func(f *policy.Front) { f.ConnectionsPerAddress = 2 }, 2},
		"of a proxy":     {func(f *policy.Front) { f.ConnectionsPerAddress, f.Trusted = 2, []string{"127.0.0.0/8"} }, 3},
		"in all":         {func(f *policy.Front) { f.Connections, f.Trusted = 1, []string{"127.0.0.0/8"} }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, sharedConsul(t), c.change)
			h.await("Consul to tell", func() bool { _, told := h.cells.age(); return told })
			well := 0
			for range 3 {
				one, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
				if errors.Is(err, syscall.ECONNRESET) {
					continue // it is refused at once
				}
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = one.Close() }()
				_ = one.SetDeadline(time.Now().Add(patient))
				_, _ = io.WriteString(one, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") // as above
				if _, err := one.Read(make([]byte, 1)); err == nil {
					well++
				}
			}
			counts := h.front.conns.Counts()
			if well != c.want || counts.Open != c.want || counts.RefusedInAll+counts.RefusedOfOne != uint64(3-c.want) {
				t.Errorf("%d are answered, want %d: %+v", well, c.want, counts)
			}
		})
	}
}

// Who asks the front itself again and again and reads no answer is cut.
func TestNeverReads(t *testing.T) {
	for _, path := range []string{"/healthz", "list"} {
		t.Run(strings.Trim(path, "/"), func(t *testing.T) {
			h := newHouse(t, sharedConsul(t), func(f *policy.Front) { f.Silence = 300 * time.Millisecond })
			h.add("api-1")
			if path == "list" {
				path = rule().ListPath + "/" + h.service()
			}
			c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(patient))
			many := strings.Repeat("GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n", 1000)
			for err == nil { // what both sides hold of it is some megabytes
				_, err = io.WriteString(c, many)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("it was waited for: %v", err)
			}
			h.await("the connection to be closed", func() bool { return h.front.conns.Counts().Open == 0 })
		})
	}
}

// Lists count into what a front has in hand.
func TestListsAreBounded(t *testing.T) {
	h := newHouse(t, sharedConsul(t), func(f *policy.Front) { f.MaxInFlight = 1 })
	cell := h.add("api-1")
	begun, end := make(chan struct{}), make(chan struct{})
	cell.does(func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-end
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if answer, err := http.Get(h.url); err == nil {
			_ = answer.Body.Close()
		}
	}()
	<-begun
	if answer, _ := h.get(rule().ListPath + "/" + h.service()); answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a list is answered by %s though one request is all there may be", answer.Status)
	}
	close(end)
	<-ended
}
