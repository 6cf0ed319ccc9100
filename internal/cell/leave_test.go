package cell

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// leaver is a cell of which is noted, in their order, what is done to leave.
type leaver struct {
	t     *testing.T
	fleet *fleet.Client
	*Cell
	stop func() error // ends its sidecar, and returns what Run did

	mu    sync.Mutex
	steps []string
	fails map[string]error
	spool *leftover
	door  string
	reuse []bool // of the orders carried out
}

func (l *leaver) step(name string) func(context.Context) error {
	return func(context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.steps = append(l.steps, name)
		return l.fails[name]
	}
}

func (l *leaver) did() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.steps, " ")
}

// newLeaver runs the sidecar of api-1 in its life i1.
func newLeaver(t *testing.T) *leaver {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Consul")
	}
	c, err := fleet.New(fleet.Config{Addresses: []string{testkit.Consul(t).Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	l := &leaver{t: t, fleet: c, fails: map[string]error{}, spool: &leftover{}}
	l.begin()
	l.isThere()
	return l
}

// begin starts a sidecar of the same life, as after the end of an earlier one.
func (l *leaver) begin() {
	l.Cell = New(Config{
		Service: &policy.Service{
			Name: "api", Beat: 100 * time.Millisecond,
			Drain: policy.Drain{Timeout: time.Second}, Health: policy.Health{Timeout: time.Second},
		},
		Identity: fleet.Cell{Service: "api", Name: "api-1", Incarnation: "i1", TTL: 10 * time.Second},
		Fleet:    l.fleet, App: &forgetful{}, Spool: l.spool,
		Stop: l.step("stop"), Door: func() string {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.door
		},
		Leave: func(ctx context.Context, o fleet.LeaveOrder) error {
			l.mu.Lock()
			l.reuse = append(l.reuse, o.Reuse)
			l.mu.Unlock()
			return l.step("remove")(ctx)
		},
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func(c *Cell) { ended <- c.Run(ctx) }(l.Cell)
	stop := sync.OnceValue(func() error { cancel(); return <-ended })
	l.stop = stop
	l.t.Cleanup(func() { _ = stop() })
}

// isThere waits until the cell is passing.
func (l *leaver) isThere() {
	l.t.Helper()
	testkit.Await(l.t, time.Minute, func(ctx context.Context) error {
		m, err := l.fleet.Member(ctx, "api", "api-1")
		if err == nil && m.Health != fleet.Passing {
			err = errors.New(m.Output)
		}
		return err
	})
}

// order orders a life to leave and returns what the cell answers in the end.
func (l *leaver) order(incarnation string) error {
	l.t.Helper()
	if err := l.fleet.OrderLeave(l.t.Context(), "api", fleet.LeaveOrder{Cell: "api-1", Incarnation: incarnation, Reason: "less load", By: "ann"}); err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	return l.fleet.AwaitLeft(ctx, "api", "api-1", incarnation, nil)
}

// leftover is a spool that keeps what it holds.
type leftover struct {
	mu    sync.Mutex
	n     int
	hurry []bool
}

func (l *leftover) set(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n = n
}

func (l *leftover) Depths() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return map[string]int{"pages": l.n}
}

func (l *leftover) Hurry(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hurry = append(l.hurry, on)
}

func (l *leftover) Flush(context.Context) error {
	if n := l.Depths()["pages"]; n > 0 {
		return fmt.Errorf("the spool still holds %d messages", n)
	}
	return nil
}

// A cell whose spool can't be emptied stops and doesn't remove anything; another
// order, once the queue is back, finds it ready to go.
func TestCellLeavesWithAnEmptySpool(t *testing.T) {
	l := newLeaver(t)
	l.spool.set(3)
	if v := l.Vitals(); !v.SpoolDepth.Known || v.SpoolDepth.Value != 3 || v.Spools["pages"] != 3 {
		t.Errorf("the vitals say %v", v.SpoolDepth)
	}
	if err := l.order("i1"); err == nil || !strings.Contains(err.Error(), "the spool still holds 3 messages") {
		t.Errorf("it leaves with messages: %v", err)
	}
	if did := l.did(); did != "stop" || !slices.Equal(l.spool.hurry, []bool{true}) {
		t.Errorf("it did %q, and hurried %v", did, l.spool.hurry)
	}
	l.spool.set(0)
	if err := l.order("i1"); err != nil {
		t.Fatal(err)
	}
	if did := l.did(); did != "stop stop remove" {
		t.Errorf("it did %q", did)
	}
}

// A cell that is ordered to leave stops, removes what its birth installed, and
// says so when nothing of it is registered any more.
func TestCellLeavesByOrder(t *testing.T) {
	l := newLeaver(t)
	if err := l.order("i1"); err != nil {
		t.Fatal(err)
	}
	if err := l.stop(); !errors.Is(err, ErrLeft) {
		t.Errorf("Run returned %v", err)
	}
	if did := l.did(); did != "stop remove" {
		t.Errorf("it did %q", did)
	}
	if _, err := l.fleet.Member(t.Context(), "api", "api-1"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("it is still registered: %v", err)
	}
	tombstones, err := l.fleet.Tombstones(t.Context(), "api")
	if err != nil || !slices.ContainsFunc(tombstones, func(s fleet.Tombstone) bool { return s.Cell == "api-1" && s.Incarnation == "i1" && s.By == "ann" }) {
		t.Errorf("no tombstone: %v, %v", tombstones, err)
	}
}

// What becomes of the door is seen everywhere at once, and how it is to be when the
// cell has left the order says.
func TestDoorIsTold(t *testing.T) {
	l := newLeaver(t)
	for _, door := range []string{fleet.DoorOpen, fleet.DoorShut} {
		l.mu.Lock()
		l.door = door
		l.mu.Unlock()
		testkit.Await(t, time.Minute, func(ctx context.Context) error {
			m, err := l.fleet.Member(ctx, "api", "api-1")
			if err == nil && (m.Door != door || m.Health != fleet.Passing) {
				err = fmt.Errorf("its door is %q, its health %s", m.Door, m.Health)
			}
			return err
		})
	}
	order := fleet.LeaveOrder{Cell: "api-1", Incarnation: "i1", Reuse: true}
	if err := l.fleet.OrderLeave(t.Context(), "api", order); err != nil {
		t.Fatal(err)
	}
	if err := l.fleet.AwaitLeft(t.Context(), "api", "api-1", "i1", nil); err != nil {
		t.Fatal(err)
	}
	if err := l.stop(); !errors.Is(err, ErrLeft) || !slices.Equal(l.reuse, []bool{true}) {
		t.Errorf("Run returned %v; reuse as it was told: %v", err, l.reuse)
	}
}

// A cell that can't lead says so, and is no less well for it.
func TestUnready(t *testing.T) {
	l := newLeaver(t)
	l.Unready("api", "the store doesn't answer")
	testkit.Await(t, time.Minute, func(ctx context.Context) error {
		m, err := l.fleet.Member(ctx, "api", "api-1")
		if err == nil && (m.Health != fleet.Passing || m.Output != "well; can't lead api: the store doesn't answer") {
			err = fmt.Errorf("%s: %s", m.Health, m.Output)
		}
		return err
	})
	l.Unready("api", "")
	if health, why := l.health(); health != fleet.Passing || why != "well" {
		t.Errorf("afterwards: %s, %s", health, why)
	}
}

// An order for another life harms nobody, and says why nothing comes of it.
func TestOrderForAnotherLife(t *testing.T) {
	l := newLeaver(t)
	if err := l.order("i0"); !errors.Is(err, fleet.ErrNotLeft) || !strings.Contains(err.Error(), "lives as i1") {
		t.Errorf("got %v", err)
	}
	if did := l.did(); did != "" || l.Draining() != "" {
		t.Errorf("it did %q, draining %q", did, l.Draining())
	}
}

// What fails is answered, and a new order begins anew.
func TestLeavingThatFails(t *testing.T) {
	l := newLeaver(t)
	l.fails["remove"] = errors.New("the disk is read-only")
	if err := l.order("i1"); !errors.Is(err, fleet.ErrNotLeft) || !strings.Contains(err.Error(), "removing: the disk is read-only") {
		t.Fatalf("got %v", err)
	}
	l.mu.Lock()
	l.fails["remove"] = nil
	l.mu.Unlock()
	if err := l.order("i1"); err != nil {
		t.Fatal(err)
	}
	if did := l.did(); did != "stop remove stop remove" {
		t.Errorf("it did %q", did)
	}
}

// A sidecar that ends while its cell leaves, as when the machine is restarted,
// goes on where it was, and doesn't start the application again.
func TestLeavingIsTakenUpAgain(t *testing.T) {
	l := newLeaver(t)
	removing, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	l.Leave = func(context.Context, fleet.LeaveOrder) error {
		once.Do(func() { close(removing) })
		<-release
		return errors.New("cut")
	}
	if l.Resumes(t.Context()) {
		t.Error("it goes on leaving, though nobody ordered it to")
	}
	if err := l.fleet.OrderLeave(t.Context(), "api", fleet.LeaveOrder{Cell: "api-1", Incarnation: "i1"}); err != nil {
		t.Fatal(err)
	}
	<-removing
	next := New(l.Config)
	if !next.Resumes(t.Context()) {
		t.Error("a sidecar that begins now would start the application")
	}
	next.Identity.Incarnation = "i2"
	if next.Resumes(t.Context()) {
		t.Error("another life would go on leaving")
	}
	close(release)
	_ = l.stop() // cut in the middle
	l.begin()
	testkit.Await(t, time.Minute, func(ctx context.Context) error {
		// What the first one answered may still be there.
		return l.fleet.AwaitLeft(ctx, "api", "api-1", "i1", nil)
	})
	if did := l.did(); did != "stop stop remove" {
		t.Errorf("it did %q", did)
	}
}
