package loop

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// renewing is a service in which orders are carried out at once.
type renewing struct {
	l       *Leader
	members map[string]fleet.Health
	genomes map[string]string
	leaving map[string]fleet.Leaving
	slow    map[string]fleet.Slow
	placed  fleet.Order // the last order
}

// newRenewing has n cells of the genome "old", of which "new" was published.
func newRenewing(n, least, most, pace int) *renewing {
	r := &renewing{
		l: &Leader{LeaderConfig: LeaderConfig{
			Service: &policy.Service{Name: "api", Min: least, Max: most, Renew: policy.Renew{AtOnce: pace}},
			Log:     slog.New(slog.DiscardHandler), Now: time.Now,
		}, record: fleet.Record{Genome: "new", Next: n + 1}},
		members: map[string]fleet.Health{}, genomes: map[string]string{}, leaving: map[string]fleet.Leaving{},
	}
	for i := range n {
		name := fmt.Sprintf("api-%d", i+1)
		r.l.record.Names = append(r.l.record.Names, name)
		r.members[name], r.genomes[name] = fleet.Passing, "old"
	}
	return r
}

func (r *renewing) view() view {
	v := view{at: time.Now(), leaving: r.leaving, slow: r.slow}
	for name, health := range r.members {
		v.members = append(v.members, fleet.Member{Cell: fleet.Cell{Name: name, Genome: r.genomes[name]}, Health: health})
	}
	return v
}

// beat goes once round, for a law that wants n cells. Cells born are not well
// before their time, and the mark of one that goes is there until it is gone.
func (r *renewing) beat(n int) (trouble string) {
	maps.DeleteFunc(r.leaving, func(name string, _ fleet.Leaving) bool { return !slices.Contains(r.l.record.Names, name) })
	v := r.view()
	r.l.seen = v
	w := wish{Desired: n, Decided: n, Held: len(r.l.record.Names), Max: r.l.Service.Max, Births: 99, Destroys: 99}
	for _, name := range r.l.record.Names {
		if v.leaves(name) {
			w.Leaving, w.Drained = append(w.Leaving, name), append(w.Drained, name)
		}
	}
	trouble = r.l.renew(&w, v)
	s := r.l.roster().step(w, func(names []string) []string { return r.l.leaverOrder(names, v) })
	for _, name := range s.TakeBack {
		delete(r.leaving, name)
	}
	for i, name := range s.Mark {
		r.leaving[name] = fleet.Leaving{Cell: name}
		if i < s.Retire {
			r.leaving[name] = fleet.Leaving{Cell: name, Reason: forRenewal}
		}
	}
	if !s.orders() {
		return trouble
	}
	r.placed = fleet.Order{Remove: s.Remove, Surge: s.Surge - r.l.record.Surge}
	for _, name := range s.Remove {
		delete(r.members, name)
	}
	for _, name := range s.Add {
		r.members[name], r.genomes[name] = fleet.Critical, r.l.record.Genome
		r.placed.Add = append(r.placed.Add, fleet.Newborn{Name: name})
	}
	r.l.record.Names, r.l.record.Next, r.l.record.Surge = s.Names, s.Next, s.Surge
	return trouble
}

// serving is how many cells take work.
func (r *renewing) serving() int {
	n := 0
	for name, health := range r.members {
		if _, leaving := r.leaving[name]; !leaving && health == fleet.Passing {
			n++
		}
	}
	return n
}

// Whatever the bounds and the pace: never fewer than min serve, never more than
// max exist, the law isn't told of it, no order counts as a change of the count,
// and in the end no mutant is left.
func TestRenewalKeepsTheBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(2, 9).Draw(t, "max")
		least := rapid.IntRange(1, most-1).Draw(t, "min")
		n := rapid.IntRange(least, most).Draw(t, "cells")
		pace := rapid.IntRange(1, 4).Draw(t, "at once")
		r := newRenewing(n, least, most, pace)
		for beats := 0; len(r.l.mutants(r.view())) > 0 || len(r.l.record.Names) != n; beats++ {
			if beats > 40*n {
				t.Fatalf("after %d beats: %v, mutants %v", beats, r.l.record, r.l.mutants(r.view()))
			}
			before := min(r.serving(), n)
			if trouble := r.beat(n); trouble != "" {
				t.Fatal(trouble)
			}
			v := r.view()
			ordered := len(without(r.l.record.Names, slices.Collect(maps.Keys(r.leaving)))) - r.l.surge(v)
			if r.serving() < least || len(r.l.record.Names) > most || ordered != n {
				t.Fatalf("%d serve (%d before), %d exist, the law sees %d; want at least %d, at most %d, %d\n%+v", r.serving(), before, len(r.l.record.Names), ordered, least, most, n, r.l.record)
			}
			if len(r.placed.Add)+len(r.placed.Remove) > 0 && !r.placed.Renews() {
				t.Fatalf("it counts as a change: %+v", r.placed)
			}
			for name := range r.members {
				if r.members[name] == fleet.Critical && rapid.Bool().Draw(t, "well") {
					r.members[name] = fleet.Passing
				}
			}
		}
		if r.l.record.Surge != 0 {
			t.Fatalf("a surge of %d is left", r.l.record.Surge)
		}
	})
}

// What can't be renewed is said, and left as it is.
func TestRenewalWaits(t *testing.T) {
	tests := map[string]struct {
		prepare func(*renewing)
		want    string
	}{
		"no room, and none to spare": {func(r *renewing) { r.l.Service.Min, r.l.Service.Max = 3, 3 }, "max = 3 leaves no room for a newcomer while min = 3 allows none fewer"},
		"cells that hold data":       {func(r *renewing) { r.l.Service.HoldsData = true }, "keep their names"},
		"stopped":                    {func(r *renewing) { r.l.seen = r.view(); r.l.stillborn([]string{"api-9"}, "it died") }, "the renewal is stopped: api-9, of the new genome: it died"},
		"not wanted":                 {func(r *renewing) { r.l.Service.Renew.AtOnce = 0 }, ""},
		"nothing published":          {func(r *renewing) { r.l.record.Genome = "" }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRenewing(3, 1, 5, 1)
			tt.prepare(r)
			trouble := r.beat(3)
			if (tt.want == "") != (trouble == "") || !strings.Contains(trouble, tt.want) {
				t.Errorf("it says %q, want %q", trouble, tt.want)
			}
			if len(r.l.record.Names) != 3 || len(r.leaving) > 0 || r.l.record.Surge != 0 {
				t.Errorf("it did something: %+v, leaving %v", r.l.record, r.leaving)
			}
		})
	}
}

// A newcomer that fails takes the surplus with it, not one of the old cells.
func TestHaltedRenewalKeepsTheOld(t *testing.T) {
	r := newRenewing(3, 1, 6, 2)
	r.beat(3)
	r.members["api-4"], r.members["api-5"] = fleet.Passing, fleet.Passing
	r.l.seen = r.view()
	r.l.stillborn([]string{"api-5"}, "it died")
	for range 3 {
		r.beat(3)
	}
	if want := []string{"api-1", "api-2", "api-3"}; !slices.Equal(r.l.record.Names, want) {
		t.Errorf("left are %v, want %v", r.l.record.Names, want)
	}
}

// An order that renews is no change of the count, but takes cells away; one that
// also brings a cell for the load is both.
func TestRenewalIsNoChange(t *testing.T) {
	now := time.Unix(10000, 0)
	var m memory
	for _, o := range []fleet.Order{
		{Add: []fleet.Newborn{{Name: "api-4"}}, Surge: 1},
		{Remove: []string{"api-1"}, Surge: -1},
		{Add: []fleet.Newborn{{Name: "api-5"}, {Name: "api-6"}}, Surge: 1},
		{Remove: []string{"api-2"}},
	} {
		m.Changes = append(m.Changes, change{At: now, Delta: len(o.Add) - len(o.Remove), Destroyed: len(o.Remove), Renewal: o.Renews()})
	}
	if changes, downs, destroyed := m.counts(now); changes != 2 || downs != 1 || destroyed != 2 {
		t.Errorf("%d changes, %d of them down, %d destroyed; want 2, 1, 2", changes, downs, destroyed)
	}
}
