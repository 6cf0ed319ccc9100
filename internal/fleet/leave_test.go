package fleet

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

// secret signs by a key of its own.
type secret string

func (s secret) Sign(text []byte) string {
	h := hmac.New(sha256.New, []byte(s))
	_, _ = h.Write(text)
	return hex.EncodeToString(h.Sum(nil))
}

func (s secret) Signed(text []byte, mac string) bool {
	return hmac.Equal([]byte(s.Sign(text)), []byte(mac))
}

// signing are clients of one Consul that hold these keys; empty for none.
func signing(t *testing.T, keys ...string) []*Client {
	t.Helper()
	cfg := quiet(t, sharedConsul(t).Addr())
	var all []*Client
	for _, key := range keys {
		cfg.Peers = nil
		if key != "" {
			cfg.Peers = secret(key)
		}
		all = append(all, newClient(t, cfg))
	}
	return all
}

// A leader orders a cell to leave, the cell says how far it is, and whoever
// waits is told.
func TestLeaveOrder(t *testing.T) {
	t.Parallel()
	c := signing(t, "a key")[0]
	lease := lead(t, c, "api")
	ok(t, lease.OrderLeave(t.Context(), LeaveOrder{Cell: "api-1", Incarnation: "i1", Reuse: true, Reason: "less load\xff", By: "api-2"}))
	o := must(c.LeaveOrder(t.Context(), "api", "api-1"))(t)
	if o == nil || o.Epoch != lease.Epoch() || !o.Reuse || o.At.IsZero() || o.MAC == "" {
		t.Fatalf("got %+v", o)
	}
	ok(t, c.CheckLeave("api", *o))

	var phases []LeavePhase
	left := make(chan error, 1)
	go func() {
		left <- c.AwaitLeft(t.Context(), "api", "api-1", "i1", func(a LeaveAnswer) { phases = append(phases, a.Phase) })
	}()
	ok(t, c.AnswerLeave(t.Context(), "api", LeaveAnswer{Cell: "api-1", Incarnation: "i0", Order: o.At, Phase: LeaveLeft})) // of another life
	ok(t, c.AnswerLeave(t.Context(), "api", LeaveAnswer{Cell: "api-1", Incarnation: "i1", Order: o.At.Add(-time.Minute), Phase: LeaveFailed, Error: "of an earlier order"}))
	ok(t, c.AnswerLeave(t.Context(), "api", LeaveAnswer{Cell: "api-1", Incarnation: "i1", Order: o.At, Phase: LeaveLeft}))
	ok(t, <-left)
	if len(phases) == 0 || phases[len(phases)-1] != LeaveLeft {
		t.Errorf("told of %v", phases)
	}

	ok(t, c.AnswerLeave(t.Context(), "api", LeaveAnswer{Cell: "api-1", Incarnation: "i1", Order: o.At, Phase: LeaveFailed, Error: "the disk is read-only"}))
	if err := c.AwaitLeft(t.Context(), "api", "api-1", "i1", nil); !errors.Is(err, ErrNotLeft) || !strings.Contains(err.Error(), "the disk is read-only") {
		t.Errorf("got %v", err)
	}
	never, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("it took too long"))
	defer cancel()
	if err := c.AwaitLeft(never, "api", "api-9", "i1", nil); err == nil || !strings.Contains(err.Error(), "it took too long") {
		t.Errorf("got %v", err)
	}
}

// Neither an order nor an answer is believed that no peer signed.
func TestForgedLeave(t *testing.T) {
	t.Parallel()
	clients := signing(t, "a key", "another", "")
	c, stranger, keyless := clients[0], clients[1], clients[2]
	for name, forger := range map[string]*Client{"another key": stranger, "no key": keyless} {
		ok(t, forger.OrderLeave(t.Context(), "api", LeaveOrder{Cell: "api-1", Incarnation: "i1"}))
		o := must(c.LeaveOrder(t.Context(), "api", "api-1"))(t)
		if err := c.CheckLeave("api", *o); !errors.Is(err, ErrForged) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	ok(t, c.OrderLeave(t.Context(), "api", LeaveOrder{Cell: "api-1", Incarnation: "i1"}))
	o := must(c.LeaveOrder(t.Context(), "api", "api-1"))(t)
	ok(t, c.CheckLeave("api", *o))
	ok(t, keyless.CheckLeave("api", *o)) // without a key there is nothing to prove
	for name, change := range map[string]func(*LeaveOrder){
		"another cell": func(o *LeaveOrder) { o.Cell = "api-2" }, "another life": func(o *LeaveOrder) { o.Incarnation = "i2" },
		"reuse": func(o *LeaveOrder) { o.Reuse = true }, "later": func(o *LeaveOrder) { o.At = o.At.Add(time.Hour) },
	} {
		forged := *o
		change(&forged)
		if err := c.CheckLeave("api", forged); !errors.Is(err, ErrForged) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := c.CheckLeave("db", *o); !errors.Is(err, ErrForged) {
		t.Errorf("of another service: got %v", err)
	}

	ok(t, stranger.AnswerLeave(t.Context(), "api", LeaveAnswer{Cell: "api-1", Incarnation: "i1", Order: o.At, Phase: LeaveLeft}))
	brief, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.AwaitLeft(brief, "api", "api-1", "i1", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stranger's answer: %v", err)
	}
}

// A leader that has lost its lock orders nobody to leave; old orders and answers
// are swept.
func TestLeaveIsFencedAndSwept(t *testing.T) {
	t.Parallel()
	c, now := atNoon(t)
	old := lead(t, c, "api")
	ok(t, old.OrderLeave(t.Context(), LeaveOrder{Cell: "api-1", Incarnation: "i1"}))
	ok(t, c.AnswerLeave(t.Context(), "api", LeaveAnswer{Cell: "api-1", Incarnation: "i1", Phase: LeaveLeft}))
	*now = now.Add(TombstonesKept + time.Second)
	ok(t, old.OrderLeave(t.Context(), LeaveOrder{Cell: "api-2", Incarnation: "i1"}))
	if n := must(old.SweepLeave(t.Context()))(t); n != 2 {
		t.Errorf("%d swept, want order and answer of api-1", n)
	}
	if all := must(c.LeaveOrders(t.Context(), "api"))(t); len(all) != 1 || all[0].Cell != "api-2" {
		t.Errorf("left: %+v", all)
	}
	ok(t, old.Release(t.Context()))
	if err := old.OrderLeave(t.Context(), LeaveOrder{Cell: "api-3", Incarnation: "i1"}); err == nil {
		t.Error("a leader without the lock ordered a cell to leave")
	}
	for name, o := range map[string]LeaveOrder{"no cell": {Incarnation: "i1"}, "no life": {Cell: "api-1"}, "a path": {Cell: "a/b", Incarnation: "i1"}} {
		if err := c.OrderLeave(t.Context(), "api", o); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

// A life that is begun again must not follow the order to leave that it was given
// before.
func TestTakeUpForgetsTheOrder(t *testing.T) {
	t.Parallel()
	c := signing(t, "a key")[0]
	name := service(t)
	for _, cell := range []string{"a", "b"} {
		ok(t, c.OrderLeave(t.Context(), name, LeaveOrder{Cell: cell, Incarnation: "i1"}))
		ok(t, c.AnswerLeave(t.Context(), name, LeaveAnswer{Cell: cell, Incarnation: "i1", Phase: LeaveLeft}))
	}
	ok(t, c.TakeUp(t.Context(), name, Cell{Name: "a", Incarnation: "i1"}))
	ok(t, c.TakeUp(t.Context(), name, Cell{Name: "b", Incarnation: "i2"}))
	for cell, stays := range map[string]bool{"a": false, "b": true} {
		o := must(c.LeaveOrder(t.Context(), name, cell))(t)
		a := must(c.LeaveAnswer(t.Context(), name, cell))(t)
		if (o != nil) != stays || (a != nil) != stays {
			t.Errorf("of %s are left %+v and %+v", cell, o, a)
		}
	}
}
