package loop

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

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

// TestGivenUpBirthIsMadeInTheLastState has such a cell be made after the service has shrunk
// into one state: the order's plan would take it away, and is refused for that.
func TestGivenUpBirthIsMadeInTheLastState(t *testing.T) {
	l := lockedLeader(t, map[string]int{"pod-1": 0, "pod-2": 0})
	next, dir := l.record, l.Root.Module().Dir
	next.Shards, next.Next = nil, 5
	keepInConsul(t, l, next)
	l.Service.Terraform.ShardSize, l.Incarnation = 9, func() string { return "one" }
	l.Service.Members = policy.MembersState
	putState(t, dir, 0, []string{instance(`"pod-1"`), instance(`"pod-2"`)})
	getReady(t, l)
	l.memory.GivenUp = []string{"pod-4"}
	putState(t, dir, 0, []string{instance(`"pod-1"`), instance(`"pod-2"`), instance(`"pod-4"`)})
	if err := l.place(t.Context(), step{Add: []string{"pod-5"}, Names: []string{"pod-1", "pod-2", "pod-5"}, Next: 6}, "more load"); err != nil {
		t.Fatal(err)
	}
	r := <-l.results
	l.landed(t.Context(), r)
	var refused *act.RefusedError
	if !errors.As(r.err, &refused) || l.spread() {
		t.Fatalf("the order was not refused: %v", r.err)
	}
	if o := l.pending(); len(o.Remove) > 0 {
		t.Errorf("it is taken away undrained: %+v", o)
	}
	if err := l.keepRecord(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := inConsul(t, l); !slices.Contains(r.Names, "pod-4") || r.Count != 4 || len(r.Orders) != 1 {
		t.Errorf("the record is %+v", r)
	}
}
