package loop

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// payMax is the longest pause between two tries to pay a debt. What is in the
// way is often somebody else's change, which only a person takes back.
const payMax = 15 * time.Minute

// debt is what depends on all cells, such as a load balancer's list of targets,
// where it may not be as the cells are: an apply failed or was cut, left it out
// for the sake of lost cells, or this leader hasn't looked yet. It is paid by a
// plan without an order, once nothing else is to be done. It has a pace of its
// own, so that one that can't be paid holds up nothing. Where health isn't judged
// that plan also shows which cells are gone.
type debt struct {
	due      bool
	failures int       // in a row
	retry    time.Time // not before
	trouble  string    // what was in the way of the last try, if any was
}

// owe notes what an apply has left to do outside the cells, if anything there
// depends on them.
func (l *Leader) owe(r result) {
	if r.err == nil && !r.partial && len(r.gone)+len(r.broken) == 0 {
		l.debt = debt{}
		return
	}
	// Who was missed may be found again by a later look.
	l.debt.due = l.mayLag() || len(l.unlisted.gone)+len(l.unlisted.broken) > 0
}

// mayLag reports whether there can be anything that only a plan shows.
func (l *Leader) mayLag() bool {
	return len(l.shape.Dependents) > 0 || l.Service.Members == policy.MembersState
}

// errPartial says that a plan for what depends on the cells had to leave out a
// part of that.
var errPartial = errors.New("the rest was left out: see the drift, which is another's change")

// pay begins to pay a debt that is due. It returns what is in the way.
func (l *Leader) pay(ctx context.Context) string {
	switch {
	case !l.debt.due || l.toDo() || l.spread() && len(l.payable()) == 0:
		return ""
	case l.Now().Before(l.debt.retry) && l.debt.trouble == "":
		return ""
	case l.Now().Before(l.debt.retry):
		return fmt.Sprintf("what depends on the cells is looked at again at %s: %s", l.debt.retry.Format(time.TimeOnly), l.debt.trouble)
	}
	l.carryOut(ctx)
	return ""
}

// unpaid sets the next try after one that failed.
func (l *Leader) unpaid(why error) {
	l.debt.failures++
	l.debt.retry = l.Now().Add(min(retryMin<<min(l.debt.failures-1, 10), payMax))
	l.debt.trouble = why.Error()
	l.Log.Warn("what depends on the cells may not be as they are", "error", why, "again", l.debt.retry.Format(time.TimeOnly))
}

// unready are errors after which the leader gets ready again.
var unready = []error{act.ErrKilled, act.ErrNotInitialised, errModuleChanged}

// payNow pays a debt that is due and waits for it: of a service that is spread, until
// each shard was looked at.
func (l *Leader) payNow(ctx context.Context, o Outcome) (Outcome, error) {
	if !l.debt.due || l.pending().Size() > 0 || o.Held != "" {
		return o, nil
	}
	var all result
	for owed := math.MaxInt; all.err == nil && len(l.shards.owing) < owed; {
		owed = max(1, len(l.shards.owing))
		l.carryOut(ctx)
		r := l.await(ctx)
		all.changes, all.drift, all.gone = append(all.changes, r.changes...), append(all.drift, r.drift...), append(all.gone, l.gone...)
		all.err = r.err
		if len(l.shards.owing) == 0 {
			break
		}
	}
	l.gone = all.gone
	return o.with(all)
}
