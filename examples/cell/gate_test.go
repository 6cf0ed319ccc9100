package cell

import (
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func (c *clock) pass(d time.Duration) { c.Time = c.Add(d) }

func enter(t *testing.T, g *Gate) {
	t.Helper()
	if err := g.Enter(); err != nil {
		t.Fatalf("Enter: %v", err)
	}
}

func TestGateBoundsWork(t *testing.T) {
	gate := NewGate(2, time.Now)
	enter(t, gate)
	enter(t, gate)
	if err := gate.Enter(); !errors.Is(err, ErrFull) {
		t.Fatalf("third Enter of two: %v, want ErrFull", err)
	}
	gate.Leave()
	enter(t, gate)
}

func TestGateDrains(t *testing.T) {
	gate := NewGate(2, time.Now)
	enter(t, gate)
	call := func(method string) int {
		response := httptest.NewRecorder()
		gate.ServeHTTP(response, httptest.NewRequest(method, "/drain", nil))
		return response.Code
	}
	_, changed := gate.Draining()
	if code := call(http.MethodPut); code != http.StatusNoContent {
		t.Fatalf("PUT: %d", code)
	}
	<-changed
	if err := gate.Enter(); !errors.Is(err, ErrDraining) {
		t.Fatalf("Enter while draining: %v", err)
	}
	gate.Leave()
	if n := gate.InFlight(); n != 0 {
		t.Fatalf("in flight after the last Leave: %d", n)
	}
	if code := call(http.MethodDelete); code != http.StatusNoContent {
		t.Fatalf("DELETE: %d", code)
	}
	enter(t, gate)
	if code := call(http.MethodPost); code != http.StatusMethodNotAllowed {
		t.Fatalf("POST: %d", code)
	}
}

func TestBusyIsTheShareOfTheWindow(t *testing.T) {
	c := &clock{time.Unix(1000, 0)}
	gate := NewGate(4, c.now)
	check := func(want float64) {
		t.Helper()
		if got := gate.Busy(); math.Abs(got-want) > 0.02 {
			t.Errorf("busy = %.3f, want %.3f", got, want)
		}
	}
	check(0)
	enter(t, gate)
	enter(t, gate)
	c.pass(2 * time.Second)
	check(0.5)
	gate.Leave()
	gate.Leave()
	c.pass(2 * time.Second)
	check(0.25)
	// The work has left the window, although nothing happened in between.
	c.pass(10 * time.Second)
	gate.Busy()
	c.pass(window)
	check(0)
}
