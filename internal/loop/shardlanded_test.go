package loop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
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
