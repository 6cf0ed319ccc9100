package loop

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// Planned ahead: while the load moves towards an order, and while cells drain that
// are about to leave, the plan of that order is made and judged beforehand. If that
// very order is placed, it goes straight to the apply of that plan.
//
//	foreseen --> being made --> lies ready --> the same order: applied
//	                 |              |
//	                 | an order     | too old; another order is likely; module, state
//	                 v              v or variables moved on; a pause, a pin
//	      the same: waited for     thrown away
//	      another: interrupted
//
// It is made only while the worker has nothing to do, and without the lock of
// Terraform's state: no order waits for it, and no person's apply is refused because
// of it. Whatever the worker begins, it first ends the plan ahead. So one Terraform
// runs at a time, as ever.

// foresight is what a leader foresees, and the plan it has made of that.
type foresight struct {
	sight balance.Foresight
	next  balance.Foreseen // by the last decision
	pace  balance.Pace
	plan  *ahead // being made, or ready; nil for none
	last  *ahead // the one begun last, of which something may still run
}

// foresee takes each beat's decision. It throws away a plan ahead that has become
// too old, or that a person's word has made useless.
func (l *Leader) foresee(v view) {
	l.fore.next = l.fore.sight.See(LawConfig(l.Service, l.bounds()), l.last.Outlook())
	switch a := l.fore.plan; {
	case a == nil:
	case v.paused != "" || v.pin != nil:
		l.dropAhead(aheadRest)
	case a.over() && a.err != nil:
		l.Log.Info("the order foreseen could not be planned ahead", "error", a.err)
		l.dropAhead(failedAhead(a.err))
	case l.Now().Sub(a.began) > l.Service.PlanAhead.MaxAge:
		l.dropAhead(aheadOld)
	}
}

// planAhead is called in a beat in which nothing is ordered. It throws away a plan
// that has become useless, and begins that of the order that is likely next. trouble
// is what is in the way of orders.
func (l *Leader) planAhead(ctx context.Context, v view, w wish, trouble string) {
	if trouble != "" || l.busy != "" || !l.mayPlanAhead(v, w) {
		l.dropAhead(aheadRest)
		return
	}
	s, why := l.foreseen(v, w)
	if a := l.fore.plan; a != nil {
		if moved := l.movedOn(a, s); moved != "" {
			l.dropAhead(moved)
		}
	}
	running := l.fore.last != nil && !l.fore.last.over()
	if l.fore.plan != nil || running || why == "" || !l.fore.pace.May(l.Now()) {
		return
	}
	a := &ahead{names: s.Names, removal: len(s.Remove) > 0, shape: l.shape, why: why, began: l.Now()}
	a.desired, a.order = l.wanting(s.Names)
	l.fore.pace.Began(a.began)
	l.fore.plan, l.fore.last = a, a
	l.Log.Info("planning ahead", "add", s.Add, "remove", s.Remove, "why", why)
	a.start(ctx, l.Root, l.Metrics.aheadCPU(l.Service.Name))
}

// mayPlanAhead reports whether an order can be foreseen: none can while cells are
// renewed, missed or dead, while somebody else's change is left alone, and while it
// isn't known what an order changes.
func (l *Leader) mayPlanAhead(v view, w wish) bool {
	known := len(l.shape.Patterns) > 0 && (l.shape.Removals || len(l.held) == 0 || l.shape.Count == l.stateAsDesired().Count)
	ours := len(l.drift) == 0 && !l.debt.due && len(l.unlisted.gone)+len(l.unlisted.broken) == 0
	whole := len(w.Dead)+len(w.Failed) == 0 && w.Surge == 0 && w.Retire == 0 && len(l.mutants(v)) == 0
	return l.Service.PlanAhead.Enabled && !l.spread() && v.pin == nil && known && ours && whole && l.pending().Size() == 0
}

// foreseen is the step that is likely next, and why: the removal of those that drain,
// or else the births that the law is about to want. An empty why says that there is
// none. Only orders that are all births, or all removals, are foreseen.
func (l *Leader) foreseen(v view, w wish) (step, string) {
	why := l.fore.next.String()
	switch {
	case len(w.Leaving) > 0:
		w.Drained, why = w.Leaving, fmt.Sprintf("%v drain", w.Leaving)
	case l.fore.next.Count > w.Desired:
		w.Desired = l.fore.next.Count
	default:
		return step{}, ""
	}
	s := l.roster().step(w, func(names []string) []string { return l.leaverOrder(names, v) })
	own := l.Holder.Service == l.Service.Name && slices.Contains(s.Remove, l.Holder.Cell)
	if !s.orders() || own || len(s.Replace)+len(s.TakeBack) > 0 || len(s.Add) > 0 && len(s.Remove) > 0 {
		return step{}, ""
	}
	return s, why
}

// movedOn says why a plan ahead is of no use any more, given the step foreseen now.
// Births for which no order is foreseen at this moment are kept until they are too
// old: a load near the edge of an order goes to and fro.
func (l *Leader) movedOn(a *ahead, s step) string {
	if s.orders() && !slices.Equal(s.Names, a.names) || !s.orders() && a.removal {
		return aheadOther
	}
	desired, order := l.wanting(a.names)
	if a.over() {
		return a.moved(desired, order, l.shape)
	}
	if !sameNames(a.order, order) {
		return aheadOther
	}
	return ""
}

// wanting is what variables and order would be if these were the cells there are to
// be, of which none is to be made anew.
func (l *Leader) wanting(names []string) (act.Desired, guard.Order) {
	r := l.roster()
	r.Names = names
	d := act.Desired{Count: len(names)}
	if r.Named {
		d.Names = slices.Clone(names)
	}
	held := slices.Sorted(maps.Keys(l.held))
	keep := intersect(names, held)
	return d, guard.Order{
		Add: r.keys(without(names, held)), Remove: r.keys(without(held, names)),
		Keep: r.keys(keep), Lost: r.keys(intersect(keep, l.deaths.silent())),
	}
}

// plannedAhead adds to an order's reason that its plan lies ready.
func (l *Leader) plannedAhead(s step, reason string) string {
	a := l.fore.plan
	if a == nil || !a.over() || a.err != nil || !slices.Equal(a.names, s.Names) {
		return reason
	}
	return reason + " (planned ahead)"
}

// dropAhead throws the plan ahead away.
func (l *Leader) dropAhead(why string) {
	a := l.fore.plan
	if a == nil {
		return
	}
	l.fore.plan = nil
	if why == aheadRest && !a.over() {
		why = aheadInterrupted
	}
	a.drop()
	l.spent(why)
	l.Log.Info("the plan made ahead was thrown away", "why", why, "age", l.Now().Sub(a.began).Round(time.Second))
}

// takeAhead hands the plan ahead over for an order. A plan for any other is thrown
// away, and interrupted where it is still being made.
func (l *Leader) takeAhead(o guard.Order) *ahead {
	a := l.fore.plan
	switch {
	case a == nil:
		return nil
	case sameNames(a.order, o):
		l.fore.plan = nil
		return a
	case a.over():
		l.dropAhead(aheadOther)
	default:
		l.dropAhead(aheadInterrupted)
	}
	return nil
}

// spent counts what became of a plan ahead, and sets the pace by it.
func (l *Leader) spent(fate string) {
	l.Metrics.plansAhead.WithLabelValues(l.Service.Name, fate).Inc()
	if fate == aheadUsed {
		l.fore.pace.Used()
	} else {
		l.fore.pace.Wasted()
	}
}

// landedAhead tells what became of the plan of an order that has ended.
func (l *Leader) landedAhead(r result) {
	if r.ahead != "" {
		l.spent(r.ahead)
	}
	switch {
	case r.payment || r.err != nil:
	case r.ahead == aheadUsed:
		l.Metrics.ordersPlanned.WithLabelValues(l.Service.Name, "ahead").Inc()
		l.Log.Info("order applied as planned ahead", "order", r.order.ID, "took", r.took)
	default:
		l.Metrics.ordersPlanned.WithLabelValues(l.Service.Name, "anew").Inc()
	}
	if r.ahead != "" && r.ahead != aheadUsed {
		l.Log.Info("the plan made ahead was of no use", "order", r.order.ID, "why", r.ahead)
	}
}

// endAhead throws the plan ahead away and waits until nothing of it runs any more.
func (l *Leader) endAhead() {
	l.dropAhead(aheadRest)
	l.fore.last.wait()
}

// wait returns when nothing of it runs any more.
func (a *ahead) wait() {
	if a != nil {
		<-a.done
	}
}
