package loop

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// landedSpread takes what became of an order in each shard. One that failed is tried
// again by itself, at a pace of its own, and new orders leave it out until then.
func (l *Leader) landedSpread(ctx context.Context, r result) {
	// What is in the way of a shard is no reason to wait with the others.
	l.failures, l.retry = 0, time.Time{}
	l.drift, l.gone, l.obstructed = r.drift, r.gone, false
	for _, d := range r.drift {
		l.Log.Warn("drift outside the cells, left alone", "address", d.Address, "action", d.Action, "why", d.Why)
	}
	l.noteMissed(r)
	// Failures first: a birth that succeeds elsewhere ends the wait of all births.
	for _, p := range r.parts {
		l.shards.noteTry(p)
		if p.err != nil {
			l.partFailed(p)
		}
	}
	done := 0
	for _, p := range r.parts {
		if p.err == nil {
			l.partDone(p)
			done++
		}
	}
	if !r.payment {
		l.oweNext()
	}
	l.Log.Info("order carried out in shards", "order", r.order.ID, "shards", len(r.parts), "done", done, "took", r.took.Round(time.Millisecond))
	l.oweMissed(r)
	l.readmit()
	l.closeSpread(ctx, r)
}

// errMissed says that cells are gone, which come to be replaced a few at a time.
var errMissed = errors.New("cells are missed by the refresh, and are looked for again")

// oweMissed sets when the shards that this leader owes a look are looked at. Where only
// Terraform's refresh knows who is dead, those are among them in which any was missed:
// no more are replaced at a time than the pace allows, and the rest is forgotten until
// then.
func (l *Leader) oweMissed(r result) {
	if l.Service.Members == policy.MembersState {
		l.oweShardsOf(r.gone)
	}
	switch {
	case len(l.shards.owing) == 0:
		l.shards.owedSince = time.Time{}
	case r.payment || l.shards.owedSince.IsZero():
		l.shards.owedSince = l.Now()
	}
	if l.debt.due = len(l.shards.owing) > 0; l.debt.due && r.payment && len(r.gone) > 0 {
		l.unpaid(errMissed) // or it would be looked in each beat
		return
	}
	l.debt = debt{due: l.debt.due}
	if !r.payment && len(r.gone) == 0 {
		l.debt.retry = l.restAfterOrder()
	}
}

// noteMissed adds to the cells that refreshes have missed what those of these shards
// have, in the place of what they had before.
func (l *Leader) noteMissed(r result) {
	at, seen := l.at(), map[int]bool{}
	var gone, broken []string
	for _, p := range r.parts {
		seen[p.shard] = p.looked
		gone, broken = append(gone, p.gone...), append(broken, p.broken...)
	}
	other := func(list []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(name string) bool { return seen[at[name]] })
	}
	if l.Service.Members != policy.MembersState || len(gone)+len(broken)+len(l.unlisted.gone)+len(l.unlisted.broken) > 0 {
		looked := l.Now()
		restGone, restBroken := other(l.unlisted.gone), other(l.unlisted.broken)
		if len(restGone)+len(restBroken) > 0 {
			looked = l.unlisted.looked // those were not looked for again
		}
		l.unlisted.note(looked, append(restGone, gone...), append(restBroken, broken...))
	}
}

// partDone takes over what a shard holds after its apply succeeded.
func (l *Leader) partDone(p *part) {
	delete(l.shards.stuck, p.shard)
	l.shards.owing = slices.DeleteFunc(l.shards.owing, func(n int) bool { return n == p.shard })
	held := make(map[string]heldCell, len(p.desired.Names))
	for _, name := range p.desired.Names {
		held[name] = heldCell{Shard: p.shard}
	}
	l.holdShard(p.shard, held)
	for _, n := range p.result.order.Add {
		l.born(p.result, n)
	}
}

// holdShard replaces what is known of a shard's state.
func (l *Leader) holdShard(shard int, held map[string]heldCell) {
	maps.DeleteFunc(l.held, func(_ string, c heldCell) bool { return c.Shard == shard })
	maps.Copy(l.held, held)
	l.forgetMade()
}

// partFailed sorts out what a shard that failed has left: as notCarriedOut does for
// a service that isn't spread, but only this shard waits.
func (l *Leader) partFailed(p *part) {
	l.explain(p.result)
	l.trouble = ""
	s := l.shards.stuck[p.shard]
	s.failures++
	s.locked = p.barred() != nil
	s.retry, s.why = l.Now().Add(retryAfter(s.failures)), whyStuck(p.err)
	if errors.Is(p.err, act.ErrTimeout) && !p.applied {
		s.retry = l.Now().Add(max(retryAfter(s.failures), hangPause*p.took))
	}
	killed := errors.Is(p.err, act.ErrKilled)
	switch {
	case p.heldKnown:
		l.holdShard(p.shard, p.held)
	case p.applied || killed:
		l.prepared = false // what its state holds isn't known
	}
	if errors.Is(p.err, act.ErrNotInitialised) {
		l.prepared = false // the preparation runs init
	}
	l.obstructed = l.obstructed || p.obstructed
	if l.Service.Members == policy.MembersState && (p.applied || killed) && !slices.Contains(l.shards.owing, p.shard) {
		l.shards.owing = append(l.shards.owing, p.shard)
	}
	defer func() { l.shards.stuck[p.shard] = s }()
	if l.Service.HoldsData && strings.Contains(p.err.Error(), birth.ErrDataGone.Error()) {
		s.retry, p.stays = l.Now().Add(l.Service.Birth.BackoffMax), true
		return
	}
	if !p.applied || killed || errors.Is(p.err, act.ErrProvider) || !p.heldKnown {
		// Its part of the order stays in the record and is taken up again, births by
		// their incarnation. Those half-born lose their names.
		p.stays = true
		if (killed || errors.Is(p.err, act.ErrProvider)) && p.heldKnown {
			l.failed = append(l.failed, without(l.halfBornIn(p), l.failed)...)
		}
		return
	}
	l.unbornIn(p)
}

// hangPause is how many times as long as it took a plan that hung isn't tried again: the
// worker does nothing else meanwhile.
const hangPause = 4

// whyStuckLimit is how many bytes of each shard's trouble are told: several stand in one line.
const whyStuckLimit = 300

// whyStuck is what is in the way of a shard, in a line; the log has all of it.
func whyStuck(err error) string {
	var locked *act.LockedError
	switch {
	case !errors.As(err, &locked):
		text := err.Error()
		return strings.ToValidUTF8(text[:min(len(text), whyStuckLimit)], "")
	case locked.Who == "":
		return "its state is locked, by somebody else"
	default:
		return fmt.Sprintf("its state is locked by %s since %s", locked.Who, locked.Created.Format(time.RFC3339))
	}
}

// halfBornIn are the cells of the record that a shard's state holds half made.
func (l *Leader) halfBornIn(p *part) (names []string) {
	for _, name := range p.desired.Names {
		if p.held[name].Tainted {
			names = append(names, name)
		}
	}
	return names
}

// unbornIn sorts a shard's births into those that landed and those that failed.
func (l *Leader) unbornIn(p *part) {
	for _, n := range p.result.order.Add {
		if cell, held := l.held[n.Name]; held && !cell.Tainted {
			l.born(p.result, n)
			continue
		}
		l.memory.Book.Failed(l.roster().key(n.Name), cause(p.err), l.Now(), l.backoff(), l.Jitter())
		l.memory.Unborn = shortened(p.err.Error(), whyLimit)
		l.Metrics.births.WithLabelValues(l.Service.Name, "failed").Inc()
		if !slices.Contains(l.failed, n.Name) {
			l.failed = append(l.failed, n.Name)
		}
		l.stillborn([]string{n.Name}, "its birth failed: "+whyFailed(p.err))
	}
}

// closeSpread takes out of the record what has been done of an order, and remembers
// the change. What shards that failed, or waited, still have to do stays.
func (l *Leader) closeSpread(ctx context.Context, r result) {
	if r.order.ID == "" {
		return
	}
	done := l.doneIn(r.parts)
	if len(done.Add)+len(done.Remove)+len(done.Replace) == 0 {
		return
	}
	for _, n := range done.Add {
		l.memory.Book.Withdrawn(l.roster().key(n.Name)) // one that nobody measured
	}
	born := len(done.Add) - len(intersect(newbornNames(done.Add), l.failed))
	l.memory.Changes = append(l.memory.Changes, change{
		At:        l.Now(),
		Delta:     born - len(done.Remove) - len(done.Replace),
		Renewal:   r.order.Renews(),
		Destroyed: len(done.Remove) + len(done.Replace),
	})
	ended := append(slices.Clone(done.Remove), done.Replace...)
	if err := l.lease.TakeBack(ctx, ended...); err != nil {
		l.Log.Warn("could not remove the marks of lives that have ended", "cells", ended, "error", err)
	}
	next := l.record
	next.Orders = nil
	if left := remaining(r.order, done); len(left.Add)+len(left.Remove)+len(left.Replace) > 0 {
		next.Orders = []fleet.Order{left}
	}
	if err := l.putRecord(ctx, next); err != nil {
		l.Log.Warn("could not close the order in the record", "order", r.order.ID, "error", err)
		return
	}
	l.saveMemory(ctx, true)
}

// doneIn is what was done of an order: all of it in shards where nothing of it stays, but
// for cells that could not be removed.
func (l *Leader) doneIn(parts []*part) (done fleet.Order) {
	for _, p := range parts {
		if !p.stays {
			o := p.result.order
			done.Add, done.Remove, done.Replace = append(done.Add, o.Add...), append(done.Remove, o.Remove...), append(done.Replace, o.Replace...)
		}
	}
	done.Remove = without(done.Remove, intersect(done.Remove, slices.Collect(maps.Keys(l.held))))
	return done
}

// remaining is what an order still has to do after a part of it was done.
func remaining(o, done fleet.Order) fleet.Order {
	born := setOf(newbornNames(done.Add))
	o.Add = slices.DeleteFunc(slices.Clone(o.Add), func(n fleet.Newborn) bool { return born[n.Name] })
	o.Remove, o.Replace = without(o.Remove, done.Remove), without(o.Replace, done.Replace)
	return o
}
