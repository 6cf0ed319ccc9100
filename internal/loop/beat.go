package loop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// ErrStepDown says that the leader gave up the lock of its own accord: its own
// cell is the one to go, or a sidecar of the service has come back.
var ErrStepDown = errors.New("the leader stepped down")

// beat goes once round: look, decide, judge who is dead, and begin the order
// that follows. It returns an error only when the leader is to end.
func (l *Leader) beat(ctx context.Context) error {
	if code, why := l.atRest(ctx); code != "" {
		l.rest(ctx, code, why)
		if err := l.republishedAtRest(ctx); err != nil {
			return err
		}
		return l.yieldAtRest(ctx)
	}
	v := l.look(ctx)
	if err := l.republished(v); err != nil {
		return err
	}
	l.mindPause(v)
	obs := l.eyes.observe(v, l.books(l.surge(v)), &l.memory)
	l.memory.Law, l.last = balance.Decide(LawConfig(l.Service, l.bounds()), l.memory.Law, obs)
	if err := l.yield(v); err != nil {
		return err
	}
	l.foresee(v)
	l.tellSlow(l.watchSlow(ctx, v))
	trouble := l.mayAct(v)
	var err error
	if trouble == "" && l.busy == "" {
		trouble, err = l.actOn(ctx, v)
	}
	l.exchange(ctx, v, trouble)
	l.tell(ctx, v, obs, joined(l.unlisted.why, trouble, l.shardTrouble()))
	return err
}

// joined puts what is in the way into one line.
func joined(whys ...string) string {
	return strings.Join(slices.DeleteFunc(whys, func(s string) bool { return s == "" }), "; ")
}

// atRest returns why the service is neither looked at nor decided on, by a code
// and in words, or nothing.
func (l *Leader) atRest(ctx context.Context) (code, why string) {
	if pauseFile(l.PauseFile) {
		l.forget()
		return "paused", "paused by the file " + l.PauseFile
	}
	if l.rereads() {
		l.getReadyAgain(ctx) // what is known goes on to be decided on meanwhile
	}
	if !l.prepared {
		// What isn't known yet is not zero: nothing is decided on it.
		l.getReadyAgain(ctx)
		return "preparing", cmp.Or(l.trouble, "getting ready: reading the state and learning what an order changes")
	}
	return "", ""
}

// mindPause has all read anew once a pause in Consul is over.
func (l *Leader) mindPause(v view) {
	switch {
	case v.paused != "":
		l.rested = true
	case l.rested && l.busy == "":
		l.rested = false
		l.forget()
	}
}

// forget has all read anew after a pause: somebody may change anything meanwhile.
func (l *Leader) forget() {
	if l.busy == "" {
		l.dropAhead(aheadRest)
		l.prepared, l.obstructed, l.failed, l.gone, l.unlisted = false, false, nil, nil, unlisted{}
		l.deaths.silentSince, l.deaths.massSince, l.shards.read = nil, time.Time{}, nil
	}
}

// getReadyAgain starts the preparation, or waits for its next try.
func (l *Leader) getReadyAgain(ctx context.Context) {
	if l.busy == "" && !l.Now().Before(l.retry) {
		l.prepare(ctx)
	}
}

// mayAct returns why nothing may be done this beat, or nothing.
func (l *Leader) mayAct(v view) string {
	switch {
	case v.consulErr != nil:
		return "Consul didn't tell pins, pauses and marks: " + v.consulErr.Error()
	case v.paused != "":
		return v.paused
	case l.rested || !l.prepared:
		return "it was paused: all is read anew"
	case v.membersErr != nil && l.Service.Members != policy.MembersState:
		return "members are unknown: " + v.membersErr.Error()
	case !v.proven:
		return "the lock could not be proven"
	case !l.revises():
		return l.waiting()
	default:
		return ""
	}
}

// waiting returns what was in the way of the last try, until the next one.
func (l *Leader) waiting() string {
	if !l.Now().Before(l.retry) {
		return ""
	}
	return fmt.Sprintf("trying again at %s: %s", l.retry.Format(time.TimeOnly), l.trouble)
}

// actOn turns the decision into marks and at most one order. It returns what
// is in the way, if anything is, and an error when the leader is to end.
func (l *Leader) actOn(ctx context.Context, v view) (string, error) {
	if l.stale {
		l.prepared = false
		return "the record must be read again", nil
	}
	if err := l.keepRecord(ctx); err != nil {
		return ending(err)
	}
	if err := l.takePublished(ctx, v); err != nil {
		return ending(err)
	}
	if l.Service.Members != policy.MembersState {
		l.judgeUnlisted(ctx, v)
	}
	left, waits := l.movable(l.pending())
	l.obstructed = l.obstructed && left.Size() > 0
	if l.takesOwn(left) {
		return l.leave(ctx, v, left)
	}
	if !l.revises() {
		if left.Size() > 0 {
			// What the record orders comes before any new decision.
			return l.carryOn(ctx, left), nil
		}
		if len(l.record.Orders) > 0 && !waits {
			// An earlier leader carried it out and could not write that down.
			l.close(ctx, result{order: l.record.Orders[0]})
			return "", nil // its marks are gone: look again first
		}
	}
	return l.orderNew(ctx, v, left)
}

// orderNew places the order that follows from the decision and the dead, if one
// does. left is what the record still orders.
func (l *Leader) orderNew(ctx context.Context, v view, left guard.Order) (string, error) {
	w, reason := l.wish(ctx, v)
	l.gone = nil
	s := l.roster().step(w, func(names []string) []string { return l.leaverOrder(names, v) })
	if left.Size() > 0 && (!s.orders() || l.obstructed && (len(w.Dead) == 0 || l.roster().ordered(s, left))) {
		return l.carryOn(ctx, left), nil // there is nothing new to order
	}
	if len(s.Remove) > 0 && len(s.Add)+len(s.Replace)+len(w.Dead)+len(w.Failed) == 0 {
		reason = cmp.Or(v.leaving[s.Remove[0]].Reason, reason) // decided when it was marked
	}
	s, err := l.leaveOwn(s, v)
	if err == nil || errors.Is(err, ErrStepDown) {
		err = cmp.Or(l.mark(ctx, s, v), err)
	}
	if err == nil && !s.orders() {
		trouble := cmp.Or(l.idle(ctx, v), l.birthsWait(w.unborn(l.cells())))
		l.planAhead(ctx, v, w, trouble)
		return trouble, nil
	}
	if err == nil {
		err = l.place(ctx, s, reason)
	}
	return ending(err)
}

// leave does what leaveFound says of the order found.
func (l *Leader) leave(ctx context.Context, v view, left guard.Order) (string, error) {
	s, err := l.leaveFound(left, v)
	if why := l.birthsWait(len(left.Add) + len(left.Replace)); err == nil && why != "" {
		return why, nil
	}
	err = cmp.Or(l.mark(ctx, s, v), err)
	if err == nil {
		err = l.place(ctx, s, "the leader's own cell stays until another can lead")
	}
	return ending(err)
}

// ending tells what is in the way from what ends the leader.
func ending(err error) (string, error) {
	if err == nil {
		return "", nil
	}
	if errors.Is(err, ErrStepDown) {
		return err.Error(), err
	}
	return err.Error(), nil // It is told of, and the leader goes on.
}

// revises reports whether what was found on the way makes another order than
// the one in the record: births that failed, cells that are gone, and cells that
// the plan would change though they are to be kept, as it does with dead ones.
func (l *Leader) revises() bool {
	return len(l.failedForSure()) > 0 || len(l.gone) > 0 || len(l.unlisted.due) > 0 || l.obstructed
}

// idle does what is to be done where nothing is ordered. It returns what is
// wrong, if anything is.
func (l *Leader) idle(ctx context.Context, v view) string {
	l.failures = 0
	l.sweep(ctx, v)
	l.saveMemory(ctx, false)
	trouble, begun := l.respread(ctx)
	if begun {
		return trouble
	}
	// What is in the way of a move holds up nothing else.
	path, changed, err := l.writeVariables()
	if err != nil {
		return joined(trouble, err.Error())
	}
	if changed {
		l.Log.Warn("the variable file didn't say what the record says: put right", "file", path, "count", l.record.Count)
	}
	l.oweInTime()
	return joined(trouble, l.pay(ctx))
}

// keepRecord makes sure that Consul holds the record: it may have been made
// from the state, and the shape of an order may have been learned anew.
func (l *Leader) keepRecord(ctx context.Context) error {
	if l.index != 0 && !l.unwritten {
		return nil
	}
	return l.putRecord(ctx, l.record)
}

// carryOn takes up what the record orders and the state doesn't hold yet. It
// returns what is in the way.
func (l *Leader) carryOn(ctx context.Context, left guard.Order) string {
	if why := l.waiting(); why != "" {
		return why
	}
	if why := l.birthsWait(len(left.Add) + len(left.Replace)); why != "" {
		return why
	}
	l.carryOut(ctx)
	return ""
}

// birthsWait returns why births that are wanted have to wait after others that
// failed. It names an instant, since whatever is told anew is logged and written.
func (l *Leader) birthsWait(births int) string {
	if births <= 0 || l.memory.Book.Wait(l.Now()) == 0 {
		return ""
	}
	return fmt.Sprintf("births wait until %s, %d failed in a row: %s", l.memory.Book.Until.Format(time.TimeOnly),
		l.memory.Book.Failures, cmp.Or(l.memory.Unborn, l.memory.Book.Cause))
}

// wish gathers what this beat wants, and the reason for it.
func (l *Leader) wish(ctx context.Context, v view) (wish, string) {
	dead, failed := l.judge(ctx, v), l.failedForSure()
	w := wish{
		Desired: l.last.Desired, Decided: l.last.Desired,
		Dead:    dead.Dead,
		Failed:  slices.Concat(failed, without(l.unlisted.due, l.failed, dead.Dead)),
		Unmade:  slices.DeleteFunc(slices.Clone(failed), l.isHeld),
		Starved: l.starved(),
		Held:    len(l.held),
		Max:     l.bounds().Max,
	}
	w.Births, _ = l.memory.Book.Allowed(min(l.bounds().Max, mostChanges), l.Now(), l.backoff())
	w.Destroys = l.destroysLeft()
	for _, name := range l.cells() {
		if _, ok := v.leaving[name]; ok {
			w.Leaving = append(w.Leaving, name)
			if l.mayGo(name, v, dead) {
				w.Drained = append(w.Drained, name)
			}
		}
	}
	if l.Service.HoldsData && l.Service.Drain.Path == "" && !l.movesData() {
		// Cells that hold data are never removed for load alone.
		w.Desired = max(w.Desired, len(l.cells())-len(w.Leaving))
	}
	if fresh := l.ofNewGenome(dead.Dead); len(fresh) > 0 {
		l.stillborn(fresh, dead.Why[fresh[0]])
	}
	l.renewal = l.renew(&w, v)
	reason := l.last.Reason
	if w.Surge > 0 && w.Desired <= len(l.cells())-len(w.Leaving) {
		reason = fmt.Sprintf("%d of %d cells are of another genome than the one published", len(l.mutants(v)), len(l.cells()))
	}
	if slow := l.slowDue(v); w.Surge > 0 && len(slow) > 0 {
		reason = fmt.Sprintf("%s stays slow and is replaced: %s", strings.Join(slow, ", "), l.memory.Slow.Cells[slow[0]].Reason)
	}
	if len(dead.Dead) > 0 {
		reason = fmt.Sprintf("%s: %s", strings.Join(dead.Dead, ", "), dead.Why[dead.Dead[0]])
	} else if len(failed) > 0 {
		reason = fmt.Sprintf("%s failed to be born; %s", strings.Join(failed, ", "), reason)
	} else if len(l.unlisted.due) > 0 {
		reason = fmt.Sprintf("%s: Terraform's refresh misses it, or a part of it; %s", strings.Join(l.unlisted.due, ", "), reason)
	} else if len(w.Starved) > 0 {
		reason = fmt.Sprintf("%d births that wait for the lock of a shard are given up for others; %s", len(w.Starved), reason)
	}
	return w, reason
}

// failedForSure are the births that failed, but for those whose shard can't be read: somebody
// may have made the cell there since, and it works.
func (l *Leader) failedForSure() []string {
	if len(l.failed) == 0 || len(l.shards.stuck) == 0 {
		return l.failed
	}
	at := l.at()
	return slices.DeleteFunc(slices.Clone(l.failed), func(name string) bool { return l.shards.stuck[at[name]].unread })
}

// mayGo reports whether a cell that is marked to leave may be taken away: one
// that has drained, one that is past its time, and a dead one, from which there
// is nothing to drain. Where a command moves what the cell holds, only that.
func (l *Leader) mayGo(name string, v view, dead verdict) bool {
	if l.movesData() {
		return v.moved(name, l.Service)
	}
	return v.drained(name) || slices.Contains(dead.Dead, name)
}

// movesData reports whether a cell that leaves has its data moved by a command.
func (l *Leader) movesData() bool { return len(l.Service.Drain.Command) > 0 }

// judge asks the death watch, unless health can't be known.
func (l *Leader) judge(ctx context.Context, v view) verdict {
	if l.Service.Members == policy.MembersState {
		return l.missed()
	}
	ctx, cancel := context.WithTimeout(ctx, l.Service.Beat)
	defer cancel()
	signs := l.signs(ctx, v)
	judged := l.deaths.judge(v.at, signs, v.proven, replacePace(len(signs)))
	l.mourn(judged)
	return judged
}

// missed is the verdict where health can't be known: dead are the cells that
// Terraform's refresh has just not found.
func (l *Leader) missed() verdict {
	gone := slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(l.gone))), func(name string) bool { return !l.isHeld(name) })
	v := verdict{Dead: gone[:min(len(gone), replacePace(len(l.held)))], Why: map[string]string{}}
	for _, name := range v.Dead {
		v.Why[name] = "Terraform's refresh doesn't find it"
	}
	l.mourn(v)
	return v
}

// mourn tells of the silent in each beat, and of the dead once.
func (l *Leader) mourn(judged verdict) {
	for name, why := range judged.Held {
		l.Metrics.heldSilent.WithLabelValues(l.Service.Name).Inc()
		l.Log.Warn("a silent cell is left alone for now", "cell", name, "why", why)
	}
	for _, name := range without(judged.Dead, l.mourned) {
		l.Metrics.replacements.WithLabelValues(l.Service.Name).Inc()
		l.Log.Warn("cell is dead", "cell", name, "why", judged.Why[name])
	}
	l.mourned = judged.Dead
}

// destroysLeft is how many cells may be destroyed by the next order: what the
// policy allows an apply, what is left of the hour, and what a record has room for.
func (l *Leader) destroysLeft() int {
	_, _, destroyed := l.memory.counts(l.Now())
	left := mostChanges
	if n := l.Service.Limits.DestroysPerApply; n > 0 {
		left = min(left, n)
	}
	if n := l.Service.Limits.DestroysPerHour; n > 0 {
		left = min(left, max(0, n-destroyed))
	}
	return left
}

// putRecord writes the record and takes it over once Consul has it. When that
// failed, or can't be told, the record is read again before anything else.
func (l *Leader) putRecord(ctx context.Context, r fleet.Record) error {
	r.Emptied, r.Failed = l.emptied(r), l.failedIn(r)
	index, err := l.lease.PutRecord(ctx, r, l.index)
	if err != nil {
		l.stale = !errors.Is(err, fleet.ErrTooLarge) // which was not even tried
		return fmt.Errorf("write the record of %s: %w", l.Service.Name, err)
	}
	l.record, l.index, l.unwritten = r, index, false
	if err := nextNameOf(l.Root.Module().Dir, l.Service.Name).raise(r.Next); err != nil {
		l.Log.Warn("should Consul lose its data, a name may be used again", "error", err)
	}
	return nil
}
