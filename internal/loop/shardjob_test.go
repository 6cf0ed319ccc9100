package loop

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

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

// TestRemaining takes what was done out of an order.
func TestRemaining(t *testing.T) {
	order := fleet.Order{ID: "1", Add: []fleet.Newborn{{Name: "pod-4", Incarnation: "x"}, {Name: "pod-5"}}, Remove: []string{"pod-1", "pod-2"}, Replace: []string{"pod-3"}}
	done := fleet.Order{Add: []fleet.Newborn{{Name: "pod-5"}}, Remove: []string{"pod-1"}}
	want := fleet.Order{ID: "1", Add: []fleet.Newborn{{Name: "pod-4", Incarnation: "x"}}, Remove: []string{"pod-2"}, Replace: []string{"pod-3"}}
	if diff := cmp.Diff(want, remaining(order, done)); diff != "" {
		t.Error(diff)
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
