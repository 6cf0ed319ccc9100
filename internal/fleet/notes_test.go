package fleet

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// noon is when things happen where a test needs to know.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// atNoon is a client whose clock can be set.
func atNoon(t *testing.T) (*Client, *time.Time) {
	t.Helper()
	now := noon
	cfg := quiet(t, sharedConsul(t).Addr())
	cfg.Now = func() time.Time { return now }
	return newClient(t, cfg), &now
}

func TestPin(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	if p, err := c.Pinned(t.Context(), "api"); p != nil || err != nil {
		t.Fatalf("got %v, %v", p, err)
	}
	ok(t, c.Pin(t.Context(), "api", Pin{Count: 0, By: "ann", Reason: "maintenance"}))
	ok(t, c.Pin(t.Context(), "crawler", Pin{Count: 7}))
	ok(t, c.Pause(t.Context(), "db", Pause{})) // A service without a pin.
	want := map[string]Pin{"api": {Count: 0, By: "ann", Reason: "maintenance", Since: noon}, "crawler": {Count: 7, Since: noon}}
	if pins := must(c.Pins(t.Context()))(t); !maps.Equal(pins, want) {
		t.Errorf("got %+v, want %+v", pins, want)
	}
	if all := must(c.Services(t.Context()))(t); !slices.Equal(all, []string{"api", "crawler", "db"}) {
		t.Errorf("services %v", all)
	}
	ok(t, c.Unpin(t.Context(), "api"))
	ok(t, c.Unpin(t.Context(), "api"))
	if p, err := c.Pinned(t.Context(), "api"); p != nil || err != nil {
		t.Errorf("got %v, %v", p, err)
	}
	for name, call := range map[string]error{
		"negative": c.Pin(t.Context(), "api", Pin{Count: -1}),
		"no name":  c.Pin(t.Context(), "", Pin{Count: 1}),
		"a path":   c.Pin(t.Context(), "a/b", Pin{Count: 1}),
	} {
		if call == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	state := func(service string) string {
		p := must(c.Paused(t.Context(), service))(t)
		if p == nil {
			return "runs"
		}
		return fmt.Sprintf("all=%v %s", p.All, p.Reason)
	}
	check := func(api, crawler, all string) {
		t.Helper()
		if a, b, d := state("api"), state("crawler"), state(""); a != api || b != crawler || d != all {
			t.Errorf("got %q, %q, %q; want %q, %q, %q", a, b, d, api, crawler, all)
		}
	}
	check("runs", "runs", "runs")
	ok(t, c.Pause(t.Context(), "api", Pause{Reason: "one"}))
	check("all=false one", "runs", "runs")
	ok(t, c.Pause(t.Context(), "", Pause{Reason: "everything"}))
	check("all=true everything", "all=true everything", "all=true everything")
	ok(t, c.Resume(t.Context(), ""))
	check("all=false one", "runs", "runs")
	ok(t, c.Resume(t.Context(), "api"))
	check("runs", "runs", "runs")
}

func TestCorruptNotesAreNotTakenForNone(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	consul := raw(t, sharedConsul(t))
	for _, key := range []string{c.key("api", keyPin), c.key("api", keyPause), c.key("api", keyApplying),
		c.key("api", keyTombstones, "api-1.x"), c.key("api", keyLeaving, "api-1")} {
		_, err := consul.KV().Put(&api.KVPair{Key: key, Value: []byte(`{}`)}, nil)
		ok(t, err)
	}
	for name, read := range map[string]func() error{
		"pin":        func() error { _, err := c.Pinned(t.Context(), "api"); return err },
		"pins":       func() error { _, err := c.Pins(t.Context()); return err },
		"pause":      func() error { _, err := c.Paused(t.Context(), "api"); return err },
		"applying":   func() error { _, err := c.Applying(t.Context(), "api", 0); return err },
		"tombstones": func() error { _, err := c.Tombstones(t.Context(), "api"); return err },
		"leaving":    func() error { _, err := c.Leaving(t.Context(), "api"); return err },
	} {
		if err := read(); !isCorrupt(err) {
			t.Errorf("%s: got %v, want a CorruptError", name, err)
		}
	}
}

func TestLeavingIsMarkedAndTakenBack(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	lease := lead(t, c, "api")
	var marks []Leaving
	var cells []string
	for n := range 150 { // More than fit into one transaction.
		cells = append(cells, fmt.Sprintf("api-%03d", n))
		marks = append(marks, Leaving{Cell: cells[n], Incarnation: "x", Since: noon, Until: noon.Add(time.Minute), Reason: "release"})
	}
	ok(t, lease.MarkLeaving(t.Context(), marks...))
	for i := range marks {
		marks[i].Epoch = lease.Epoch()
	}
	if got := must(c.Leaving(t.Context(), "api"))(t); !reflect.DeepEqual(got, marks) {
		t.Errorf("%d marks came back, want %d; the first is %+v", len(got), len(marks), got[0])
	}
	ok(t, lease.TakeBack(t.Context(), cells[1:]...))
	if got := must(c.Leaving(t.Context(), "api"))(t); len(got) != 1 || got[0].Cell != "api-000" {
		t.Errorf("left: %+v", got)
	}
	if err := lease.MarkLeaving(t.Context(), Leaving{Cell: "a/b", Since: noon}); err == nil {
		t.Error("a mark for a/b was taken")
	}
	if err := lease.MarkLeaving(t.Context(), Leaving{Cell: "a"}); err == nil {
		t.Error("a mark without a time was taken")
	}
}

func TestTombstonesAreSweptWhenOld(t *testing.T) {
	t.Parallel()
	c, now := atNoon(t)
	lease := lead(t, c, "api")
	ok(t, c.Tombstone(t.Context(), "api", Tombstone{Cell: "api-1", Incarnation: "x", By: "ann"}))
	*now = noon.Add(TombstonesKept)
	ok(t, c.Tombstone(t.Context(), "api", Tombstone{Cell: "api-2", Incarnation: "y"}))
	if n := must(lease.SweepTombstones(t.Context()))(t); n != 0 {
		t.Errorf("%d swept too early", n)
	}
	want := []Tombstone{{Cell: "api-1", Incarnation: "x", At: noon, By: "ann"}, {Cell: "api-2", Incarnation: "y", At: *now}}
	if got := must(c.Tombstones(t.Context(), "api"))(t); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	*now = now.Add(time.Nanosecond)
	if n := must(lease.SweepTombstones(t.Context()))(t); n != 1 {
		t.Errorf("%d swept, want 1", n)
	}
	if got := must(c.Tombstones(t.Context(), "api"))(t); !slices.Equal(got, want[1:]) {
		t.Errorf("got %+v, want %+v", got, want[1:])
	}
}

func TestApplying(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	lease := lead(t, c, "api")
	if a, err := c.Applying(t.Context(), "api", 0); a != nil || err != nil {
		t.Fatalf("got %v, %v", a, err)
	}
	want := Applying{Machine: "m", Boot: "b", PID: 7, Started: 99, Host: "h", Order: "o1", Since: noon}
	ok(t, lease.PutApplying(t.Context(), want))
	want.Epoch = lease.Epoch()
	if a := must(c.Applying(t.Context(), "api", 0))(t); *a != want {
		t.Errorf("got %+v, want %+v", *a, want)
	}
	if err := lease.PutApplying(t.Context(), Applying{Order: "o2", Since: noon}); err == nil {
		t.Error("a note without a process was taken")
	}
	other := want
	other.Shard = 3
	ok(t, lease.PutApplying(t.Context(), other))
	ok(t, lease.ClearApplying(t.Context(), 0))
	ok(t, lease.ClearApplying(t.Context(), 0))
	if a := must(c.Applying(t.Context(), "api", 3))(t); *a != other {
		t.Errorf("shard 3: got %+v, want %+v", *a, other)
	}
	ok(t, lease.ClearApplying(t.Context(), 3))
	if a, err := c.Applying(t.Context(), "api", 0); a != nil || err != nil {
		t.Errorf("got %v, %v", a, err)
	}
}

func TestLawAndDecisionSurviveAChangeOfLeader(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	type state struct{ Q []float64 }
	var got state
	wantError(t, c.Law(t.Context(), "api", &got), ErrNotFound)
	wantError(t, c.Decision(t.Context(), "api", &got), ErrNotFound)
	first := must(c.TryStand(t.Context(), "api", Holder{}))(t)
	ok(t, first.PutLaw(t.Context(), state{[]float64{0.5, 2}}))
	ok(t, first.PutDecision(t.Context(), state{[]float64{3}}))
	ok(t, first.Release(t.Context()))
	lead(t, c, "api")
	ok(t, c.Law(t.Context(), "api", &got))
	if !slices.Equal(got.Q, []float64{0.5, 2}) {
		t.Errorf("law %+v", got)
	}
	ok(t, c.Decision(t.Context(), "api", &got))
	if !slices.Equal(got.Q, []float64{3}) {
		t.Errorf("decision %+v", got)
	}
	var wrong []int
	if err := c.Law(t.Context(), "api", &wrong); !isCorrupt(err) {
		t.Errorf("got %v, want a CorruptError", err)
	}
}

func TestWatchesWakeAtAChange(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	lease := lead(t, c, "api")
	cell := cellFor(t, "1", "x")
	ctx, cancel := context.WithCancel(t.Context())
	records, marks, members := make(chan *Record, 16), make(chan *Leaving, 16), make(chan []Member, 16)
	ended := make(chan error, 3)
	go func() { ended <- c.WatchRecord(ctx, "api", func(r *Record) { records <- r }) }()
	go func() { ended <- c.WatchLeaving(ctx, "api", "api-1", func(m *Leaving) { marks <- m }) }()
	go func() { ended <- c.WatchMembers(ctx, cell.Service, func(m []Member) { members <- m }) }()
	if r, m, all := receive(t, records), receive(t, marks), receive(t, members); r != nil || m != nil || len(all) != 0 {
		t.Fatalf("at first: %v, %v, %v", r, m, all)
	}
	must(lease.PutRecord(t.Context(), Record{Count: 2}, 0))(t)
	if r := receive(t, records); r == nil || r.Count != 2 {
		t.Errorf("got %+v", r)
	}
	ok(t, lease.MarkLeaving(t.Context(), Leaving{Cell: "api-2", Since: noon})) // Another's: no wake.
	ok(t, lease.MarkLeaving(t.Context(), Leaving{Cell: "api-1", Since: noon}))
	if m := receive(t, marks); m == nil || m.Cell != "api-1" {
		t.Errorf("got %+v", m)
	}
	ok(t, lease.TakeBack(t.Context(), "api-1"))
	if m := receive(t, marks); m != nil {
		t.Errorf("got %+v", m)
	}
	ok(t, c.Push(t.Context(), cell, Passing, ""))
	for {
		all := receive(t, members)
		if len(all) == 1 && all[0].Health == Passing {
			break
		}
	}
	cancel()
	for range 3 {
		wantError(t, <-ended, context.Canceled)
	}
}
