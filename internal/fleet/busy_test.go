package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// fewConnections is a Consul that takes so many from one host.
func fewConnections(t *testing.T, most int) *testkit.ConsulServer {
	t.Helper()
	return testkit.ConsulWith(t, testkit.ConsulOptions{
		Config: fmt.Sprintf("%s\nlimits { http_max_conns_per_client = %d }", fastSessions, most),
	})
}

// fill takes all the connections that the server has for this host, and returns
// what lets them go.
func fill(t *testing.T, server *testkit.ConsulServer, most int) (free func()) {
	t.Helper()
	var held []net.Conn
	free = func() {
		for _, conn := range held {
			_ = conn.Close()
		}
	}
	t.Cleanup(free)
	for range most {
		await(t, "the server has a connection left", func() error {
			conn, err := occupy(server.Addr())
			if err == nil {
				held = append(held, conn)
			}
			return err
		})
	}
	return free
}

// occupy holds a connection that was not turned away: a question was answered
// over it.
func occupy(address string) (net.Conn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprint(conn, "GET /v1/status/leader HTTP/1.1\r\nHost: consul\r\n\r\n")
	status := make([]byte, len("HTTP/1.1 200"))
	if err == nil {
		_, err = io.ReadFull(conn, status)
	}
	if err == nil && !strings.HasSuffix(string(status), " 200") {
		err = errors.New(string(status))
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// self asks an agent who it is.
func self(ctx context.Context, consul *api.Client) error {
	var answer any
	_, err := consul.Raw().Query("/v1/agent/self", &answer, (&api.QueryOptions{}).WithContext(ctx))
	return err
}

func connectionsAtMost(server *testkit.ConsulServer, most int) error {
	open, err := server.Connections()
	if err == nil && open > most {
		err = fmt.Errorf("%d connections, at most %d are to be", open, most)
	}
	return err
}

func TestBusyConsulIsNotCalledUnreachable(t *testing.T) {
	t.Parallel()
	server := fewConnections(t, 3)
	fill(t, server, 3)
	cfg := quiet(t, server.Addr())
	cfg.Timeout = time.Second
	c := newClient(t, cfg)
	for range 8 { // The 429, or the hanging up, may be seen first.
		_, err := c.Members(t.Context(), "api")
		wantError(t, err, ErrBusy)
		wantError(t, err, ErrUnreachable)
		for _, part := range []string{server.Addr(), "consul is busy", "limits.http_max_conns_per_client"} {
			if !strings.Contains(err.Error(), part) {
				t.Fatalf("the message doesn't say %q: %v", part, err)
			}
		}
		if strings.Contains(err.Error(), "%!w") {
			t.Fatalf("the message has net/http's slip of the pen: %v", err)
		}
	}
}

func TestBusyConsulIsAskedAgain(t *testing.T) {
	t.Parallel()
	server := fewConnections(t, 3)
	for name, call := range map[string]func(context.Context, *Client) error{
		"read":     func(ctx context.Context, c *Client) error { _, err := c.Members(ctx, "api"); return err },
		"write":    func(ctx context.Context, c *Client) error { return c.Pin(ctx, "api", Pin{Count: 1}) },
		"an agent": func(ctx context.Context, c *Client) error { return c.Agents()[0].Ask(ctx, self) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := quiet(t, server.Addr())
			cfg.Timeout = patient
			c := newClient(t, cfg)
			free := fill(t, server, 3)
			time.AfterFunc(300*time.Millisecond, free)
			ok(t, call(t.Context(), c))
			c.Close()
			await(t, "no connection is left", func() error { return connectionsAtMost(server, 0) })
		})
	}
}

func TestNextAddressTakesOverFromABusyOne(t *testing.T) {
	t.Parallel()
	server := fewConnections(t, 3)
	fill(t, server, 3)
	cfg := quiet(t, server.Addr(), sharedConsul(t).Addr())
	cfg.Timeout = patient
	c := newClient(t, cfg)
	began := time.Now()
	_, err := c.Members(t.Context(), "api")
	ok(t, err)
	if c.anywhere.at.Load() != 1 || time.Since(began) > patient/2 {
		t.Errorf("address %d answered after %v", c.anywhere.at.Load(), time.Since(began))
	}
}

// A new connection that ends unanswered may have been turned away, but a write
// may as well have been made.
func TestOnlyReadsAreRepeatedAfterAnEndWithoutAWord(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	c := newClient(t, quiet(t, fault(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) <= 6 {
			panic(http.ErrAbortHandler)
		}
		http.NotFound(w, r)
	})))
	err := c.Pin(t.Context(), "api", Pin{Count: 1})
	wantError(t, err, ErrUnreachable)
	if errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "limits.http_max_conns_per_client") {
		t.Errorf("got %v", err)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("a write was made %d times, want 2", n)
	}
	_, _, err = c.Record(t.Context(), "api")
	wantError(t, err, ErrNoRecord)
}

func TestRequestLimitIsNamed(t *testing.T) {
	t.Parallel()
	cfg := quiet(t, fault(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "rate limit exceeded, try again later or against a different server", http.StatusTooManyRequests)
	}))
	cfg.Timeout = time.Second
	_, _, err := newClient(t, cfg).Record(t.Context(), "api")
	wantError(t, err, ErrBusy)
	if !strings.Contains(err.Error(), "limits.request_limits") {
		t.Errorf("got %v", err)
	}
}
