package loop

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/act/spread"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// spreadLeader is a leader of cells that are in the shards given, by name, all of
// them held.
func spreadLeader(at map[string]int, size int) *Leader {
	l := &Leader{
		LeaderConfig: LeaderConfig{
			Service: &policy.Service{Name: "pod", Terraform: policy.Terraform{ShardSize: size, ShardsAtOnce: 2}},
			Now:     time.Now,
		},
		held: map[string]heldCell{},
	}
	l.shards.ready(&preparation{shards: &shardRoots{}}, time.Time{})
	for _, name := range slices.SortedFunc(mapKeys(at), func(a, b string) int { return guard.CompareKeys(guard.Key(a), guard.Key(b)) }) {
		l.record.Names = append(l.record.Names, name)
		l.record.Shards = append(l.record.Shards, at[name])
		l.held[name] = heldCell{Shard: at[name]}
	}
	l.record.Count = len(l.record.Names)
	return l
}

// quietLeader is a spreadLeader that is ready to act, and logs nothing.
func quietLeader(at map[string]int, size int) *Leader {
	l := spreadLeader(at, size)
	l.Log, l.prepared = slog.New(slog.DiscardHandler), true
	return l
}

func mapKeys(m map[string]int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func TestPlaced(t *testing.T) {
	few := []string{"pod-1", "pod-2"}
	many := []string{"pod-1", "pod-2", "pod-3"}
	one := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 0}, 2)
	one.record.Shards = nil
	cant := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 0}, 2)
	cant.record.Shards, cant.shards.cant = nil, "it has a load balancer"
	never := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 0}, 0)
	never.record.Shards = nil
	leaving := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 0, "pod-3": 1}, 2)
	gone := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 0, "pod-3": 1}, 2)
	delete(gone.held, "pod-3")
	for name, c := range map[string]struct {
		l     *Leader
		names []string
		want  []int
	}{
		"few cells are in one state":            {one, few, nil},
		"more are spread":                       {one, many, []int{0, 0, 1}},
		"unless they can't be":                  {cant, many, nil},
		"or never are":                          {never, many, nil},
		"spread while one is still there to go": {leaving, few, []int{0, 0}},
		"and no longer":                         {gone, few, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.l.placed(c.names)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPartsOfAnOrder draws orders over cells in shards: each change is in the part of
// its cell's shard, each part keeps and wants the cells of its shard alone, and there
// is no part without a change, nor one in a shard that waits.
func TestPartsOfAnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := map[string]int{}
		for i := range rapid.IntRange(1, 30).Draw(t, "cells") {
			at[fmt.Sprintf("pod-%d", i+1)] = rapid.IntRange(0, 5).Draw(t, "shard")
		}
		l := spreadLeader(at, 100)
		all := slices.Clone(l.record.Names)
		leaves := rapid.SliceOfNDistinct(rapid.SampledFrom(all), 0, len(all), rapid.ID).Draw(t, "leave")
		names := without(all, leaves)
		for i := range rapid.IntRange(0, 10).Draw(t, "more") {
			names = append(names, fmt.Sprintf("pod-%d", 100+i))
		}
		shards := l.placed(names)
		l.record.Names, l.record.Shards = names, shards
		for i, name := range names {
			if i < len(shards) {
				at[name] = shards[i]
			}
		}
		waiting := map[int]bool{}
		for _, shard := range rapid.SliceOfN(rapid.IntRange(0, 5), 0, 3).Draw(t, "stuck") {
			l.shards.stuck[shard], waiting[shard] = stuckShard{failures: 1, retry: time.Now().Add(time.Hour)}, true
		}
		order, waits := l.movable(l.pending())
		left := 0
		for _, k := range slices.Concat(l.pending().Add, l.pending().Remove) {
			if waiting[at[string(k)]] {
				left++
			}
		}
		if l.spread() && (left > 0 != waits || order.Size()+left != l.pending().Size()) {
			t.Fatalf("%d wait (%t), and %d of %d are done", left, waits, order.Size(), l.pending().Size())
		}
		j := l.newSpreadJob(order)
		var got guard.Order
		for _, p := range j.parts {
			if p.order.Size() == 0 {
				t.Fatalf("shard %d has nothing to do", p.shard)
			}
			if l.spread() && waiting[p.shard] {
				t.Fatalf("shard %d waits", p.shard)
			}
			for _, k := range slices.Concat(p.order.Add, p.order.Remove, p.order.Keep) {
				if at[string(k)] != p.shard {
					t.Fatalf("%s is of shard %d, and in the part of %d", k, at[string(k)], p.shard)
				}
			}
			if p.order.After() != p.desired.Count || p.order.Before() != p.base.Count || len(p.desired.Names) != p.desired.Count {
				t.Fatalf("shard %d: order %+v, wants %+v, has %+v", p.shard, p.order, p.desired, p.base)
			}
			got.Add, got.Remove = append(got.Add, p.order.Add...), append(got.Remove, p.order.Remove...)
		}
		slices.Sort(got.Add)
		slices.Sort(order.Add)
		slices.Sort(got.Remove)
		if !slices.Equal(got.Add, order.Add) || !slices.Equal(got.Remove, order.Remove) {
			t.Fatalf("the parts do %+v of %+v", got, order)
		}
	})
}

// TestStuckShardsAreLeftOut has a shard wait for another try.
func TestStuckShardsAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 1, "pod-3": 2}, 1)
		l.record.Names, l.record.Shards = append(l.record.Names, "pod-4", "pod-5"), append(l.record.Shards, 1, 3)
		l.shards.stuck[1] = stuckShard{retry: time.Now().Add(time.Minute), why: "locked"}
		o, waits := l.movable(l.pending())
		if !waits || !slices.Equal(o.Add, []guard.Key{"pod-5"}) {
			t.Errorf("waits %t, %+v", waits, o)
		}
		if why := l.shardTrouble(); !strings.Contains(why, "shard 1 is tried again") || !strings.Contains(why, "locked") {
			t.Errorf("told: %q", why)
		}
		if !slices.Contains(l.placed(append(l.record.Names, "pod-6")), 4) {
			t.Error("the new one is not in a shard of its own")
		}
		time.Sleep(2 * time.Minute)
		if o, waits := l.movable(l.pending()); waits || len(o.Add) != 2 {
			t.Errorf("waits %t after its time, %+v", waits, o)
		}
	})
}

// TestOrderInAStuckShardIsKept has all of an order lie in shards that wait for another
// try: nothing is begun, and nothing of it counts as done.
func TestOrderInAStuckShardIsKept(t *testing.T) {
	l := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 1, "pod-3": 1}, 2)
	l.Service.Members = policy.MembersConsul
	l.record.Names, l.record.Shards = []string{"pod-1"}, []int{0}
	l.record.Orders = []fleet.Order{{ID: "1", Remove: []string{"pod-2", "pod-3"}}}
	l.shards.stuck[1] = stuckShard{failures: 1, retry: time.Now().Add(time.Minute), why: "locked"}
	l.carryOut(t.Context())
	if l.busy != "" {
		t.Errorf("begun: %s", l.busy)
	}
	if r := l.await(t.Context()); r.err != nil || len(r.parts) > 0 {
		t.Errorf("it came to something: %+v", r)
	}
	if len(l.held) != 3 || l.held["pod-2"].Shard != 1 || len(l.record.Orders) != 1 {
		t.Errorf("held %v, orders %v", l.held, l.record.Orders)
	}
	if o := l.pending(); len(o.Remove) != 2 {
		t.Errorf("left to do: %+v", o)
	}
}

// TestAllOfThemGo has an order take away all cells of a service that is spread: its record
// names none and so no shard, and those in other states go all the same.
func TestAllOfThemGo(t *testing.T) {
	l := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 1, "pod-3": 1}, 2)
	l.record.Shards = l.placed(nil)
	l.record.Names, l.record.Count = nil, 0
	l.record.Orders = []fleet.Order{{ID: "1", Remove: []string{"pod-1", "pod-2", "pod-3"}}}
	l.shards.stuck[1] = stuckShard{failures: 1, retry: time.Now().Add(time.Hour)}
	if o, waits := l.movable(l.pending()); !waits || !slices.Equal(o.Remove, []guard.Key{"pod-1"}) {
		t.Errorf("while shard 1 waits: %+v, waits %t", o, waits)
	}
	delete(l.shards.stuck, 1)
	if j := l.newSpreadJob(l.pending()); !l.spread() || len(j.parts) != 2 || len(j.parts[1].order.Remove) != 2 {
		t.Errorf("spread %t, parts %+v", l.spread(), j.parts)
	}
	l.partDone(&part{shard: 1, desired: act.Desired{Names: []string{}}})
	if l.spread() || len(l.pending().Remove) != 1 {
		t.Errorf("spread %t, left to do %+v", l.spread(), l.pending())
	}
}

// TestPartsThatFail sorts out an order of which one shard failed: it alone
// waits, and what it was to do stays in the order.
func TestPartsThatFail(t *testing.T) {
	provider := fmt.Errorf("apply: %w", act.ErrProvider)
	for name, c := range map[string]struct {
		p      part
		stays  bool
		failed []string
	}{
		"before anything was changed": {part{result: result{err: errors.New("locked")}}, true, nil},
		"its provider died": {part{result: result{err: provider, applied: true, heldKnown: true, held: map[string]heldCell{
			"pod-2": {Shard: 1}, "pod-3": {Shard: 1, Tainted: true}}}}, true, []string{"pod-3"}},
		"Terraform was killed": {part{result: result{err: act.ErrKilled, applied: true, heldKnown: true, held: map[string]heldCell{
			"pod-2": {Shard: 1}, "pod-3": {Shard: 1, Tainted: true}}}}, true, []string{"pod-3"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := quietLeader(map[string]int{"pod-1": 0, "pod-2": 1}, 2)
			p := &c.p
			p.shard, p.desired = 1, act.Desired{Names: []string{"pod-2", "pod-3"}, Count: 2}
			l.partFailed(p)
			if p.stays != c.stays || !slices.Equal(l.failed, c.failed) {
				t.Errorf("stays %t, failed %v", p.stays, l.failed)
			}
			if !l.isStuck(1) || l.isStuck(0) || l.held["pod-1"].Shard != 0 {
				t.Errorf("stuck %+v, held %+v", l.shards.stuck, l.held)
			}
		})
	}
}

// TestMissedAreLookedForAgain has a refresh miss a cell that lives. What another shard's
// order sees says nothing of it, and its own shard is to be looked at.
func TestMissedAreLookedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 1}, 1)
		l.Service.Members = policy.MembersConsul
		first := time.Now()
		l.noteMissed(result{parts: []*part{{shard: 1, result: result{looked: true, gone: []string{"pod-2"}}}}})
		time.Sleep(time.Minute)
		l.noteMissed(result{parts: []*part{{shard: 0, result: result{looked: true}}}})
		if !slices.Equal(l.unlisted.gone, []string{"pod-2"}) || !l.unlisted.looked.Equal(first) {
			t.Errorf("missed %v as of %s", l.unlisted.gone, time.Since(l.unlisted.looked))
		}
		l.oweShardsOf(l.unlisted.gone)
		l.oweShardsOf(l.unlisted.gone)
		if !slices.Equal(l.payable(), []int{1}) {
			t.Errorf("looks at %v", l.payable())
		}
		l.noteMissed(result{parts: []*part{{shard: 1, result: result{looked: true}}}})
		if len(l.unlisted.gone) > 0 || !l.unlisted.looked.Equal(time.Now()) {
			t.Errorf("missed %v as of %s", l.unlisted.gone, time.Since(l.unlisted.looked))
		}
	})
}

// TestRemaining takes what was done out of an order.
func TestRemaining(t *testing.T) {
	order := fleet.Order{ID: "1", Add: []fleet.Newborn{{Name: "pod-4", Incarnation: "x"}, {Name: "pod-5"}}, Remove: []string{"pod-1", "pod-2"}, Replace: []string{"pod-3"}}
	done := fleet.Order{Add: []fleet.Newborn{{Name: "pod-5"}}, Remove: []string{"pod-1"}}
	want := fleet.Order{ID: "1", Add: []fleet.Newborn{{Name: "pod-4", Incarnation: "x"}}, Remove: []string{"pod-2"}, Replace: []string{"pod-3"}}
	if diff := cmp.Diff(want, remaining(order, done)); diff != "" {
		t.Error(diff)
	}
}

// TestRecordThatPlacesNobody has a state not be read while the record says that all cells
// are in one: it is believed where that one holds them all.
func TestRecordThatPlacesNobody(t *testing.T) {
	record := fleet.Record{Names: []string{"pod-1", "pod-2"}, Count: 2}
	ordered := record
	ordered.Orders = []fleet.Order{{Add: []fleet.Newborn{{Name: "pod-2"}}}}
	none := fleet.Record{Orders: []fleet.Order{{Remove: []string{"pod-1", "pod-2"}}}}
	for name, c := range map[string]struct {
		record fleet.Record
		held   []string
		fails  bool
	}{
		"all are there":               {record, []string{"pod-1", "pod-2"}, false},
		"one is to be born":           {ordered, []string{"pod-1"}, false},
		"one may be in the other one": {record, []string{"pod-1"}, true},
		"so may one that is to go":    {none, []string{"pod-1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := &preparation{found: true, record: c.record, held: map[string]heldCell{}}
			for _, name := range c.held {
				p.held[name] = heldCell{}
			}
			p.miss(3, errors.New("no route"))
			err := p.believe()
			if (err != nil) != c.fails || err == nil && len(p.unread) > 0 || err != nil && !strings.Contains(err.Error(), "no route") {
				t.Errorf("%v, unread %v", err, p.unread)
			}
		})
	}
}

// TestCellInTwoStates refuses what nobody can put right but a person.
func TestCellInTwoStates(t *testing.T) {
	p := &preparation{held: map[string]heldCell{"pod-1": {}}}
	if err := p.hold(2, []act.Cell{{Key: "pod-2"}}); err != nil || p.held["pod-2"].Shard != 2 {
		t.Errorf("%v, %+v", err, p.held)
	}
	if err := p.hold(3, []act.Cell{{Key: "pod-1"}}); err == nil || !strings.Contains(err.Error(), "shard 0 and of shard 3") {
		t.Errorf("hold: %v", err)
	}
}

func TestMovedShards(t *testing.T) {
	r := fleet.Record{Names: []string{"pod-1", "pod-2"}, Shards: []int{0, 1}}
	if diff := cmp.Diff([]int{2, 1}, movedShards(r, spread.Move{From: 0, To: 2, Names: []string{"pod-1"}})); diff != "" {
		t.Error(diff)
	}
	if got := movedShards(r, spread.Move{From: 1, To: 0, Names: []string{"pod-2"}}); got != nil {
		t.Errorf("all in one state again: %v", got)
	}
}

// TestListsBySets compares both ways of comparing lists.
func TestListsBySets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint(rapid.IntRange(0, 300).Draw(t, "n")) })
		list, other := rapid.SliceOfN(name, 0, 200).Draw(t, "list"), rapid.SliceOfN(name, 0, 200).Draw(t, "other")
		var in, out []string
		for _, v := range list {
			if slices.Contains(other, v) {
				in = append(in, v)
			} else {
				out = append(out, v)
			}
		}
		if !slices.Equal(intersect(list, other), in) || !slices.Equal(without(list, other), out) {
			t.Fatalf("intersect %v, without %v", intersect(list, other), without(list, other))
		}
	})
}

// TestShardThatCantBeRead has the state of one of three shards not be read: its cells
// are those of the record, but for who is to be born, and nothing is done there until
// it was read.
func TestShardThatCantBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		record := fleet.Record{
			Names: []string{"pod-1", "pod-2", "pod-3", "pod-4"}, Shards: []int{0, 1, 1, 2}, Count: 4,
			Orders: []fleet.Order{{ID: "1", Add: []fleet.Newborn{{Name: "pod-3"}}, Remove: []string{"pod-9", "pod-8"}}},
		}
		p := &preparation{found: true, record: record, shards: &shardRoots{}, held: map[string]heldCell{"pod-1": {}, "pod-4": {Shard: 2}, "pod-8": {}}}
		p.miss(1, errors.New("no route"))
		if err := p.believe(); err != nil {
			t.Fatal(err)
		}
		l := spreadLeader(nil, 2)
		l.record, l.held = record, p.held
		l.shards.ready(p, l.Now())
		if diff := cmp.Diff(map[string]heldCell{"pod-1": {}, "pod-2": {Shard: 1}, "pod-4": {Shard: 2}, "pod-8": {}}, l.held); diff != "" {
			t.Error(diff)
		}
		order, waits := l.movable(l.pending())
		if !waits || len(order.Add) != 0 || !slices.Equal(order.Remove, []guard.Key{"pod-8"}) {
			t.Errorf("waits %t, does %+v", waits, order)
		}
		j := l.newSpreadJob(order)
		if len(j.parts) != 1 || !slices.Equal(j.parts[0].result.order.Remove, []string{"pod-8"}) {
			t.Errorf("the parts do %+v", j.parts)
		}
		if l.rereads() {
			t.Error("it is read again at once")
		}
		time.Sleep(retryMin)
		if !l.rereads() || !l.isStuck(1) {
			t.Error("it isn't read again, or counts as read")
		}
		p.miss(1, errors.New("no route"))
		if l.shards.ready(p, l.Now()); l.shards.stuck[1].retry.Sub(l.Now()) != 2*retryMin {
			t.Errorf("the next try is in %s", l.shards.stuck[1].retry.Sub(l.Now()))
		}
		p.unread[1], p.shards.limit = fmt.Errorf("read it: %w", act.ErrTimeout), time.Minute
		if l.shards.ready(p, l.Now()); l.shards.stuck[1].retry.Sub(l.Now()) != hangPause*time.Minute {
			t.Errorf("after it hung, the next try is in %s", l.shards.stuck[1].retry.Sub(l.Now()))
		}
		if l.shards.ready(&preparation{}, l.Now()); l.isStuck(1) || l.unread() {
			t.Error("it still waits, and was read")
		}
	})
}

// TestUnreadCellInTwoStates believes no record that says otherwise than a state.
func TestUnreadCellInTwoStates(t *testing.T) {
	p := &preparation{record: fleet.Record{Names: []string{"pod-1"}, Shards: []int{1}}, held: map[string]heldCell{"pod-1": {}}}
	p.miss(1, errors.New("no route"))
	if err := p.believe(); err == nil || !strings.Contains(err.Error(), "shard 0 and of shard 1") {
		t.Errorf("believe: %v", err)
	}
}

// TestWorkspacesShareTheFile knows of workspaces that read the variable file.
func TestWorkspacesShareTheFile(t *testing.T) {
	var none *shardRoots
	for i, c := range []struct {
		roots *shardRoots
		want  bool
	}{{none, false}, {&shardRoots{}, false}, {&shardRoots{there: map[int]bool{}}, false}, {&shardRoots{there: map[int]bool{3: true}}, true}} {
		if got := c.roots.any(); got != c.want {
			t.Errorf("%d: %t", i, got)
		}
	}
}

// TestSharedVariables has both ways of writing the variable file heed that the
// workspaces of shards read it, too.
func TestSharedVariables(t *testing.T) {
	root := farRoot(t, os.Args[0])
	dir := root.Module().Dir
	for name, c := range map[string]struct {
		shards []int
		there  map[int]bool
		was    bool // there were workspaces that had been emptied
		names  bool // the file has them
	}{
		"in one state":                 {nil, map[int]bool{}, false, true},
		"in one state again":           {nil, map[int]bool{3: true}, false, false},
		"in one state, and not looked": {nil, nil, false, true},
		"emptied, and not looked":      {nil, nil, true, false},
		"emptied, and gone":            {nil, map[int]bool{}, true, true},
		"in several":                   {[]int{0, 3}, map[int]bool{3: true}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 0}, 1)
			l.Root, l.record.Shards, l.record.Emptied, l.shards.roots = root, c.shards, c.was, &shardRoots{there: c.there}
			writes := map[string]func() error{"between orders": func() error { _, _, err := l.writeVariables(); return err }}
			if c.shards == nil {
				writes["by an order"] = (&carry{leader: l, desired: l.desired(), shared: l.emptied(l.record)}).writeVariables
			}
			for when, write := range writes {
				if err := write(); err != nil {
					t.Fatal(err)
				}
				text, err := os.ReadFile(filepath.Join(dir, act.VariableFile))
				if err != nil || strings.Contains(string(text), "pod-2") != c.names {
					t.Errorf("%s the file says %s, %v", when, text, err)
				}
			}
		})
	}
}

// TestNextMoves says when cells may be moved, and which.
func TestNextMoves(t *testing.T) {
	for name, c := range map[string]struct {
		size   int
		change func(*Leader)
		moves  int
		later  bool
	}{
		"into one more":                {1, func(*Leader) {}, 1, false},
		"all are where they should be": {2, func(*Leader) {}, 0, false},
		"while a birth waits": {1, func(l *Leader) {
			l.record.Names, l.record.Shards = append(l.record.Names, "pod-3"), append(l.record.Shards, 1)
		}, 0, true},
		"while an order stands":                              {1, func(l *Leader) { l.record.Orders = []fleet.Order{{ID: "1"}} }, 0, true},
		"while a state is unread":                            {1, func(l *Leader) { l.shards.stuck[1] = stuckShard{unread: true} }, 0, true},
		"though it can't be spread, by what its states hold": {1, func(l *Leader) { l.shards.cant = "it has a load balancer" }, 0, false},
		"gathered, though it can't be spread": {0, func(l *Leader) {
			l.shards.cant = "it has a load balancer"
			l.held["pod-2"], l.record.Shards[1] = heldCell{Shard: 1}, 1
		}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 0}, c.size)
			c.change(l)
			if moves, later := l.nextMoves(); len(moves) != c.moves || later != c.later {
				t.Errorf("%+v, later %t", moves, later)
			}
		})
	}
}

// TestAfterMove has a name moved that no state holds: nothing says it is there.
func TestAfterMove(t *testing.T) {
	l := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 0, "pod-3": 1}, 2)
	delete(l.held, "pod-2")
	next := l.afterMove(spread.Move{From: 0, To: 2, Names: []string{"pod-1", "pod-2"}})
	if diff := cmp.Diff([]int{2, 2, 1}, next.Shards); diff != "" {
		t.Error(diff)
	}
	if _, held := l.held["pod-2"]; held || l.held["pod-1"].Shard != 2 || len(l.pending().Add) != 1 {
		t.Errorf("held %+v, left to do %+v", l.held, l.pending())
	}
}

// TestLessons has teachers that know how cells go, or don't.
func TestLessons(t *testing.T) {
	teachers := map[int]act.Desired{0: {Count: 3}, 1: {Count: 4}}
	knows, doesnt := guard.Shape{Digest: "a", Removals: true}, guard.Shape{Digest: "a"}
	locked := errors.New("locked")
	for name, c := range map[string]struct {
		known   int // the number of cells at which it was learned before
		says    map[int]guard.Shape
		asked   []int
		learned bool
		err     error
	}{
		"the first knows":                      {0, map[int]guard.Shape{0: knows, 1: knows}, []int{0}, true, nil},
		"the second knows":                     {0, map[int]guard.Shape{0: doesnt, 1: knows}, []int{0, 1}, true, nil},
		"the first is locked":                  {0, map[int]guard.Shape{1: knows}, []int{0, 1}, true, nil},
		"all are":                              {0, nil, []int{0, 1}, false, locked},
		"it was learned at this number before": {4, map[int]guard.Shape{0: knows}, nil, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			j := &spreadJob{carry: carry{shape: guard.Shape{Digest: "a", Count: c.known}}, teachers: teachers}
			var asked []int
			shape, err := j.lessons(func(shard int) (guard.Shape, error) {
				asked = append(asked, shard)
				if s, ok := c.says[shard]; ok {
					s.Count = teachers[shard].Count
					return s, nil
				}
				return guard.Shape{}, locked
			})
			if !slices.Equal(asked, c.asked) || (shape != nil) != c.learned || c.learned && !shape.Removals || !c.learned && !errors.Is(err, c.err) {
				t.Errorf("asked %v, learned %+v, %v", asked, shape, err)
			}
		})
	}
}

// TestHasty has no part of an order wait for a lock while others wait for it.
func TestHasty(t *testing.T) {
	alone := &part{}
	alone.job = &spreadJob{parts: []*part{alone}}
	one, two := &part{}, &part{}
	one.job = &spreadJob{parts: []*part{one, two}}
	again := &part{failures: 1, job: alone.job}
	for name, c := range map[string]struct {
		p    *part
		want bool
	}{"alone": {alone, false}, "one of two": {one, true}, "one that failed": {again, true}} {
		if got := c.p.hasty(); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestShardsInTurn has orders land: all shards are looked at in turn.
func TestShardsInTurn(t *testing.T) {
	l := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 2, "pod-3": 5}, 1)
	l.oweNext()
	if len(l.shards.owing) > 0 {
		t.Errorf("looked at, though health is known: %v", l.shards.owing)
	}
	l.Service.Members = policy.MembersState
	for i, want := range [][]int{{0}, {2}, {5}, {0}} {
		l.shards.owing = nil
		if l.oweNext(); !slices.Equal(l.shards.owing, want) {
			t.Errorf("order %d: %v, want %v", i, l.shards.owing, want)
		}
	}
}

// TestDoneIn adds up an order of which one shard failed, and one could not remove all.
func TestDoneIn(t *testing.T) {
	l := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 1, "pod-3": 2}, 2)
	one := func(shard int, o fleet.Order, stays bool) *part {
		p := &part{shard: shard, stays: stays}
		p.result.order = o
		return p
	}
	got := l.doneIn([]*part{
		one(0, fleet.Order{Add: []fleet.Newborn{{Name: "pod-4"}}, Replace: []string{"pod-1"}}, false),
		one(1, fleet.Order{Add: []fleet.Newborn{{Name: "pod-5"}}, Remove: []string{"pod-7"}}, true),
		one(2, fleet.Order{Remove: []string{"pod-3", "pod-6"}}, false),
	})
	want := fleet.Order{Add: []fleet.Newborn{{Name: "pod-4"}}, Replace: []string{"pod-1"}, Remove: []string{"pod-6"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
