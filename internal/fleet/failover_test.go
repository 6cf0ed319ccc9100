package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// hung is an address that takes connections and never answers.
func hung(t *testing.T) string {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestNextAddressTakesOver(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]func(*testing.T) string{
		"nobody listens": closedPort,
		"hangs":          hung,
		"no leader": func(t *testing.T) string {
			return fault(t, func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "No cluster leader", http.StatusInternalServerError)
			})
		},
		"overloaded": func(t *testing.T) string {
			return fault(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "rate limit", http.StatusTooManyRequests) })
		},
		"drops connections": func(t *testing.T) string {
			return fault(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := quiet(t, bad(t), sharedConsul(t).Addr())
			cfg.Timeout = 500 * time.Millisecond
			cfg.SessionTTL = 10 * time.Second
			c := newClient(t, cfg)
			if all, err := c.Members(t.Context(), service(t)); err != nil || len(all) != 0 {
				t.Fatalf("members %v, %v", all, err)
			}
			lease := lead(t, c, "api")
			ok(t, lease.Put(t.Context(), "law", 1))
			cell := cellFor(t, "1", "x")
			ok(t, c.Push(t.Context(), cell, Passing, ""))
			if only(t, c, cell.Service).Health != Passing {
				t.Error("the cell is not passing")
			}
		})
	}
}

func TestAddressThatAnsweredIsKept(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	bad := fault(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "No cluster leader", http.StatusInternalServerError)
	})
	c := newClient(t, quiet(t, bad, sharedConsul(t).Addr()))
	for range 5 {
		_, err := c.Leader(t.Context(), "api")
		wantError(t, err, ErrNoLeader)
	}
	if asked.Load() != 1 {
		t.Errorf("the bad address was asked %d times, want once", asked.Load())
	}
}

func TestWithoutAnyConsulEveryCallSaysSo(t *testing.T) {
	t.Parallel()
	cfg := quiet(t, closedPort(t), hung(t))
	cfg.Timeout = 100 * time.Millisecond
	c := newClient(t, cfg)
	ctx := t.Context()
	cell := cellFor(t, "1", "x")
	calls := map[string]func() error{
		"Members":    func() error { _, err := c.Members(ctx, "api"); return err },
		"Member":     func() error { _, err := c.Member(ctx, "api", "api-1"); return err },
		"Record":     func() error { _, _, err := c.Record(ctx, "api"); return err },
		"Leader":     func() error { _, err := c.Leader(ctx, "api"); return err },
		"TryStand":   func() error { _, err := c.TryStand(ctx, "api", Holder{}); return err },
		"Pin":        func() error { return c.Pin(ctx, "api", Pin{Count: 1}) },
		"Unpin":      func() error { return c.Unpin(ctx, "api") },
		"Pinned":     func() error { _, err := c.Pinned(ctx, "api"); return err },
		"Pins":       func() error { _, err := c.Pins(ctx); return err },
		"Pause":      func() error { return c.Pause(ctx, "api", Pause{}) },
		"Paused":     func() error { _, err := c.Paused(ctx, "api"); return err },
		"Leaving":    func() error { _, err := c.Leaving(ctx, "api"); return err },
		"Tombstone":  func() error { return c.Tombstone(ctx, "api", Tombstone{Cell: "api-1"}) },
		"Tombstones": func() error { _, err := c.Tombstones(ctx, "api"); return err },
		"Applying":   func() error { _, err := c.Applying(ctx, "api", 0); return err },
		"Law":        func() error { var v any; return c.Law(ctx, "api", &v) },
		"Register":   func() error { return c.Register(ctx, cell) },
		"Push":       func() error { return c.Push(ctx, cell, Passing, "") },
		"Deregister": func() error { return c.Deregister(ctx, cell.ID()) },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			err := call()
			wantError(t, err, ErrUnreachable)
			for _, address := range c.Addresses() {
				if !strings.Contains(err.Error(), address) {
					t.Errorf("the message does not name %s: %v", address, err)
				}
			}
			if errors.Is(err, ErrNoRecord) || errors.Is(err, ErrNoLeader) || errors.Is(err, ErrNotFound) {
				t.Errorf("unknown is taken for none: %v", err)
			}
		})
	}
}

func TestDeniedIsNotTriedElsewhere(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	other := fault(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	for name, answer := range map[string]http.HandlerFunc{
		"by status": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "Permission denied: token lacks permission 'key:read'", http.StatusForbidden)
		},
		"by transaction": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_, _ = fmt.Fprint(w, `{"Errors":[{"OpIndex":0,"What":"Permission denied: token lacks permission 'session:read'"}]}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, quiet(t, fault(t, answer), other))
			lease := c.lease("api", "s", Holder{Epoch: 1}, time.Now())
			err := lease.Check(t.Context())
			wantError(t, err, ErrDenied)
			if errors.Is(err, ErrFenced) || errors.Is(err, ErrUnreachable) || lease.Err() != nil {
				t.Errorf("a refused token is taken for something else: %v, %v", err, lease.Err())
			}
			lease.stop()
			<-lease.done
		})
	}
	if asked.Load() != 0 {
		t.Errorf("the other address was asked %d times", asked.Load())
	}
}

func TestCancelledCallReturnsAtOnce(t *testing.T) {
	t.Parallel()
	cfg := quiet(t, hung(t), hung(t))
	cfg.Timeout = time.Hour
	c := newClient(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := c.Members(ctx, "api")
	wantError(t, err, context.Canceled)
}

func TestConfigurationIsCheckedAtOnce(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"empty address":     {Addresses: []string{""}},
		"a socket":          {Addresses: []string{"unix:///run/consul.sock"}},
		"an odd scheme":     {Scheme: "ftp"},
		"an odd protocol":   {Addresses: []string{"ftp://consul"}},
		"an odd prefix":     {Prefix: "a b"},
		"a key without":     {KeyFile: "k.pem"},
		"negative timeout":  {Timeout: -1},
		"no such CA":        {CAFile: filepath.Join(t.TempDir(), "none.pem")},
		"no such token":     {TokenFile: filepath.Join(t.TempDir(), "none")},
		"negative lifetime": {SessionTTL: -1},
	} {
		if c, err := New(cfg); err == nil {
			c.Close()
			t.Errorf("%s: was taken", name)
		}
	}
	c := newClient(t, Config{})
	if !slices.Equal(c.Addresses(), []string{api.DefaultConfig().Address}) || c.cfg.Prefix != DefaultPrefix || c.cfg.SessionTTL != DefaultSessionTTL {
		t.Errorf("defaults: %v %+v", c.Addresses(), c.cfg)
	}
}

func TestTokenIsSent(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	ok(t, os.WriteFile(file, []byte("from-file\n"), 0o600))
	for want, cfg := range map[string]Config{
		"from-file": {TokenFile: file},
		"given":     {Token: "given", TokenFile: file},
	} {
		var got atomic.Value
		cfg.Addresses = []string{fault(t, func(w http.ResponseWriter, r *http.Request) {
			got.Store(r.Header.Get("X-Consul-Token"))
			http.NotFound(w, r)
		})}
		_, _, err := newClient(t, cfg).Record(t.Context(), "api")
		wantError(t, err, ErrNoRecord)
		if got.Load() != want {
			t.Errorf("sent token %q, want %q", got.Load(), want)
		}
	}
}

// A cell whose agent dies goes over to another, is one member all the while, and
// leaves nothing behind when the old agent is back.
func TestCellMovesToAnotherAgent(t *testing.T) {
	t.Parallel()
	server := testkit.Consul(t)
	agent := testkit.ConsulWith(t, testkit.ConsulOptions{Node: "agent", Join: server})
	cfg := quiet(t, agent.Addr(), server.Addr())
	c := newClient(t, cfg)
	cell := cellFor(t, "1", "x")
	await(t, "the agent reaches the server", func() error { return c.Push(t.Context(), cell, Passing, "") })
	if m := only(t, c, cell.Service); m.Node != "agent" {
		t.Fatalf("registered with %s", m.Node)
	}
	ok(t, agent.Kill())
	ok(t, c.Push(t.Context(), cell, Passing, ""))
	if m := only(t, c, cell.Service); m.Node != "testkit" || m.Health != Passing || m.Older != nil {
		t.Fatalf("after the agent died: %+v", m)
	}
	ok(t, agent.Start(t.Context()))
	await(t, "the old registration is taken away", func() error {
		c.mu.Lock()
		s := c.strays[cell.ID()]
		s.tried = time.Time{} // Not only every half minute.
		c.strays[cell.ID()] = s
		c.mu.Unlock()
		if err := c.Push(t.Context(), cell, Passing, ""); err != nil {
			return err
		}
		entries, _, err := raw(t, server).Catalog().Service(cell.Service, "", nil)
		if err == nil && len(entries) != 1 {
			err = fmt.Errorf("%d registrations", len(entries))
		}
		return err
	})
	if m := only(t, c, cell.Service); m.Node != "testkit" || m.Health != Passing {
		t.Errorf("at the end: %+v", m)
	}
}

// An agent may have taken a registration that it gave no answer to.
func TestAgentThatGaveNoAnswerIsSweptToo(t *testing.T) {
	t.Parallel()
	c := newClient(t, quiet(t, closedPort(t), closedPort(t), sharedConsul(t).Addr(), closedPort(t)))
	cell := cellFor(t, "1", "x")
	ok(t, c.Register(t.Context(), cell))
	if s := c.strays[cell.ID()]; s.at != 2 || !slices.Equal(s.left, []int{0, 1}) {
		t.Errorf("got %+v", s)
	}
	ok(t, c.Register(t.Context(), cell))
	ok(t, c.Push(t.Context(), cell, Passing, ""))
	if s := c.strays[cell.ID()]; s.at != 2 || !slices.Equal(s.left, []int{0, 1}) || s.tried.IsZero() {
		t.Errorf("got %+v", s)
	}
	if m := only(t, c, cell.Service); m.Health != Passing {
		t.Errorf("got %+v", m)
	}
}

// The same agent under two addresses keeps the registration it has.
func TestAgentUnderTwoAddressesIsOne(t *testing.T) {
	t.Parallel()
	server := sharedConsul(t)
	var broken atomic.Bool
	first := fault(t, swallow(server.Addr(), func(*http.Request) bool { return broken.Load() }))
	c := newClient(t, quiet(t, first, server.Addr()))
	cell := cellFor(t, "1", "x")
	ok(t, c.Register(t.Context(), cell))
	broken.Store(true)
	ok(t, c.Register(t.Context(), cell))
	broken.Store(false)
	ok(t, c.Push(t.Context(), cell, Passing, ""))
	if m := only(t, c, cell.Service); m.Health != Passing {
		t.Errorf("got %+v", m)
	}
	if left := c.strays[cell.ID()].left; len(left) != 0 {
		t.Errorf("still looking at endpoints %v", left)
	}
}
