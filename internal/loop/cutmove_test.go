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
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/act/spread"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

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
			if !l.isStuck(0) || !l.isStuck(1) || l.isStuck(2) || !strings.HasPrefix(l.shardTrouble(), "shards 0, 1 are tried again at ") || !strings.Contains(l.shardTrouble(), "can't be finished: move cells from workspace default to workspace shard-1") {
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

// TestCutMoveIntoAStateThatCannotBeRead has a cell of a move that was cut be in no state that
// can be read: it is taken from the record, the two shards wait, and the others go on.
func TestCutMoveIntoAStateThatCannotBeRead(t *testing.T) {
	for name, shards := range map[string][]int{"of a service in one state": nil, "of one that is spread": {0, 0, 2}} {
		t.Run(name, func(t *testing.T) {
			l := lockedLeader(t, map[string]int{"pod-1": 0, "pod-2": 0, "pod-3": 2})
			r := l.record
			r.Shards = shards
			r.Shape, _ = json.Marshal(guard.Shape{Digest: l.Root.Module().Digest, Named: true, Patterns: []string{`terraform_data.cell["*"]`}, Removals: true})
			keepInConsul(t, l, r)
			dir := l.Root.Module().Dir
			putState(t, dir, 0, []string{`{"index_key":"pod-1","schema_version":0,"attributes":{"id":"a"}}`})
			putState(t, dir, 1, []string{`{"index_key":"pod-2","schema_version":0,"attributes":{"id":"b"}}`})
			putState(t, dir, 2, []string{`{"index_key":"pod-3","schema_version":0,"attributes":{"id":"c"}}`})
			if err := os.WriteFile(statePath(dir, 1), []byte(`{"version":99}`), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := l.lease.PutMove(t.Context(), fleet.MoveNote{From: 0, To: 1, Names: []string{"pod-2"}, Since: l.Now()}); err != nil {
				t.Fatal(err)
			}
			getReady(t, l)
			if o := l.pending(); o.Size() > 0 {
				t.Errorf("it would do %+v", o)
			}
			if c, held := l.held["pod-2"]; !held || c.Shard != 0 {
				t.Errorf("pod-2 is %+v, held %t", c, held)
			}
			if !l.isStuck(0) || !l.isStuck(1) || l.isStuck(2) {
				t.Errorf("stuck: %s", l.shardTrouble())
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
		"the first is gone since":    {nil, 1, 0, []string{"pod-1", "pod-2", "pod-3"}, true},
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
			if err != nil || slices.Contains(all, 1) != (c.finished && c.to == 1) {
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
