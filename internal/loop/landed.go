package loop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// How long the leader waits before it tries again what failed before anything
// was changed: a plan that was refused, a lock, a broken directory.
const (
	retryMin = 5 * time.Second
	retryMax = 2 * time.Minute
)

// landed takes the worker's result.
func (l *Leader) landed(ctx context.Context, r result) {
	l.busy = ""
	if r.prepared != nil || r.what == preparing {
		l.takeOver(r)
		return
	}
	if r.moved != nil {
		l.landedMove(ctx, r)
		return
	}
	if errors.Is(r.err, errLearned) {
		l.takeShape(*r.shape)
		return
	}
	l.landedAhead(r)
	l.Metrics.applies.WithLabelValues(l.Service.Name, outcome(r)).Inc()
	l.Metrics.applySeconds.WithLabelValues(l.Service.Name, outcome(r)).Observe(r.took.Seconds())
	if r.parts != nil {
		l.landedSpread(ctx, r)
		return
	}
	l.drift = r.drift
	for _, d := range r.drift {
		l.Log.Warn("drift outside the cells, left alone", "address", d.Address, "action", d.Action, "why", d.Why)
	}
	for _, change := range r.strange {
		l.strange[change] = true
	}
	l.gone, l.obstructed = r.gone, r.obstructed
	if r.looked {
		l.unlisted.note(l.Now(), r.gone, r.broken)
	}
	l.owe(r)
	if r.err == nil {
		l.carriedOut(ctx, r)
		return
	}
	l.notCarriedOut(ctx, r)
}

// takeShape takes over what was learned of an order, and has the record say it:
// the next leader may find things half done, from which less can be learned.
func (l *Leader) takeShape(shape guard.Shape) {
	if shape.Digest != l.shape.Digest {
		clear(l.strange)
	}
	l.shape = shape
	if text, err := json.Marshal(shape); err == nil && !bytes.Equal(text, l.record.Shape) {
		l.record.Shape, l.unwritten = text, true
	}
}

// carriedOut closes an order whose apply succeeded.
func (l *Leader) carriedOut(ctx context.Context, r result) {
	l.failures, l.retry = 0, time.Time{}
	if r.payment && l.debt.due {
		l.unpaid(errPartial)
	}
	l.held = map[string]heldCell{}
	for _, name := range l.cells() {
		l.held[name] = heldCell{}
	}
	l.forgetMade()
	for _, n := range r.order.Add {
		l.born(r, n)
	}
	l.close(ctx, r)
}

// forgetMade forgets that births failed of which a state holds the cell whole: an apply has
// made it after all. Counted as failed it would be made anew, and be destroyed for that.
func (l *Leader) forgetMade() {
	l.failed = slices.DeleteFunc(l.failed, func(name string) bool {
		cell, held := l.held[name]
		return held && !cell.Tainted
	})
}

// born writes a birth that landed into the book.
func (l *Leader) born(r result, n fleet.Newborn) {
	at, seen := r.born[n.Name]
	if !seen {
		at = l.Now()
	}
	l.Metrics.births.WithLabelValues(l.Service.Name, "born").Inc()
	took, measured := l.memory.Book.Landed(l.roster().key(n.Name), at)
	if measured {
		l.memory.Unborn = ""
		l.Metrics.birthSeconds.WithLabelValues(l.Service.Name).Observe(took.Seconds())
	}
	l.Log.Info("cell born", "cell", n.Name, "incarnation", n.Incarnation, "took", took)
}

// notCarriedOut sorts out what an order that failed has left: births that
// failed for good lose their names, and the next try waits.
func (l *Leader) notCarriedOut(ctx context.Context, r result) {
	if r.heldKnown {
		l.held = r.held
		l.forgetMade()
		l.readmit()
	}
	if r.payment {
		l.countRefusals(r)
		l.unpaid(r.err)
		// The preparation looks whether the state is whole.
		l.prepared = l.prepared && !r.applied && !slices.ContainsFunc(unready, func(err error) bool { return errors.Is(r.err, err) })
		return
	}
	l.explain(r)
	if errors.Is(r.err, errModuleChanged) {
		l.prepared = false
		return
	}
	l.failures++
	l.retry = l.Now().Add(retryAfter(l.failures))
	if errors.Is(r.err, act.ErrNotInitialised) {
		l.prepared = false // the preparation runs init
	}
	if !r.applied || errors.Is(r.err, act.ErrKilled) || errors.Is(r.err, act.ErrProvider) {
		// Nothing was changed, or it was cut in the middle: a provider that died
		// may have begun what no state knows of. The order stays in the record
		// and is taken up again, births by their incarnation; the preparation
		// looks whether the state is still whole, and who is half-born in it.
		l.prepared = l.prepared && !r.applied && !errors.Is(r.err, act.ErrKilled)
		return
	}
	if !r.heldKnown {
		// What the apply has left isn't known, so nothing is judged by it.
		l.prepared = false
		return
	}
	if l.Service.HoldsData && strings.Contains(r.err.Error(), birth.ErrDataGone.Error()) {
		l.stopForData(r)
		return
	}
	for _, n := range r.order.Add {
		cell, held := l.held[n.Name]
		if held && !cell.Tainted {
			l.born(r, n)
			continue
		}
		l.memory.Book.Failed(l.roster().key(n.Name), cause(r.err), l.Now(), l.backoff(), l.Jitter())
		l.memory.Unborn = shortened(r.err.Error(), whyLimit)
		l.Metrics.births.WithLabelValues(l.Service.Name, "failed").Inc()
		if !slices.Contains(l.failed, n.Name) {
			l.failed = append(l.failed, n.Name)
		}
		l.stillborn([]string{n.Name}, "its birth failed: "+whyFailed(r.err))
	}
	l.close(ctx, r)
}

// stopForData stops because the data of a cell are gone: it is never begun with
// none. The order stays in the record, and after the policy's longest pause it
// is looked whether somebody has brought the data back; SIGHUP looks at once.
func (l *Leader) stopForData(r result) {
	l.retry = l.Now().Add(l.Service.Birth.BackoffMax)
	l.trouble = fmt.Sprintf("stopped, since a cell's data are gone: bring them back: %v", r.err)
	l.Log.Error("stopped: a cell's data are gone, and it isn't begun with none", "order", r.order.ID, "error", r.err)
}

// close takes the order out of the record, but for cells that could not be
// removed, and remembers the change. What was only put right, without an order
// in the record, is no change of the count.
func (l *Leader) close(ctx context.Context, r result) {
	if r.order.ID == "" {
		return
	}
	for _, n := range r.order.Add {
		l.memory.Book.Withdrawn(l.roster().key(n.Name)) // one that nobody measured
	}
	left := intersect(r.order.Remove, slices.Collect(maps.Keys(l.held)))
	removed := without(r.order.Remove, left)
	born := len(r.order.Add) - len(intersect(newbornNames(r.order.Add), l.failed))
	l.memory.Changes = append(l.memory.Changes, change{
		At:        l.Now(),
		Delta:     born - len(removed) - len(r.order.Replace),
		Renewal:   r.order.Renews(),
		Destroyed: len(removed) + len(r.order.Replace),
	})
	ended := append(removed, r.order.Replace...)
	if err := l.lease.TakeBack(ctx, ended...); err != nil {
		l.Log.Warn("could not remove the marks of lives that have ended", "cells", ended, "error", err)
	}
	next := l.record
	next.Orders = nil
	if len(left) > 0 {
		again := r.order
		again.Add, again.Replace, again.Remove = nil, nil, left
		next.Orders = []fleet.Order{again}
	}
	if err := l.putRecord(ctx, next); err != nil {
		// The order stays in the record; carrying it out again changes nothing.
		l.Log.Warn("could not close the order in the record", "order", r.order.ID, "error", err)
		return
	}
	l.saveMemory(ctx, true)
}

// explain says in the log why an order was not carried out, and what to do.
func (l *Leader) explain(r result) {
	var refused *act.RefusedError
	var locked *act.LockedError
	switch {
	case errors.As(r.err, &refused):
		l.countRefusals(r)
		for _, f := range refused.Verdict.Refused {
			l.Log.Error("the plan was refused", "address", f.Address, "action", f.Action, "why", f.Why)
		}
	case errors.As(r.err, &locked):
		l.Log.Warn("Terraform's state is locked", "by", locked.Who, "operation", locked.Operation, "since", locked.Created, "id", locked.ID, "error", r.err)
	default:
		l.Log.Error("the order was not carried out", "order", r.order.ID, "error", r.err)
	}
	l.trouble = fmt.Sprintf("order %s: %v", r.order.ID, r.err)
}

func (l *Leader) countRefusals(r result) {
	var refused *act.RefusedError
	if errors.As(r.err, &refused) {
		l.Metrics.refusals.WithLabelValues(l.Service.Name).Add(float64(len(refused.Verdict.Refused)))
	}
}

// backoff is how the policy slows failing births.
func (l *Leader) backoff() act.Backoff {
	b := l.Service.Birth
	return act.Backoff{Min: b.BackoffMin, Max: b.BackoffMax, TrialAfter: b.TrialAfter}
}

// outcome is the label that metrics give to the end of an order.
func outcome(r result) string {
	var refused *act.RefusedError
	var locked *act.LockedError
	switch {
	case r.err == nil:
		return "applied"
	case errors.As(r.err, &refused):
		return "refused"
	case errors.As(r.err, &locked):
		return "locked"
	default:
		return "failed"
	}
}

// retryAfter doubles from retryMin to retryMax.
func retryAfter(failures int) time.Duration {
	d := retryMin << min(failures-1, 10)
	return min(d, retryMax)
}

func newbornNames(newborns []fleet.Newborn) []string {
	var out []string
	for _, n := range newborns {
		out = append(out, n.Name)
	}
	return out
}
