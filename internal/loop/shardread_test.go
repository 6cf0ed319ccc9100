package loop

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
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

// TestWorkspaceThatIsntListed has the record name a workspace that isn't there, while it
// isn't known what an order changes: its cells are kept as if its state could not be read,
// and nothing is done there, nor is it made to learn from. One that was to be made for
// births is no such.
func TestWorkspaceThatIsntListed(t *testing.T) {
	l := lockedLeader(t, nil)
	keepInConsul(t, l, fleet.Record{
		Names: []string{"pod-1", "pod-2", "pod-3", "pod-4"}, Shards: []int{1, 3, 3, 4}, Count: 4,
		Orders: []fleet.Order{{ID: "1", Add: []fleet.Newborn{{Name: "pod-3"}, {Name: "pod-4"}}}},
	})
	getReady(t, l)
	if l.shape.Removals {
		t.Errorf("learned from %+v", l.held)
	}
	order, waits := l.movable(l.pending())
	if !waits || !slices.Equal(order.Add, []guard.Key{"pod-4"}) || order.Size() != 1 {
		t.Errorf("waits %t, does %+v", waits, order)
	}
	if why := l.shardTrouble(); !strings.Contains(why, "shard 3 is tried again") || !strings.Contains(why, "workspace shard-3, which isn't there") {
		t.Errorf("told: %q", why)
	}
	if r := l.newSpreadJob(order).run(t.Context()); r.err != nil {
		t.Error(r.err)
	}
	if all, err := l.Root.Shards(t.Context()); err != nil || !slices.Equal(all, []int{4}) {
		t.Errorf("there are now the workspaces of shards %v, %v", all, err)
	}
	getReady(t, l)
	if o, _ := l.movable(l.pending()); o.Size() > 0 || len(l.held) != 3 {
		t.Errorf("then it does %+v, and holds %v", o, l.held)
	}
}

// TestWorkspacesCantBeListed has a record say that all cells are in one state while it
// can't be told whether there are others: it is believed where that one holds them all.
func TestWorkspacesCantBeListed(t *testing.T) {
	if testing.Short() {
		t.Skip("runs Terraform")
	}
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1 $2\" = 'workspace list' ] && { echo AccessDenied >&2; exit 1; }\nexec '%s' \"$@\"\n", testkit.Terraform(t))
	binary := filepath.Join(t.TempDir(), "terraform")
	if err := os.WriteFile(binary, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		held  []string
		order fleet.Order
		fails bool
	}{
		"all are there":               {[]string{"pod-1", "pod-2"}, fleet.Order{}, false},
		"one is to be born":           {[]string{"pod-1"}, fleet.Order{Add: []fleet.Newborn{{Name: "pod-2"}}}, false},
		"one may be in another state": {[]string{"pod-1"}, fleet.Order{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			root := farRoot(t, binary)
			var instances []string
			for _, name := range c.held {
				instances = append(instances, fmt.Sprintf(`{"index_key":%q,"schema_version":0,"attributes":{"id":%[1]q}}`, name))
			}
			putState(t, root.Module().Dir, 0, instances)
			p := &preparation{
				found: true, root: root, shards: &act.Workspaces{Base: root, Limit: time.Minute},
				record: fleet.Record{Names: []string{"pod-1", "pod-2"}, Count: 2, Orders: []fleet.Order{c.order}},
				shape:  guard.Shape{Named: true, Patterns: []string{`terraform_data.cell["*"]`}, Removals: true},
			}
			err := quietLeader(nil, 2).readCells(t.Context(), p)
			if (err != nil) != c.fails || err != nil && !strings.Contains(err.Error(), "AccessDenied") || len(p.unread) > 0 && err == nil {
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

// TestDecidesDuringAReread has it be time to read a shard once more that can't be read: the
// leader doesn't rest meanwhile, unless it turns out that it can't get ready.
func TestDecidesDuringAReread(t *testing.T) {
	l := lockedLeader(t, map[string]int{"pod-1": 0, "pod-2": 1})
	r := l.record
	r.Shape, _ = json.Marshal(guard.Shape{Digest: l.Root.Module().Digest, Named: true, Patterns: []string{`terraform_data.cell["*"]`}, Removals: true})
	keepInConsul(t, l, r)
	putState(t, l.Root.Module().Dir, 0, []string{`{"index_key":"pod-1","schema_version":0,"attributes":{"id":"a"}}`})
	getReady(t, l)
	reread := func() {
		t.Helper()
		stuck := l.shards.stuck[1]
		stuck.retry = l.Now()
		l.shards.stuck[1] = stuck
		if code, why := l.atRest(t.Context()); code != "" || l.busy != preparing {
			t.Fatalf("rests: %q, %q; busy with %q", code, why, l.busy)
		}
		l.landed(t.Context(), <-l.results)
	}
	if reread(); !l.prepared || l.shards.stuck[1].failures != 2 {
		t.Errorf("prepared %t, stuck %+v", l.prepared, l.shards.stuck)
	}
	l.Open = func() (*act.Root, error) { return nil, errors.New("no module") }
	if reread(); l.prepared {
		t.Error("it can't get ready, and goes on")
	}
	if code, why := l.atRest(t.Context()); code != "preparing" || !strings.Contains(why, "no module") || l.busy != "" {
		t.Errorf("rests: %q, %q; busy with %q", code, why, l.busy)
	}
}

// TestRemovalInAnUnreadShard has all cells that stay be in shard 0, while one that is to go
// may be in a shard that can't be read. Another order lands meanwhile, and the leader
// prepares again: the removal stays in the record, and the shard is read again.
func TestRemovalInAnUnreadShard(t *testing.T) {
	l := quietLeader(nil, 2)
	l.record = fleet.Record{
		Names: []string{"pod-1"}, Shards: []int{0}, Count: 1, Orders: []fleet.Order{{ID: "1", Remove: []string{"pod-2"}}},
	}
	prepare := func() {
		t.Helper()
		p := &preparation{found: true, record: l.record, shards: &act.Workspaces{There: map[int]bool{1: true}}, held: map[string]heldCell{}}
		for _, name := range l.record.Names {
			p.held[name] = heldCell{}
		}
		p.miss(1, errors.New("no route"))
		if err := p.believe(); err != nil {
			t.Fatal(err)
		}
		l.held = p.held
		l.shards.ready(p, l.Now())
		if _, waits := l.movable(l.pending()); !waits || !l.unread() {
			t.Errorf("waits %t, to be read again %t", waits, l.unread())
		}
	}
	prepare()
	names := []string{"pod-1", "pod-3"}
	l.record.Shards, l.record.Names = l.placed(names), names
	if !l.record.Spread() {
		t.Error("the record says that all cells are in one state")
	}
	prepare()
}

// TestUnreadCellInTwoStates believes no record that says otherwise than a state.
func TestUnreadCellInTwoStates(t *testing.T) {
	p := &preparation{record: fleet.Record{Names: []string{"pod-1"}, Shards: []int{1}}, held: map[string]heldCell{"pod-1": {}}}
	p.miss(1, errors.New("no route"))
	err := p.believe()
	if err == nil || !strings.Contains(err.Error(), "in the state of shard 0, and the record says that it is in shard 1, whose state can't be read") || strings.Contains(err.Error(), "state rm") {
		t.Errorf("believe: %v", err)
	}
}

// TestOldRecordOfADeletedWorkspace has a record from before cells were gathered, and the
// workspace they were in be deleted since: it is put right by the states that were read. A
// cell that none of these holds is still looked for there.
func TestOldRecordOfADeletedWorkspace(t *testing.T) {
	for name, c := range map[string]struct {
		held   map[string]heldCell
		shards []int
		unread bool
	}{
		"all were gathered":  {map[string]heldCell{"pod-1": {}, "pod-2": {}, "pod-3": {}}, []int{0, 0, 0}, false},
		"one isn't anywhere": {map[string]heldCell{"pod-1": {}, "pod-3": {}}, []int{0, 3, 0}, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := quietLeader(nil, 2)
			record := fleet.Record{Names: []string{"pod-1", "pod-2", "pod-3"}, Shards: []int{0, 3, 3}, Count: 3}
			p := &preparation{found: true, record: record, shards: &act.Workspaces{There: map[int]bool{}}, held: c.held}
			if err := l.readShards(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.shards, p.record.Shards); diff != "" || !p.amended || (p.unread[3] != nil) != c.unread {
				t.Errorf("amended %t, unread %v, %s", p.amended, p.unread, diff)
			}
			if p.held["pod-3"].Shard != 0 || (p.held["pod-2"].Shard == 3) != c.unread {
				t.Errorf("held %v", p.held)
			}
		})
	}
}
