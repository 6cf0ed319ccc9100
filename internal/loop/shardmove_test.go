package loop

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act/spread"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

func TestMovedShards(t *testing.T) {
	r := fleet.Record{Names: []string{"pod-1", "pod-2"}, Shards: []int{0, 1}}
	if diff := cmp.Diff([]int{2, 1}, movedShards(r, spread.Move{From: 0, To: 2, Names: []string{"pod-1"}})); diff != "" {
		t.Error(diff)
	}
	if got := movedShards(r, spread.Move{From: 1, To: 0, Names: []string{"pod-2"}}); got != nil {
		t.Errorf("all in one state again: %v", got)
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
