package loop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/act/spread"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// prefixes counts the folders in Consul that were used.
var prefixes atomic.Int32

// lockedLeader is a spreadLeader that holds the lock, whose record is in Consul.
func lockedLeader(t *testing.T, at map[string]int, orders ...fleet.Order) *Leader {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Consul")
	}
	l := quietLeader(at, 2)
	c, err := fleet.New(fleet.Config{Addresses: []string{testkit.SharedConsul(t).Addr()}, Prefix: fmt.Sprintf("shards-%d", prefixes.Add(1))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	l.Fleet, l.Metrics, l.Jitter = c, NewMetrics(prometheus.NewRegistry(), time.Now), func() float64 { return 0 }
	lease, err := c.TryStand(t.Context(), "pod", fleet.Holder{Host: "here"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lease.Release(context.WithoutCancel(t.Context())) })
	l.lease, l.Self = lease, Process{Machine: "m", Boot: "b", Host: "here", PID: os.Getpid(), Started: 1}
	l.Root, l.shards.roots.There = farRoot(t, testkit.Terraform(t)), map[int]bool{1: true, 2: true}
	l.shards.roots.Base, l.shards.roots.Limit, l.results = l.Root, time.Minute, make(chan result, 1)
	l.record.Orders = orders
	if l.index, err = l.lease.PutRecord(t.Context(), l.record, 0); err != nil {
		t.Fatal(err)
	}
	return l
}

// keepInConsul has Consul hold a record.
func keepInConsul(t *testing.T, l *Leader, r fleet.Record) {
	t.Helper()
	index, err := l.lease.PutRecord(t.Context(), r, l.index)
	if err != nil {
		t.Fatal(err)
	}
	l.record, l.index = r, index
}

// getReady has the leader prepare by what Consul and the states hold.
func getReady(t *testing.T, l *Leader) {
	t.Helper()
	l.Service.Terraform.Timeout = 10 * time.Minute
	l.Open = func() (*act.Root, error) { return l.Root, nil }
	p, err := l.getReady(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.takeOver(result{what: preparing, prepared: p})
}

// inConsul is the record that Consul holds.
func inConsul(t *testing.T, l *Leader) *fleet.Record {
	t.Helper()
	r, _, err := l.Fleet.Record(t.Context(), "pod")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLandedSpread has an order land that adds a cell in shard 1 and takes one away in
// shard 2.
func TestLandedSpread(t *testing.T) {
	add, remove := fleet.Order{Add: []fleet.Newborn{{Name: "pod-4"}}}, fleet.Order{Remove: []string{"pod-3"}}
	one := func(err error, change func(*part)) *part {
		p := &part{shard: 1, desired: act.Desired{Names: []string{"pod-2", "pod-4"}, Count: 2}, result: result{err: err, order: add, looked: true}}
		if change != nil {
			change(p)
		}
		return p
	}
	two := func(err error) *part {
		return &part{shard: 2, desired: act.Desired{Names: []string{}}, result: result{err: err, order: remove, looked: true}}
	}
	locked, births := errors.New("locked"), errors.New("no room")
	was := map[string]heldCell{"pod-1": {}, "pod-2": {Shard: 1}, "pod-3": {Shard: 2}}
	born := map[string]heldCell{"pod-1": {}, "pod-2": {Shard: 1}, "pod-4": {Shard: 1}}
	half := map[string]heldCell{"pod-2": {Shard: 1}, "pod-4": {Shard: 1, Tainted: true}}
	for name, c := range map[string]struct {
		parts          []*part
		held           map[string]heldCell
		add, remove    int // what the record still orders
		stuck          []int
		failed         []string
		delta, destroy int
		ready          bool
	}{
		"all of it is done": {[]*part{one(nil, nil), two(nil)}, born, 0, 0, nil, nil, 0, 1, true},
		"a shard fails before anything was changed": {[]*part{one(nil, nil), two(locked)},
			map[string]heldCell{"pod-1": {}, "pod-2": {Shard: 1}, "pod-3": {Shard: 2}, "pod-4": {Shard: 1}}, 0, 1, []int{2}, nil, 1, 0, true},
		"both do": {[]*part{one(locked, nil), two(locked)}, was, 1, 1, []int{1, 2}, nil, 0, 0, true},
		"a birth fails, and what the shard holds is known": {[]*part{one(births, func(p *part) { p.applied, p.heldKnown, p.held = true, true, half }), two(nil)},
			map[string]heldCell{"pod-1": {}, "pod-2": {Shard: 1}, "pod-4": {Shard: 1, Tainted: true}}, 0, 0, []int{1}, []string{"pod-4"}, -1, 1, true},
		"a birth fails, and that isn't known": {[]*part{one(births, func(p *part) { p.applied = true }), two(nil)},
			map[string]heldCell{"pod-1": {}, "pod-2": {Shard: 1}}, 1, 0, []int{1}, nil, -1, 1, false},
		"the removal leaves the cell": {[]*part{one(nil, nil), {shard: 2, result: result{err: births, order: remove, applied: true, heldKnown: true,
			held: map[string]heldCell{"pod-3": {Shard: 2}}}}},
			map[string]heldCell{"pod-1": {}, "pod-2": {Shard: 1}, "pod-3": {Shard: 2}, "pod-4": {Shard: 1}}, 0, 1, []int{2}, nil, 1, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			order := fleet.Order{ID: "1", Add: add.Add, Remove: remove.Remove}
			l := lockedLeader(t, map[string]int{"pod-1": 0, "pod-2": 1, "pod-3": 2}, order)
			l.record.Names, l.record.Shards, l.record.Count = []string{"pod-1", "pod-2", "pod-4"}, []int{0, 1, 1}, 3
			if err := l.lease.MarkLeaving(t.Context(), fleet.Leaving{Cell: "pod-3", Since: l.Now(), Until: l.Now().Add(time.Hour), Reason: "less load"}); err != nil {
				t.Fatal(err)
			}
			l.landedSpread(t.Context(), result{order: order, parts: c.parts})
			if diff := cmp.Diff(c.held, l.held); diff != "" {
				t.Errorf("held %s", diff)
			}
			left := inConsul(t, l).Orders
			if c.add+c.remove == 0 && len(left) != 0 || c.add+c.remove > 0 && (len(left) != 1 || len(left[0].Add) != c.add || len(left[0].Remove) != c.remove) {
				t.Errorf("the record still orders %+v", left)
			}
			if stuck := slices.Sorted(mapKeysOf(l.shards.stuck)); !slices.Equal(stuck, c.stuck) || !slices.Equal(l.failed, c.failed) || l.prepared != c.ready {
				t.Errorf("stuck %v, failed %v, prepared %t", stuck, l.failed, l.prepared)
			}
			var change change
			if n := len(l.memory.Changes); n > 0 {
				change = l.memory.Changes[n-1]
			}
			if change.Delta != c.delta || change.Destroyed != c.destroy {
				t.Errorf("remembered: %+v", change)
			}
			marks, err := l.Fleet.Leaving(t.Context(), "pod")
			if err != nil || len(marks) != 1-c.destroy {
				t.Errorf("marks %v, %v", marks, err)
			}
		})
	}
}

func mapKeysOf(m map[int]stuckShard) func(func(int) bool) {
	return func(yield func(int) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestMissedInShards has cells be gone in several shards of a service of which only
// Terraform's refresh knows who is dead. Of those that can't be replaced at once none is
// forgotten, and none is looked for in each beat.
func TestMissedInShards(t *testing.T) {
	for name, c := range map[string]struct {
		members string
		payment bool
		gone    []string
		owing   []int
		waits   bool
	}{
		"found by a look":           {policy.MembersState, true, []string{"pod-2", "pod-3"}, []int{1, 2}, true},
		"found by an order":         {policy.MembersState, false, []string{"pod-2"}, []int{0, 1}, false},
		"an order finds none":       {policy.MembersState, false, nil, []int{0}, true},
		"none is":                   {policy.MembersState, true, nil, nil, false},
		"where each sidecar speaks": {policy.MembersConsul, true, []string{"pod-2"}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := quietLeader(map[string]int{"pod-1": 0, "pod-2": 1, "pod-3": 2}, 1)
			l.Service.Members, l.Service.Beat = c.members, 5*time.Second
			l.shards.owing = []int{}
			r := result{payment: c.payment, gone: c.gone}
			for shard := 1; shard <= 2; shard++ {
				r.parts = append(r.parts, &part{shard: shard, desired: act.Desired{Names: []string{fmt.Sprintf("pod-%d", shard+1)}, Count: 1}, result: result{looked: true}})
			}
			l.landedSpread(t.Context(), r)
			slices.Sort(l.shards.owing)
			if !slices.Equal(l.shards.owing, c.owing) || l.debt.due != (len(c.owing) > 0) || l.debt.retry.After(l.Now()) != c.waits {
				t.Errorf("owing %v, debt %+v", l.shards.owing, l.debt)
			}
		})
	}
}

// TestIdleLooks has a leader be idle for a while: it looks at a shard then.
func TestIdleLooks(t *testing.T) {
	l := lockedLeader(t, map[string]int{"pod-1": 0, "pod-2": 1})
	l.Service.Members, l.Service.Beat, l.shards.turned, l.sweptAt = policy.MembersState, 5*time.Second, time.Now(), time.Now()
	v := view{at: time.Now()}
	if trouble := l.idle(t.Context(), v); trouble != "" || l.busy != "" {
		t.Errorf("trouble %q, busy with %q", trouble, l.busy)
	}
	l.shards.turned = time.Now().Add(-lookEvery * l.Service.Beat)
	if trouble := l.idle(t.Context(), v); trouble != "" || l.busy == "" {
		t.Fatalf("trouble %q, no look was begun", trouble)
	}
	if r := <-l.results; !r.payment {
		t.Errorf("it is no look: %+v", r)
	}
}

// TestStarvedBirths has births be ordered in a shard whose state somebody has locked, and
// be given up for others elsewhere once that was found for minutes; but none of which
// anything may have been begun, as by one who read the record before it was locked, nor any
// while most shards seem to be locked.
func TestStarvedBirths(t *testing.T) {
	began := time.Now()
	since := func(d time.Duration) error { return &act.LockedError{Who: "anna@desk", Created: began.Add(d)} }
	old, other := since(-time.Hour), errors.New("no route")
	minutes := []time.Duration{0, time.Minute, giveUpTime}
	for name, c := range map[string]struct {
		tries  []error
		at     []time.Duration // since the order
		change func(*Leader, *part)
		given  bool
	}{
		"it stays locked":               {[]error{old, old, old}, minutes, nil, true},
		"tries were few":                {[]error{old, old}, minutes[1:], nil, false},
		"it may be given back soon":     {[]error{old, old, old}, []time.Duration{0, 5 * time.Second, 15 * time.Second}, nil, false},
		"the lock is younger":           {[]error{since(time.Second), since(time.Second), since(time.Second)}, minutes, nil, false},
		"another has it by now":         {[]error{old, old, since(time.Minute)}, minutes, nil, false},
		"by one of the clocks it isn't": {[]error{since(-giveUpOlder), since(-giveUpOlder), since(-giveUpOlder)}, minutes, nil, false},
		"nobody knows since when":       {[]error{&act.LockedError{}, &act.LockedError{}, &act.LockedError{}}, minutes, nil, false},
		"another failed before":         {[]error{other, old, old, old}, append([]time.Duration{0}, minutes...), nil, false},
		"the shard failed before":       {[]error{old}, minutes[2:], func(l *Leader, _ *part) { l.shards.stuck[1] = stuckShard{failures: 2} }, false},
		"it was tried some time ago":    {[]error{old, old, old}, minutes, func(_ *Leader, p *part) { p.tried = p.tried.Add(-2 * giveUpWithin) }, false},
		"an apply was cut there":        {[]error{old, old, old}, minutes, func(_ *Leader, p *part) { p.cut = true }, false},
		"others are locked, too": {[]error{old, old, old}, minutes, func(l *Leader, _ *part) {
			later := began.Add(time.Hour)
			l.shards.stuck[7], l.shards.stuck[8] = stuckShard{locked: true, retry: later}, stuckShard{locked: true, retry: later}
		}, false},
		"others were locked": {[]error{old, old, old}, minutes, func(l *Leader, _ *part) {
			l.shards.stuck[7], l.shards.stuck[8] = stuckShard{locked: true, retry: began}, stuckShard{locked: true, retry: began}
		}, true},
		"all would be placed in shard 0, which waits": {[]error{old, old, old}, minutes, func(l *Leader, _ *part) {
			l.Service.Terraform.ShardSize, l.shards.stuck[0] = 0, stuckShard{retry: began.Add(time.Hour)}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l, now := starvingLeader(t), began
			l.Now = func() time.Time { return now }
			orderOne(t, l)
			for i, err := range c.tries {
				now = began.Add(c.at[i])
				p := &part{shard: 1, tried: now, desired: act.Desired{Names: []string{"pod-3", "pod-4"}}, result: result{err: err, order: l.record.Orders[0]}}
				if c.change != nil {
					c.change(l, p)
				}
				l.landedSpread(t.Context(), result{order: l.record.Orders[0], parts: []*part{p}})
			}
			w, _ := l.wish(t.Context(), view{})
			w.Desired = 4
			s := l.roster().step(w, func(names []string) []string { return names })
			if s.orders() != c.given {
				t.Fatalf("it orders %+v", s)
			}
			if !c.given {
				return
			}
			if !slices.Equal(s.Names, []string{"pod-1", "pod-2", "pod-3", "pod-5"}) || len(s.Remove) > 0 || !slices.Equal(l.placed(s.Names), []int{0, 0, 1, 2}) {
				t.Errorf("it orders %+v, in %v", s, l.placed(s.Names))
			}
			if _, leaving := l.unfinished(s); len(leaving) > 0 {
				t.Errorf("it goes on with %v", leaving)
			}
		})
	}
}

// starvingLeader leads three cells in two states, and may have a fourth.
func starvingLeader(t *testing.T) *Leader {
	t.Helper()
	l := lockedLeader(t, map[string]int{"pod-1": 0, "pod-2": 0, "pod-3": 1})
	l.Service.Members, l.Service.Max, l.record.Next = policy.MembersState, 10, 5
	l.Incarnation = func() string { return "one" }
	return l
}

// orderOne orders pod-4, in shard 1.
func orderOne(t *testing.T, l *Leader) {
	t.Helper()
	place(t, l, step{Add: []string{"pod-4"}, Names: []string{"pod-1", "pod-2", "pod-3", "pod-4"}, Next: 5})
}

// place places an order, and takes no notice of what becomes of it.
func place(t *testing.T, l *Leader, s step) {
	t.Helper()
	if err := l.place(t.Context(), s, "more load"); err != nil {
		t.Fatal(err)
	}
	<-l.results
	l.busy = ""
}

// TestGivenUpBirthIsMade has a birth be given up, and whoever held the lock make the cell
// after all, as a try finds, or the next leader. It counts again, and isn't taken away at
// once but drained, unless it is half made.
func TestGivenUpBirthIsMade(t *testing.T) {
	finds := map[string]func(*testing.T, *Leader, heldCell){
		"a try": func(t *testing.T, l *Leader, c heldCell) {
			l.landedSpread(t.Context(), result{parts: []*part{{shard: 1, result: result{
				err: errors.New("no route"), heldKnown: true, held: map[string]heldCell{"pod-3": {Shard: 1}, "pod-4": c},
			}}}})
		},
		"the next leader": func(t *testing.T, l *Leader, c heldCell) {
			p := &preparation{record: l.record, index: l.index, root: l.Root, shards: l.shards.roots, held: map[string]heldCell{"pod-1": {}, "pod-2": {}, "pod-3": {Shard: 1}, "pod-4": c}}
			var err error
			if p.memory, err = recall(t.Context(), l.Fleet, "pod"); err != nil {
				t.Fatal(err)
			}
			l.memory = memory{}
			l.takeOver(result{what: preparing, prepared: p})
		},
	}
	for name, c := range map[string]struct {
		held   heldCell
		remove []string // what the record orders to go
		counts bool
	}{
		"whole":                       {heldCell{Shard: 1}, nil, true},
		"whole, and another is to go": {heldCell{Shard: 1}, []string{"pod-9"}, true},
		"half made":                   {heldCell{Shard: 1, Tainted: true}, nil, false},
		"ordered to go":               {heldCell{Shard: 1}, []string{"pod-4"}, false},
	} {
		for who, find := range finds {
			t.Run(name+", found by "+who, func(t *testing.T) {
				l := starvingLeader(t)
				orderOne(t, l)
				place(t, l, step{Add: []string{"pod-5"}, Names: []string{"pod-1", "pod-2", "pod-3", "pod-5"}, Next: 6})
				l.record.Orders[0].Remove = c.remove
				find(t, l, c.held)
				if err := l.keepRecord(t.Context()); err != nil {
					t.Fatal(err)
				}
				r := inConsul(t, l)
				if i := slices.Index(r.Names, "pod-4"); (i >= 0) != c.counts || c.counts && (r.Shards[i] != 1 || r.Count != 5) {
					t.Errorf("the record has %v in %v", r.Names, r.Shards)
				}
				if o := l.pending(); slices.Contains(o.Remove, "pod-4") == c.counts {
					t.Errorf("it does %+v", o)
				}
				s := l.roster().step(wish{Desired: 4, Destroys: 10, Births: 10, Max: 10}, func(names []string) []string { return names })
				if len(s.Remove) > 0 || (len(s.Mark) == 1) != c.counts {
					t.Errorf("next are ordered %+v", s)
				}
			})
		}
	}
}

// TestLandedMove has the record say where moved cells are, and a move that failed be
// finished by the next preparation, unless nothing was moved: the leader goes on then.
func TestLandedMove(t *testing.T) {
	for name, c := range map[string]struct {
		names  []string
		err    error
		begun  bool
		shards []int
	}{
		"one of two":               {[]string{"pod-2"}, nil, true, []int{2, 0}},
		"the last, into one state": {[]string{"pod-1", "pod-2"}, nil, true, nil},
		"it failed in the middle":  {[]string{"pod-2"}, errors.New("no route"), true, []int{2, 1}},
		"it failed before":         {[]string{"pod-2"}, errors.New("no route"), false, []int{2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			l := lockedLeader(t, map[string]int{"pod-1": 2, "pod-2": 1})
			m := spread.Move{From: 1, To: 0, Names: c.names}
			if err := l.lease.PutMove(t.Context(), fleet.MoveNote{From: 1, To: 0, Names: c.names, Since: l.Now()}); err != nil {
				t.Fatal(err)
			}
			l.landed(t.Context(), result{what: moving, moved: &m, err: c.err, begun: c.begun})
			note, err := l.Fleet.Move(t.Context(), "pod")
			half := c.err != nil && c.begun
			if err != nil || (note != nil) != half || l.prepared == half {
				t.Errorf("note %+v, %v; prepared %t", note, err, l.prepared)
			}
			r := inConsul(t, l)
			if diff := cmp.Diff(c.shards, r.Shards); diff != "" || r.Emptied != (c.shards == nil) {
				t.Errorf("emptied %t, %s", r.Emptied, diff)
			}
			if waits := l.shards.moveAgain.After(l.Now()); waits != (c.err != nil) || waits && !strings.Contains(l.shards.moveTrouble, "no route") {
				t.Errorf("tried again at %s: %s", l.shards.moveAgain, l.shards.moveTrouble)
			}
		})
	}
}

// TestRespread has a person wish cells moved: one move is begun at a time, when nothing is
// in its way, and the wish is taken away when none is left.
func TestRespread(t *testing.T) {
	for name, c := range map[string]struct {
		cells   int // in shard 0, of at most two in one
		wished  bool
		change  func(*Leader)
		begun   bool
		stands  bool // the wish
		trouble string
	}{
		"nobody wishes any":            {3, false, nil, false, false, ""},
		"all are where they should be": {2, true, nil, false, false, ""},
		"while an order stands":        {3, true, func(l *Leader) { l.record.Orders = []fleet.Order{{ID: "1"}} }, false, true, ""},
		"after it failed": {3, true, func(l *Leader) {
			l.shards.moveAgain, l.shards.moveTrouble = l.Now().Add(time.Minute), "no route"
		}, false, true, "no route"},
		"one is begun": {3, true, nil, true, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			at, instances := map[string]int{}, []string(nil)
			for i := range c.cells {
				at[fmt.Sprintf("pod-%d", i+1)] = 0
				instances = append(instances, fmt.Sprintf(`{"index_key":"pod-%d","schema_version":0,"attributes":{"id":"%[1]d"}}`, i+1))
			}
			l := lockedLeader(t, at)
			l.shape = guard.Shape{Named: true, Patterns: []string{`terraform_data.cell["*"]`}, Removals: true}
			dir := l.Root.Module().Dir
			putState(t, dir, 0, instances)
			putState(t, dir, 1, nil)
			if c.wished {
				if err := l.Fleet.WishSpread(t.Context(), "pod", fleet.SpreadWish{By: "anna"}); err != nil {
					t.Fatal(err)
				}
			}
			if c.change != nil {
				c.change(l)
			}
			trouble, begun := l.respread(t.Context())
			wish, err := l.Fleet.SpreadWished(t.Context(), "pod")
			if err != nil || trouble != c.trouble || begun != c.begun || (wish != nil) != c.stands {
				t.Errorf("trouble %q, begun %t, wish %+v, %v", trouble, begun, wish, err)
			}
			if !c.begun {
				return
			}
			r := <-l.results
			if note, err := l.Fleet.Move(t.Context(), "pod"); err != nil || note == nil || r.err != nil {
				t.Fatalf("note %+v, %v; %v", note, err, r.err)
			}
			if l.landed(t.Context(), r); !slices.Equal(inConsul(t, l).Shards, []int{0, 0, 1}) || l.held["pod-3"].Shard != 1 {
				t.Errorf("record %+v, held %v", inConsul(t, l), l.held)
			}
			if first, second := stateOf(t, dir, 0), stateOf(t, dir, 1); strings.Contains(first, `"pod-3"`) || !strings.Contains(second, `"pod-3"`) {
				t.Errorf("the states are\n%s\n%s", first, second)
			}
			// No more is to be moved.
			if _, begun := l.respread(t.Context()); begun {
				t.Error("another move is begun")
			}
		})
	}
}

// TestFinishMove finds a move of a cell from shard 0 to shard 1 that was cut, and finishes
// it: wherever that was, the cell is in shard 1 alone afterwards, as it was before.
func TestFinishMove(t *testing.T) {
	moved, stays := `{"index_key":"pod-2","schema_version":0,"attributes":{"id":"b"}}`, `{"index_key":"pod-1","schema_version":0,"attributes":{"id":"a"}}`
	for name, c := range map[string]struct {
		from, to []string
		change   func(*Leader) error
		fails    string
	}{
		"before anything was moved":           {[]string{stays, moved}, nil, nil, ""},
		"it is in both states":                {[]string{stays, moved}, []string{moved}, nil, ""},
		"the states say it, the record not":   {[]string{stays}, []string{moved}, nil, ""},
		"it differs in both":                  {[]string{stays, moved}, []string{strings.Replace(moved, `"b"`, `"c"`, 1)}, nil, "is in both states and differs"},
		"the service is paused":               {[]string{stays, moved}, nil, func(l *Leader) error { return l.Fleet.Pause(t.Context(), "pod", fleet.Pause{By: "anna"}) }, "paused by anna"},
		"by one that only looks":              {[]string{stays, moved}, nil, func(l *Leader) error { l.lease = nil; return nil }, "whoever leads moves them"},
		"the record doesn't say what belongs": {[]string{stays, moved}, nil, func(l *Leader) error { l.record.Shape = nil; return nil }, "what belongs to a cell"},
	} {
		t.Run(name, func(t *testing.T) {
			l := lockedLeader(t, map[string]int{"pod-1": 0, "pod-2": 0})
			l.record.Shards = nil
			l.record.Shape, _ = json.Marshal(guard.Shape{Named: true, Patterns: []string{`terraform_data.cell["*"]`}, Removals: true})
			dir := l.Root.Module().Dir
			putState(t, dir, 0, c.from)
			putState(t, dir, 1, c.to)
			if err := l.lease.PutMove(t.Context(), fleet.MoveNote{From: 0, To: 1, Names: []string{"pod-2"}, Since: l.Now()}); err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				if err := c.change(l); err != nil {
					t.Fatal(err)
				}
			}
			p := &preparation{record: l.record, index: l.index, found: true, root: l.Root, shards: &act.Workspaces{Base: l.Root, Limit: time.Minute, There: map[int]bool{1: true}}}
			err := l.finishMove(t.Context(), p)
			note, noteErr := l.Fleet.Move(t.Context(), "pod")
			if noteErr != nil {
				t.Fatal(noteErr)
			}
			if c.fails != "" {
				if err := errors.Join(err, p.whyCut); err == nil || !strings.Contains(err.Error(), c.fails) || note == nil || len(inConsul(t, l).Shards) > 0 && inConsul(t, l).Shards[1] == 1 {
					t.Errorf("%v; note %+v, record %+v", err, note, inConsul(t, l))
				}
				if !strings.Contains(stateOf(t, dir, 0), `"pod-2"`) {
					t.Error("the cell was taken out of the first state")
				}
				return
			}
			if err != nil || note != nil {
				t.Fatalf("%v; note %+v", err, note)
			}
			if diff := cmp.Diff([]int{0, 1}, inConsul(t, l).Shards); diff != "" || !slices.Equal(p.record.Shards, []int{0, 1}) {
				t.Errorf("%v: %s", p.record.Shards, diff)
			}
			first, second := stateOf(t, dir, 0), stateOf(t, dir, 1)
			if strings.Contains(first, `"pod-2"`) || !strings.Contains(first, `"pod-1"`) || strings.Count(second, `"pod-2"`) != 1 || !strings.Contains(second, `"b"`) {
				t.Errorf("the states are\n%s\n%s", first, second)
			}
		})
	}
}

// TestCutMoveHoldsBackItsShards can't finish a move of a cell that is in both states, and
// differs. Nothing is done in these two shards until it is finished; in others cells are
// made, and none is made or taken away that is half moved.
func TestCutMoveHoldsBackItsShards(t *testing.T) {
	cell := func(name, id string) string {
		return fmt.Sprintf(`{"index_key":%q,"schema_version":0,"attributes":{"id":%q}}`, name, id)
	}
	for name, shards := range map[string][]int{"of a service in one state": nil, "of one that is spread": {0, 0, 2}} {
		t.Run(name, func(t *testing.T) {
			l := lockedLeader(t, map[string]int{"pod-1": 0, "pod-2": 0, "pod-3": 2})
			l.record.Shards = shards
			shape := guard.Shape{Digest: l.Root.Module().Digest, Named: true, Patterns: []string{`terraform_data.cell["*"]`}, Removals: true}
			l.record.Shape, _ = json.Marshal(shape)
			dir := l.Root.Module().Dir
			putState(t, dir, 0, []string{cell("pod-1", "a"), cell("pod-2", "b")})
			putState(t, dir, 1, []string{cell("pod-2", "c")})
			putState(t, dir, 2, []string{cell("pod-3", "d")})
			if err := l.lease.PutMove(t.Context(), fleet.MoveNote{From: 0, To: 1, Names: []string{"pod-2"}, Since: l.Now()}); err != nil {
				t.Fatal(err)
			}
			p := &preparation{record: l.record, index: l.index, found: true, root: l.Root, shape: shape, shards: &act.Workspaces{Base: l.Root, Limit: time.Minute}}
			if err := errors.Join(l.finishMove(t.Context(), p), l.readCells(t.Context(), p)); err != nil {
				t.Fatal(err)
			}
			p.holdBack()
			l.takeOver(result{what: preparing, prepared: p})
			if o, waits := l.movable(l.pending()); !waits || o.Size() > 0 || l.pending().Size() > 0 {
				t.Errorf("waits %t, does %+v of %+v", waits, o, l.pending())
			}
			if !l.isStuck(0) || !l.isStuck(1) || l.isStuck(2) || !strings.Contains(l.shardTrouble(), "can't be finished: move cells from workspace default to workspace shard-1") {
				t.Errorf("stuck: %v", l.shardTrouble())
			}
			names := append(slices.Clone(l.record.Names), "pod-4")
			if diff := cmp.Diff([]int{0, 0, 2, 2}, l.placed(names)); diff != "" {
				t.Error(diff)
			}
			if _, later := l.nextMoves(); !later {
				t.Error("another move is begun")
			}
		})
	}
}

// TestCutMoveWithoutAWorkspace has a workspace of a move that was cut not be there. It is
// made, and the move finished, where the record has no cells in it. Else they may live:
// nothing is done in the two shards, or they would be born a second time.
func TestCutMoveWithoutAWorkspace(t *testing.T) {
	cell := func(name string) string {
		return fmt.Sprintf(`{"index_key":%q,"schema_version":0,"attributes":{"id":%[1]q}}`, name)
	}
	for name, c := range map[string]struct {
		shards   []int // of pod-1, pod-2 and pod-3, by the record
		from, to int
		held     []string // in shard 0
		finished bool
	}{
		"it was to be made":          {nil, 0, 1, []string{"pod-1", "pod-2", "pod-3"}, true},
		"others are in the second":   {[]int{0, 0, 1}, 0, 1, []string{"pod-1", "pod-2"}, false},
		"the moved are in it by now": {[]int{0, 1, 0}, 0, 1, []string{"pod-1", "pod-3"}, false},
		"they were in the first":     {[]int{0, 1, 0}, 1, 0, []string{"pod-1", "pod-3"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := lockedLeader(t, map[string]int{"pod-1": 0, "pod-2": 0, "pod-3": 0})
			r := l.record
			r.Shards = c.shards
			r.Shape, _ = json.Marshal(guard.Shape{Digest: l.Root.Module().Digest, Named: true, Patterns: []string{`terraform_data.cell["*"]`}, Removals: true})
			keepInConsul(t, l, r)
			var cells []string
			for _, name := range c.held {
				cells = append(cells, cell(name))
			}
			putState(t, l.Root.Module().Dir, 0, cells)
			if err := l.lease.PutMove(t.Context(), fleet.MoveNote{From: c.from, To: c.to, Names: []string{"pod-2"}, Since: l.Now()}); err != nil {
				t.Fatal(err)
			}
			getReady(t, l)
			if o := l.pending(); o.Size() > 0 {
				t.Errorf("it would do %+v", o)
			}
			note, err := l.Fleet.Move(t.Context(), "pod")
			if err != nil || (note == nil) != c.finished || l.isStuck(0) == c.finished || l.isStuck(1) == c.finished {
				t.Errorf("note %+v, %v; stuck: %s", note, err, l.shardTrouble())
			}
			all, err := l.Root.Shards(t.Context())
			if err != nil || slices.Contains(all, 1) != c.finished {
				t.Errorf("there are the workspaces of shards %v, %v", all, err)
			}
			if why := "can't be finished: the record has cells in workspace shard-1, which isn't there"; !c.finished && !strings.Contains(l.shardTrouble(), why) {
				t.Errorf("told: %s", l.shardTrouble())
			}
		})
	}
}

// TestLookDuringACutMove has somebody look without the lock while a move is under way: the
// two shards are left out, and the others are looked at.
func TestLookDuringACutMove(t *testing.T) {
	l := lockedLeader(t, map[string]int{"pod-1": 0, "pod-2": 0, "pod-3": 2})
	r := l.record
	r.Names, r.Shards, r.Count = append(r.Names, "pod-4", "pod-5"), append(r.Shards, 1, 2), 5
	r.Shape, _ = json.Marshal(guard.Shape{Digest: l.Root.Module().Digest, Named: true, Patterns: []string{`terraform_data.cell["*"]`}, Removals: true})
	r.Orders = []fleet.Order{{ID: "1", Add: []fleet.Newborn{{Name: "pod-4"}, {Name: "pod-5"}}}}
	keepInConsul(t, l, r)
	for shard, cells := range map[int]string{0: "pod-1", 1: "pod-2", 2: "pod-3"} {
		putState(t, l.Root.Module().Dir, shard, []string{fmt.Sprintf(`{"index_key":%q,"schema_version":0,"attributes":{"id":%[1]q}}`, cells)})
	}
	if err := l.lease.PutMove(t.Context(), fleet.MoveNote{From: 0, To: 1, Names: []string{"pod-2"}, Since: l.Now()}); err != nil {
		t.Fatal(err)
	}
	l.lease = nil
	getReady(t, l)
	o, err := l.planSpread(t.Context(), Outcome{}, l.pending())
	if err != nil || o.Held != "" || len(o.Changes) != 1 || !strings.Contains(o.Changes[0].Address, "pod-5") {
		t.Errorf("%v, it would do %+v", err, o)
	}
	o, err = l.planSpread(t.Context(), Outcome{}, guard.Order{Add: []guard.Key{"pod-4"}})
	if err != nil || !strings.Contains(o.Held, "cells are being moved from shard 0 to shard 1") {
		t.Errorf("%v, it would do %+v", err, o)
	}
}

// TestLearnsWhereItCan has the module be edited while some shards are of no use to learn
// from: another one is.
func TestLearnsWhereItCan(t *testing.T) {
	l := lockedLeader(t, map[string]int{"pod-1": 0, "pod-2": 1, "pod-3": 2})
	cut := &spread.Move{From: 0, To: 2, Names: []string{"pod-9"}}
	for name, c := range map[string]struct {
		shards []int
		there  map[int]bool
		cut    *spread.Move
		want   []int
	}{
		"all in one state":        {nil, map[int]bool{1: true}, nil, []int{0}},
		"in several":              {[]int{2, 0, 1}, map[int]bool{1: true, 2: true}, nil, []int{0, 1, 2}},
		"one isn't listed":        {[]int{1, 2, 2}, map[int]bool{2: true, 5: true}, nil, []int{2}},
		"none is":                 {[]int{1, 3, 3}, map[int]bool{5: true}, nil, []int{0}},
		"two are moved between":   {[]int{0, 1, 2}, map[int]bool{1: true, 2: true}, cut, []int{1}},
		"there are but those two": {[]int{0, 0, 2}, map[int]bool{2: true}, cut, []int{0}},
	} {
		p := &preparation{record: fleet.Record{Names: l.record.Names, Shards: c.shards}, cut: c.cut, shards: &act.Workspaces{There: c.there}}
		if got, err := p.teachers(t.Context()); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
	}
	if err := l.Root.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := l.Root.Module().Dir
	putState(t, dir, 1, []string{`{"index_key":"pod-2","schema_version":0,"attributes":{"id":"b"}}`})
	if err := os.WriteFile(statePath(dir, 0), []byte("no state"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &preparation{record: l.record, root: l.Root, shards: &act.Workspaces{Base: l.Root, Limit: time.Minute}}
	if err := l.learn(t.Context(), p); err != nil || !p.shape.Removals || p.shape.Count != 1 {
		t.Errorf("learned %+v, %v", p.shape, err)
	}
}

func statePath(dir string, shard int) string {
	if shard == 0 {
		return filepath.Join(dir, "terraform.tfstate")
	}
	return filepath.Join(dir, "terraform.tfstate.d", fmt.Sprintf("shard-%d", shard), "terraform.tfstate")
}

// putState writes a state of these instances; none where there are none.
func putState(t *testing.T, dir string, shard int, instances []string) {
	t.Helper()
	path := statePath(dir, shard)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if len(instances) == 0 {
		return
	}
	text := fmt.Sprintf(`{"version":4,"terraform_version":"1.11.4","serial":3,"lineage":"shard-%d","outputs":{},"resources":[
		{"mode":"managed","type":"terraform_data","name":"cell","provider":"provider[\"terraform.io/builtin/terraform\"]","instances":[%s]}],"check_results":null}`,
		shard, strings.Join(instances, ","))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func stateOf(t *testing.T, dir string, shard int) string {
	t.Helper()
	text, err := os.ReadFile(statePath(dir, shard))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestOldRecord has a record say that all cells are in one state, as one does that was
// brought back from before. Who is in the state of another workspace is found there, and
// isn't born a second time.
func TestOldRecord(t *testing.T) {
	cell := func(name string) string {
		return fmt.Sprintf(`{"index_key":%q,"schema_version":0,"attributes":{"id":%[1]q}}`, name)
	}
	for name, c := range map[string]struct {
		first, second []string
		shards        []int
		add           int
	}{
		"spread, and it doesn't say so": {[]string{cell("pod-1")}, []string{cell("pod-2")}, []int{0, 1}, 0},
		"all in one, another emptied":   {[]string{cell("pod-1"), cell("pod-2")}, nil, nil, 0},
		"one is really lost":            {[]string{cell("pod-1")}, nil, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := lockedLeader(t, map[string]int{"pod-1": 0, "pod-2": 0})
			l.record.Shards = nil
			dir := l.Root.Module().Dir
			putState(t, dir, 0, c.first)
			putState(t, dir, 1, c.second)
			p := &preparation{
				record: l.record, index: l.index, found: true, root: l.Root, shards: &act.Workspaces{Base: l.Root, Limit: time.Minute},
				shape: guard.Shape{Digest: l.Root.Module().Digest, Named: true, Patterns: []string{`terraform_data.cell["*"]`}, Removals: true},
			}
			if err := l.readCells(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			l.takeOver(result{what: preparing, prepared: p})
			if err := l.keepRecord(t.Context()); err != nil {
				t.Fatal(err)
			}
			r := inConsul(t, l)
			if diff := cmp.Diff(c.shards, r.Shards); diff != "" || r.Emptied != (c.shards == nil) {
				t.Errorf("emptied %t, %s", r.Emptied, diff)
			}
			if o := l.pending(); len(o.Add) != c.add || len(o.Remove) > 0 {
				t.Errorf("it would do %+v", o)
			}
		})
	}
}
