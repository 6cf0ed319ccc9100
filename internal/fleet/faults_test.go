package fleet

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// standing stands for a lock in the background, as a follower does.
func standing(t *testing.T, c *Client, service string) <-chan *Lease {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	won, done := make(chan *Lease, 1), make(chan struct{})
	go func() {
		defer close(done)
		lease, err := c.Stand(ctx, service, Holder{Cell: "follower", Host: "there"})
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		won <- lease
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return won
}

// win waits for the follower's turn.
func win(t *testing.T, won <-chan *Lease) *Lease {
	t.Helper()
	select {
	case lease := <-won:
		t.Cleanup(func() {
			if err := lease.Release(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
		return lease
	case <-time.After(patient):
		t.Fatal("the follower never came to lead")
		return nil
	}
}

func TestPausedConsulHangsNobody(t *testing.T) {
	t.Parallel()
	server := testkit.ConsulWith(t, testkit.ConsulOptions{Config: fastSessions})
	cfg := quiet(t, server.Addr())
	cfg.Timeout = 300 * time.Millisecond
	c := newClient(t, cfg)
	lease := lead(t, c, "api")
	index := must(lease.PutRecord(t.Context(), Record{Count: 3}, 0))(t)
	won := standing(t, newClient(t, cfg), "api")

	ok(t, server.Pause())
	_, err := c.Members(t.Context(), "api")
	wantError(t, err, ErrUnreachable)
	_, err = lease.PutRecord(t.Context(), Record{Count: 9}, index)
	if !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrFenced) {
		t.Errorf("got %v from a write to a paused Consul", err)
	}
	awaitLost(t, lease) // By its own clock: nobody can tell it.
	wantError(t, lease.Check(t.Context()), ErrFenced)

	ok(t, server.Continue())
	next := win(t, won)
	if next.Epoch() <= lease.Epoch() {
		t.Errorf("epoch %d after %d", next.Epoch(), lease.Epoch())
	}
	_, err = lease.PutRecord(t.Context(), Record{Count: 9}, index)
	wantError(t, err, ErrFenced)
	_, read, err := c.Record(t.Context(), "api")
	ok(t, err)
	must(next.PutRecord(t.Context(), Record{Count: 4}, read))(t)
}

func TestConsulKilledAndStartedOverItsData(t *testing.T) {
	t.Parallel()
	server := testkit.ConsulWith(t, testkit.ConsulOptions{Config: fastSessions})
	cfg := quiet(t, server.Addr())
	long := cfg
	long.SessionTTL = 5 * time.Minute // Longer than a restart takes.
	c := newClient(t, long)
	lease := lead(t, c, "api")
	index := must(lease.PutRecord(t.Context(), Record{Count: 3}, 0))(t)
	short := lead(t, newClient(t, cfg), "crawler")
	cell := cellFor(t, "1", "x")
	ok(t, c.Push(t.Context(), cell, Passing, "fine"))
	won := standing(t, newClient(t, cfg), "crawler")

	ok(t, server.Kill())
	wantError(t, c.Push(t.Context(), cell, Passing, ""), ErrUnreachable)
	wantError(t, lease.Check(t.Context()), ErrUnreachable)
	awaitLost(t, short)
	ok(t, server.Start(t.Context()))

	ok(t, lease.Check(t.Context())) // Sessions are part of the data.
	must(lease.PutRecord(t.Context(), Record{Count: 4}, index))(t)
	if m := only(t, c, cell.Service); m.Name != cell.Name {
		t.Errorf("got %+v", m)
	}
	ok(t, c.Push(t.Context(), cell, Passing, ""))
	await(t, "the cell is passing", func() error {
		if m := only(t, c, cell.Service); m.Health != Passing {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	if next := win(t, won); next.Epoch() <= short.Epoch() {
		t.Errorf("epoch %d after %d", next.Epoch(), short.Epoch())
	}
}

func TestWipedConsulIsFilledAgain(t *testing.T) {
	t.Parallel()
	server := testkit.ConsulWith(t, testkit.ConsulOptions{Config: fastSessions})
	c := newClient(t, quiet(t, server.Addr()))
	lease := lead(t, c, "api")
	must(lease.PutRecord(t.Context(), Record{Count: 3}, 0))(t)
	cell := cellFor(t, "1", "x")
	ok(t, c.Push(t.Context(), cell, Passing, ""))
	won := standing(t, newClient(t, c.cfg), "api")
	marks := make(chan *Leaving, 16)
	watching, stop := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() { watched <- c.WatchLeaving(watching, "api", "api-1", func(m *Leaving) { marks <- m }) }()
	if m := receive(t, marks); m != nil {
		t.Errorf("a mark before any was made: %+v", m)
	}

	ok(t, server.Wipe())
	ok(t, server.Start(t.Context()))
	awaitLost(t, lease)
	_, _, err := c.Record(t.Context(), "api")
	wantError(t, err, ErrNoRecord)
	if all := must(c.Members(t.Context(), cell.Service))(t); len(all) != 0 {
		t.Errorf("members of an empty Consul: %+v", all)
	}
	ok(t, c.Push(t.Context(), cell, Passing, ""))
	if m := only(t, c, cell.Service); m.Health != Passing {
		t.Errorf("got %+v", m)
	}
	next := win(t, won)
	must(next.PutRecord(t.Context(), Record{Count: 3}, 0))(t)
	ok(t, next.MarkLeaving(t.Context(), Leaving{Cell: "api-1", Since: time.Now()}))
	if m := receive(t, marks); m == nil || m.Cell != "api-1" {
		t.Errorf("the watch got %+v", m)
	}
	stop()
	wantError(t, <-watched, context.Canceled)
}

// receive waits for what a watch tells.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patient):
		t.Fatal("the watch told nothing")
		panic("unreachable")
	}
}
