package loop

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// place writes the step into the record and lets the worker carry it out. The
// record comes first: whoever leads next finds there what was begun.
func (l *Leader) place(ctx context.Context, s step, reason string) error {
	now := l.Now()
	reason = l.plannedAhead(s, reason)
	next := l.record
	next.Names, next.Count, next.Next = s.Names, len(s.Names), s.Next
	if !l.roster().Named {
		next.Names = nil
	}
	next.Shards = l.placed(next.Names)
	surge := s.Surge - next.Surge
	next.Surge = s.Surge
	unborn, leaving := l.unfinished(s)
	next.Orders = []fleet.Order{{
		ID:     fmt.Sprintf("%d-%d", l.lease.Epoch(), now.UnixMilli()),
		Epoch:  l.lease.Epoch(),
		Add:    append(unborn, l.newborns(s, reason)...),
		Remove: append(leaving, s.Remove...), Replace: s.Replace, Surge: surge, Dead: l.deadLives(leaving, s),
		Reason: reason, Placed: now, Expected: now.Add(l.birthTime()),
	}}
	next.Decision = &fleet.Note{At: now, Code: l.last.Code, Reason: reason, Desired: l.last.Desired}
	earlier := l.record.Orders
	l.noteGivenUp(ctx, next.Names)
	if err := l.putRecord(ctx, next); err != nil {
		return err
	}
	l.tellSpread(next)
	for _, name := range dropped(earlier, next.Orders[0].Add) {
		l.memory.Book.Withdrawn(l.roster().key(name)) // or it would count as on its way for ever
	}
	l.failed = without(l.failed, s.Remove, s.Replace)
	for _, n := range next.Orders[0].Add {
		l.memory.Book.Ordered(l.roster().key(n.Name), now)
	}
	l.noteUntried(s.Add, now)
	l.Log.Info("order placed", "add", s.Add, "remove", s.Remove, "replace", s.Replace, "reason", reason)
	l.carryOut(ctx)
	return nil
}

// newborns names the cells to be born, each with an incarnation of its own, so
// that a birth cut short is taken up again rather than repeated.
func (l *Leader) newborns(s step, reason string) []fleet.Newborn {
	var out []fleet.Newborn
	for _, name := range slices.Concat(s.Add, s.Replace) {
		out = append(out, fleet.Newborn{
			Name:        name,
			Incarnation: l.Incarnation(),
			Parent:      l.Holder.Cell,
			Generation:  l.Generation + 1,
			Reason:      reason,
		})
	}
	return out
}

// unfinished returns what the orders in the record still leave to do after the
// step: cells to be born, each under the incarnation it was given, and cells to
// be removed.
func (l *Leader) unfinished(s step) (unborn []fleet.Newborn, leaving []string) {
	for _, o := range l.record.Orders {
		for _, n := range o.Add {
			if _, held := l.held[n.Name]; !held && slices.Contains(s.Names, n.Name) && !slices.Contains(s.Replace, n.Name) {
				unborn = append(unborn, n)
			}
		}
		leaving = append(leaving, without(o.Remove, s.Names, s.Remove)...)
	}
	return unborn, leaving
}

// deadLives are the lives that were found dead of those that an order takes away:
// now, or when an earlier order was placed that still has to be carried out.
func (l *Leader) deadLives(leaving []string, s step) (lives []string) {
	for _, name := range intersect(slices.Concat(s.Remove, s.Replace), l.mourned) {
		if cell := l.lastSeen[name].Cell; cell.Incarnation != "" {
			lives = append(lives, cell.ID())
		}
	}
	for _, o := range l.record.Orders {
		for _, id := range o.Dead {
			if name, _, _ := strings.Cut(id, "."); slices.Contains(leaving, name) {
				lives = append(lives, id)
			}
		}
	}
	return lives
}

// dropped are the births of earlier orders that an order doesn't take up.
func dropped(earlier []fleet.Order, taken []fleet.Newborn) []string {
	var names []string
	for _, o := range earlier {
		names = append(names, without(newbornNames(o.Add), newbornNames(taken))...)
	}
	return names
}

// birthTime is how long a birth is expected to take.
func (l *Leader) birthTime() time.Duration {
	if median, known := l.memory.Book.Median(); known {
		return median
	}
	return l.Service.Birth.Time
}

// pending returns what the record orders and the state doesn't hold yet, or
// still holds. Of the cells to be made anew that is the ones whose earlier life
// the state holds: one that it holds no more is just to be born.
func (l *Leader) pending() guard.Order {
	r := l.roster()
	var add, keep, replace []string
	for _, n := range r.Names {
		switch c, held := l.held[n]; {
		case !held:
			add = append(add, n)
		case c.Tainted && r.keepsNames() || l.outlived(n):
			replace = append(replace, n)
		default:
			keep = append(keep, n)
		}
	}
	return guard.Order{
		Add:     r.keys(add),
		Remove:  r.keys(l.notIn(r.Names)),
		Replace: r.keys(replace),
		Keep:    r.keys(keep),
		Lost:    r.keys(intersect(keep, l.deaths.silent())),
	}
}

// notIn are the cells that the state holds and that are none of the names.
func (l *Leader) notIn(names []string) (others []string) {
	wanted := setOf(names)
	for name := range l.held {
		if !wanted[name] {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return others
}

// outlived reports whether the record orders a cell to be made anew and that
// isn't known to be done. It is done, and only not written down, where the state
// holds the cell whole and the life that was ordered is the one registered.
func (l *Leader) outlived(name string) bool {
	for _, o := range l.record.Orders {
		if !slices.Contains(o.Replace, name) {
			continue
		}
		m, _ := l.seen.member(name)
		reborn := slices.ContainsFunc(o.Add, func(n fleet.Newborn) bool {
			return n.Name == name && n.Incarnation == m.Incarnation
		})
		if !reborn || l.held[name].Tainted {
			return true
		}
	}
	return false
}

// carryOut hands the record's order to the worker.
func (l *Leader) carryOut(ctx context.Context) {
	if l.spread() {
		l.carryOutSpread(ctx)
		return
	}
	job := &carry{
		leader:  l,
		base:    l.stateAsDesired(),
		desired: l.desired(),
		order:   l.pending(),
		shape:   l.shape,
		roster:  l.roster(),
		strange: maps.Clone(l.strange),
		shared:  l.emptied(l.record),
	}
	if len(l.record.Orders) > 0 {
		job.record = l.record.Orders[0]
	}
	job.ahead = l.takeAhead(job.order)
	l.start(ctx, "order "+job.record.ID, job.run)
}

// desired is the record as the variable file says it.
func (l *Leader) desired() act.Desired {
	d := act.Desired{Count: l.record.Count}
	if l.Root.Module().Named {
		d.Names = slices.Clone(l.record.Names)
	}
	return d
}

// stateAsDesired is what the variables would say so that nothing changes.
func (l *Leader) stateAsDesired() act.Desired {
	r := l.roster()
	names := slices.SortedFunc(maps.Keys(l.held), func(a, b string) int {
		return guard.CompareKeys(r.key(a), r.key(b))
	})
	if r.Named {
		return act.Desired{Count: len(names), Names: names}
	}
	if len(names) == 0 {
		return act.Desired{}
	}
	highest, _ := cellNumber(l.Service.Name, names[len(names)-1])
	return act.Desired{Count: highest + 1}
}
