package cell

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// mover is a cell whose command takes a minute, and how that ended.
type mover struct {
	*Cell

	noted sync.Mutex
	ends  []string
	fail  error
}

func (m *mover) note(end string) error {
	m.noted.Lock()
	defer m.noted.Unlock()
	m.ends = append(m.ends, end)
	return m.fail
}

func (m *mover) failWith(err error) {
	m.noted.Lock()
	defer m.noted.Unlock()
	m.fail = err
}

func newMover(ctx context.Context) *mover {
	m := &mover{}
	m.Cell = New(Config{
		Service: &policy.Service{Drain: policy.Drain{CommandTimeout: time.Hour}},
		App:     &forgetful{}, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Move: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				_ = m.note("stopped")
				return ctx.Err()
			case <-time.After(time.Minute):
				return m.note("ended")
			}
		},
	})
	go m.tellDrain(ctx)
	go m.moveData(ctx)
	return m
}

// mark is the leader's mark, or its taking back.
func (m *mover) mark(why string) {
	m.drain(func() { m.ordered = why })
	m.toMove(why != "")
	synctest.Wait()
}

func (m *mover) want(t *testing.T, moved bool, word string, ends ...string) {
	t.Helper()
	synctest.Wait()
	m.noted.Lock()
	defer m.noted.Unlock()
	if got := strings.Join(m.ends, " "); got != strings.Join(ends, " ") || m.Vitals().Moved != moved {
		t.Errorf("the command %q, moved %t; want %q, %t", got, m.Vitals().Moved, ends, moved)
	}
	if _, why := m.health(); !strings.Contains(why, word) {
		t.Errorf("the cell says %q, want %q", why, word)
	}
}

func TestMoveData(t *testing.T) {
	t.Run("before the cell leaves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newMover(t.Context())
			m.mark("release")
			m.want(t, false, "being moved")
			time.Sleep(time.Hour)
			m.want(t, true, "have been moved", "ended")
			m.mark("")
			m.want(t, false, "well", "ended")
		})
	})
	t.Run("again after it failed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newMover(t.Context())
			m.failWith(errors.New("no other database"))
			m.mark("release")
			time.Sleep(time.Minute + time.Second)
			m.want(t, false, "could not be moved: no other database", "ended")
			m.failWith(nil)
			time.Sleep(moveRetry + time.Minute)
			m.want(t, true, "have been moved", "ended", "ended")
		})
	})
	t.Run("stopped when the cell is taken back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newMover(t.Context())
			m.mark("release")
			time.Sleep(time.Second)
			m.mark("")
			m.want(t, false, "well", "stopped")
			m.mark("release")
			time.Sleep(time.Hour)
			m.want(t, true, "have been moved", "stopped", "ended")
		})
	})
	t.Run("never because the sidecar is to end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newMover(t.Context())
			m.Ask("the sidecar was asked to end")
			time.Sleep(time.Hour)
			m.want(t, false, "draining")
		})
	})
}
