package loop

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

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

// TestShardThatCantBeRead has the state of one of three shards not be read: its cells
// are those of the record, but for who is to be born, and nothing is done there until
// it was read.
func TestShardThatCantBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		record := fleet.Record{
			Names: []string{"pod-1", "pod-2", "pod-3", "pod-4"}, Shards: []int{0, 1, 1, 2}, Count: 4,
			Orders: []fleet.Order{{ID: "1", Add: []fleet.Newborn{{Name: "pod-3"}}, Remove: []string{"pod-9", "pod-8"}}},
		}
		p := &preparation{found: true, record: record, shards: &act.Workspaces{}, held: map[string]heldCell{"pod-1": {}, "pod-4": {Shard: 2}, "pod-8": {}}}
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
		p.unread[1], p.shards.Limit = fmt.Errorf("read it: %w", act.ErrTimeout), time.Minute
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
