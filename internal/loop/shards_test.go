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
	l.shards.ready(&preparation{shards: &act.Workspaces{}}, time.Time{})
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

// TestNewCellsWaitForShard0 has shard 0 wait: where all new cells are placed there, that is
// told.
func TestNewCellsWaitForShard0(t *testing.T) {
	for size, waits := range map[int]bool{0: true, 2: false} {
		l := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 1}, size)
		l.shards.stuck[0] = stuckShard{retry: time.Now().Add(time.Minute), why: "cells are being moved"}
		if placed := l.placed([]string{"pod-1", "pod-2", "pod-3"}); (placed[2] == 0) != waits || strings.Contains(l.shardTrouble(), "wait for it") != waits {
			t.Errorf("shard_size %d: placed in %v; %s", size, placed, l.shardTrouble())
		}
	}
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
			l.Root, l.record.Shards, l.record.Emptied, l.shards.roots = root, c.shards, c.was, &act.Workspaces{There: c.there}
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

// TestLooksAfterAPreparation has the leader of a service, of which only Terraform's refresh
// knows who is dead, prepare again and again since the state of a shard can't be read: the
// others aren't looked at each time.
func TestLooksAfterAPreparation(t *testing.T) {
	l := quietLeader(map[string]int{"pod-1": 0, "pod-2": 1, "pod-3": 2}, 1)
	l.Service.Members = policy.MembersState
	root := farRoot(t, os.Args[0])
	for _, c := range []struct {
		name   string
		unread bool // the state of shard 2
		pause  bool // since the one before
		owing  []int
		want   []int
	}{
		{"the leader begins", true, false, nil, []int{0, 1}},
		{"a look is still owed", true, false, []int{1}, []int{1}},
		{"it was looked at", true, false, nil, nil},
		{"the shard can be read", false, false, nil, []int{2}},
		{"all could be before", false, false, nil, nil},
		{"it was paused", false, true, nil, []int{0, 1, 2}},
		{"one can't be read any more", true, false, []int{1, 2, 7}, []int{1}},
	} {
		if l.shards.owing = c.owing; c.pause {
			l.forget()
		}
		p := &preparation{record: l.record, root: root, held: l.held, shards: &act.Workspaces{}}
		if c.unread {
			p.miss(2, errors.New("no route"))
		}
		if l.takeOver(result{prepared: p}); !slices.Equal(l.shards.owing, c.want) {
			t.Errorf("%s: %v are owed a look, want %v", c.name, l.shards.owing, c.want)
		}
	}
}

// A birth that failed and left nothing in a state keeps failed over a preparation, until
// its name is given up: made once more under it, it could be there twice.
func TestFailedBirthsOutliveAPreparation(t *testing.T) {
	l := quietLeader(map[string]int{"pod-1": 0}, 1)
	l.record.Names = []string{"pod-1", "pod-8", "pod-9"}
	l.record.Orders = []fleet.Order{{Add: []fleet.Newborn{{Name: "pod-8"}}}}
	l.failed = []string{"pod-1", "pod-7", "pod-8", "pod-9"}
	if failed := l.stillFailed(); !slices.Equal(failed, []string{"pod-9"}) {
		t.Errorf("%v are still failed, want pod-9: pod-1 is there, pod-7 is given up, and pod-8 ordered again", failed)
	}
}

// TestLooksInTime has shards be owed a look while orders land every few beats: they put it
// off, though not for ever. Without any order one shard after the other is looked at.
func TestLooksInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := spreadLeader(map[string]int{"pod-1": 0, "pod-2": 2, "pod-3": 5}, 1)
		l.Service.Members, l.Service.Beat = policy.MembersState, 5*time.Second
		due := func() bool { return l.debt.due && !l.Now().Before(l.debt.retry) }
		began, orders := time.Now(), 0
		for ; !due() && orders < 100; orders++ {
			l.oweNext()
			l.oweMissed(result{})
			time.Sleep(5 * l.Service.Beat)
		}
		if took := time.Since(began); orders < 10 || took > (mostBeforeLook+5)*l.Service.Beat {
			t.Errorf("a look is due after %s and %d orders", took, orders)
		}
		l.shards.owing = nil
		l.oweMissed(result{payment: true})
		for _, want := range [][]int{nil, {0}, {2}, {5}, {0}} {
			if l.oweInTime(); !slices.Equal(l.shards.owing, want) || due() != (want != nil) {
				t.Errorf("after %s %v are owed a look, due %t", time.Since(began), l.shards.owing, due())
			}
			l.shards.owing = nil
			l.oweMissed(result{payment: true})
			time.Sleep(lookEvery * l.Service.Beat)
		}
	})
}
