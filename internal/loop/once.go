package loop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// Outcome is what one beat decided, and what it would change or has changed.
type Outcome struct {
	Decision balance.Decision
	// Reason is why the order is placed; it may be another than the decision's,
	// such as a dead cell.
	Reason               string
	Add, Remove, Replace []string
	// Drain are cells that begin to leave, Keep those that are taken back.
	Drain, Keep []string
	// Changes are Terraform's, Drift what lies outside the cells and is left
	// alone, Refused why the plan may not be applied.
	Changes        []guard.Change
	Drift, Refused []guard.Refusal
	// Held says why nothing may be done now, or nothing.
	Held string
}

// Still reports whether no cell comes, goes or changes.
func (o Outcome) Still() bool {
	return len(o.Add)+len(o.Remove)+len(o.Replace)+len(o.Drain)+len(o.Keep) == 0
}

// Nothing reports whether there is nothing to do.
func (o Outcome) Nothing() bool {
	return o.Still() && len(o.Refused) == 0 && !slices.ContainsFunc(o.Changes, guard.Change.Effective)
}

// Plan is one beat without acting: what would be decided, with every term, and
// what Terraform would change. It needs no lock. Rates need two looks, so it
// takes a beat.
func (l *Leader) Plan(ctx context.Context) (Outcome, error) {
	v, err := l.firstLook(ctx)
	if err != nil {
		return Outcome{}, err
	}
	s, o := l.once(ctx, v)
	if !s.orders() && !l.debt.due {
		return o, nil
	}
	if s.orders() {
		l.record.Shards = l.placed(s.Names)
		l.record.Names, l.record.Count = s.Names, len(s.Names)
	}
	order := l.pending()
	for _, name := range s.Replace {
		// Of one that failed to be born there is nothing to keep: it is to be made as it is.
		if i := slices.Index(order.Keep, l.roster().key(name)); i >= 0 {
			order.Keep = slices.Delete(order.Keep, i, i+1)
			order.Replace = append(order.Replace, l.roster().key(name))
		}
	}
	if l.spread() {
		return l.planSpread(ctx, o, order)
	}
	plan, err := l.Root.Plan(ctx, l.desired(), order, l.shape)
	var refused *act.RefusedError
	if errors.As(err, &refused) {
		o.Refused = refused.Verdict.Refused
		return o, nil
	}
	if err != nil {
		return o, err
	}
	o.Changes, o.Drift = plan.Changes, plan.Drift
	return o, plan.Discard()
}

// Apply is one beat, acting: for cron jobs and for trying. The leader must hold
// the lock. It returns when the order is carried out.
func (l *Leader) Apply(ctx context.Context) (Outcome, error) {
	v, err := l.firstLook(ctx)
	if err != nil {
		return Outcome{}, err
	}
	defer l.saveMemory(ctx, true)
	if err := l.takePublished(ctx, v); err != nil {
		return Outcome{}, err
	}
	s, o := l.once(ctx, v)
	if o.Held != "" {
		return o, nil
	}
	left := l.pending()
	found := len(l.record.Orders) > 0 || left.Size() > 0
	if left.Size() == 0 && found && !l.unread() {
		l.close(ctx, result{order: l.record.Orders[0]}) // carried out, and not written down
	}
	revised := len(l.failedForSure()) > 0 && s.orders() // the order below takes up what is left, without births that failed
	if left.Size() > 0 && !revised {
		l.Log.Info("carrying out what the record ordered before")
		if why := l.carryOn(ctx, left); why != "" {
			o.Held = why
			return o, nil
		}
		if r := l.await(ctx); r.err != nil {
			return o, r.err
		}
	}
	if found {
		if v = l.look(ctx); v.membersErr != nil || v.consulErr != nil {
			return o, fmt.Errorf("look again after the order found: %w", errors.Join(v.membersErr, v.consulErr))
		}
		s, o = l.once(ctx, v)
	}
	if err := l.keepRecord(ctx); err != nil {
		return o, err
	}
	if err := l.mark(ctx, s, v); err != nil {
		return o, err
	}
	if !s.orders() {
		if o, err = l.payNow(ctx, o); len(l.gone) == 0 {
			return o, err
		}
		missed := o
		if s, o = l.once(ctx, v); !s.orders() || o.Held != "" {
			return missed, err
		}
		if err := l.mark(ctx, s, v); err != nil {
			return o, err
		}
	}
	if err := l.place(ctx, s, o.Reason); err != nil {
		return o, err
	}
	if l.busy == "" {
		o.Held = l.shardTrouble() // all of it lies in shards that wait
		return o, nil
	}
	return o.with(l.await(ctx))
}

// await takes the worker's result. Where the worker had to learn first, the
// record says so and the order is begun again.
func (l *Leader) await(ctx context.Context) result {
	if l.busy == "" {
		return result{} // all that was to be done is in shards that wait for another try
	}
	r := <-l.results
	l.landed(ctx, r)
	if !errors.Is(r.err, errLearned) {
		return r
	}
	if r.err = l.keepRecord(ctx); r.err != nil {
		return r
	}
	l.carryOut(ctx)
	r = <-l.results
	l.landed(ctx, r)
	return r
}

// with says in the outcome what an apply has done.
func (o Outcome) with(r result) (Outcome, error) {
	var refused *act.RefusedError
	switch {
	case r.err == nil:
		o.Changes, o.Drift = r.changes, r.drift
	case errors.As(r.err, &refused):
		o.Refused = refused.Verdict.Refused
	}
	return o, r.err
}

// firstLook gets ready and looks twice, a beat apart.
func (l *Leader) firstLook(ctx context.Context) (view, error) {
	p, err := l.getReady(ctx)
	if err != nil {
		return view{}, err
	}
	l.takeOver(result{what: preparing, prepared: p})
	l.patient = true
	first := l.look(ctx)
	l.eyes.observe(first, l.books(l.surge(first)), &l.memory)
	if err := wait.For(ctx, l.Service.Beat); err != nil {
		return view{}, err
	}
	v := l.look(ctx)
	if v.membersErr != nil {
		return v, fmt.Errorf("see who is there: %w", v.membersErr)
	}
	if v.consulErr != nil {
		return v, fmt.Errorf("read pins, pauses and marks: %w", v.consulErr)
	}
	return v, nil
}

// lookLimit is how long a look may take: a leader's must be over when the next beat
// begins, while a person who asks for a single one would rather wait than be told
// that something was late.
func (l *Leader) lookLimit() time.Duration {
	if l.patient {
		return max(l.Service.Beat, patientLook)
	}
	return max(l.Service.Beat, time.Second) * 4 / 5
}

const patientLook = 10 * time.Second

// once decides and turns the decision into a step, without taking it.
func (l *Leader) once(ctx context.Context, v view) (step, Outcome) {
	obs := l.eyes.observe(v, l.books(l.surge(v)), &l.memory)
	l.memory.Law, l.last = balance.Decide(LawConfig(l.Service, l.bounds()), l.memory.Law, obs)
	w, reason := l.wish(ctx, v)
	s := l.roster().step(w, func(names []string) []string { return l.leaverOrder(names, v) })
	held := v.paused
	if pauseFile(l.PauseFile) {
		held = "paused by the file " + l.PauseFile
	}
	return s, Outcome{
		Decision: l.last, Reason: reason, Held: held,
		Add: s.Add, Remove: s.Remove, Replace: s.Replace, Drain: s.Mark, Keep: s.TakeBack,
	}
}
