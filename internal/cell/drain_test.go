package cell

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// forgetful is an application that doesn't take what it is told a few times.
type forgetful struct {
	mu    sync.Mutex
	fails int
	slow  time.Duration
	told  []bool // each call
}

func (*forgetful) Well() (bool, string) { return true, "" }

func (*forgetful) Scrape(context.Context) (*sense.Scrape, error) {
	return nil, errors.New("no metrics")
}

func (f *forgetful) Drain(_ context.Context, begin bool) error {
	f.mu.Lock()
	f.told = append(f.told, begin)
	fails := len(f.told) <= f.fails
	f.mu.Unlock()
	time.Sleep(f.slow)
	if fails {
		return errors.New("not now")
	}
	return nil
}

// TestTellDrain says what an application is told, and when its cell counts as
// draining.
func TestTellDrain(t *testing.T) {
	start := func(ctx context.Context, app *forgetful) *Cell {
		c := New(Config{Service: &policy.Service{}, App: app, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		go c.tellDrain(ctx)
		return c
	}
	told := func(t *testing.T, app *forgetful, c *Cell, draining bool, want ...bool) {
		t.Helper()
		synctest.Wait()
		time.Sleep(time.Millisecond)
		c.mu.Lock()
		c.vitals.At = time.Now() // as if it had been measured
		c.mu.Unlock()
		app.mu.Lock()
		defer app.mu.Unlock()
		if !slices.Equal(app.told, want) || c.Vitals().Draining != draining {
			t.Errorf("told %v, draining %t; want %v, %t", app.told, c.Vitals().Draining, want, draining)
		}
	}
	t.Run("again until it takes it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			app := &forgetful{fails: 2}
			c := start(t.Context(), app)
			c.Ask("for the test")
			told(t, app, c, false, true)
			time.Sleep(3 * drainRetry)
			told(t, app, c, true, true, true, true)
			c.Ask("")
			told(t, app, c, false, true, true, true, false)
		})
	})
	t.Run("in the order in which it is wanted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			app := &forgetful{slow: time.Second}
			c := start(t.Context(), app)
			c.Ask("for the test")
			synctest.Wait()
			c.Ask("") // while it is being told
			time.Sleep(10 * time.Second)
			told(t, app, c, false, true, false)
		})
	})
	t.Run("that it goes on, where it may have heard otherwise", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			app := &forgetful{fails: 1}
			c := start(t.Context(), app)
			c.Ask("for the test")
			synctest.Wait()
			c.Ask("") // before it is told again
			time.Sleep(3 * drainRetry)
			told(t, app, c, false, true, false)
		})
	})
	t.Run("not for longer than the limit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			app := &forgetful{fails: 1000}
			c := start(t.Context(), app)
			c.Ask("for the test")
			began := time.Now()
			c.AwaitIdle(t.Context(), 5*time.Second, time.Millisecond)
			if took := time.Since(began); took != 5*time.Second {
				t.Errorf("waited %s", took)
			}
		})
	})
}
