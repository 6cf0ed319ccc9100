package loop

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// assembly is where the parts of an order wait until all of them have been judged. One
// that failed the last time, or whose plan takes far longer than the others', isn't
// waited for: what it could destroy at its most is counted.
type assembly struct {
	mu       sync.Mutex
	awaited  int
	arrived  int
	longest  time.Duration // that a part has taken from the beginning of its plan
	destroys int
	complete chan struct{}
}

func newAssembly(parts int) *assembly {
	return &assembly{awaited: parts, complete: make(chan struct{})}
}

// arrive adds what a part would destroy, but for what was counted of it before. The
// last one lets all go on.
func (a *assembly) arrive(p *part, destroys int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.destroys += max(0, destroys-p.counted)
	p.counted = max(destroys, p.counted)
	if p.came {
		return
	}
	p.came = true
	a.arrived++
	if !p.planned.IsZero() {
		a.longest = max(a.longest, time.Since(p.planned))
	}
	if a.awaited--; a.awaited == 0 {
		close(a.complete)
	}
}

// total is what all parts that arrived would destroy together.
func (a *assembly) total() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.destroys
}

// When a plan is late: once one part at least has arrived, it has taken lateTimes as
// long as the longest of those, and its share of the policy's limit for a plan, which
// doubles with each time that it failed: a large shard isn't late for ever.
const (
	lateTimes = 3
	lateShare = 5
)

// late reports whether a part whose plan has run for so long isn't waited for any longer.
func (a *assembly) late(ran, timeout time.Duration, failures int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.arrived > 0 && ran >= max(lateTimes*a.longest, timeout/lateShare<<min(failures, 3))
}

// errLate is why a part was left out of an order.
var errLate = fmt.Errorf("its plan took far longer than those of the other shards: %w", act.ErrTimeout)

// lookLate is how often it is looked whether a plan is late.
const lookLate = time.Second

// onTime runs a plan. One that is late is interrupted, and the other parts wait no longer.
func (p *part) onTime(ctx context.Context, plan func(context.Context) (*act.Plan, error)) (*act.Plan, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if p.planned.IsZero() {
		p.planned = time.Now() // else it is planned once more, its lock having been broken
	}
	go p.watch(ctx, cancel, time.Now())
	made, err := plan(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return made, err
}

// watch waits until a plan has ended or is late.
func (p *part) watch(ctx context.Context, cancel context.CancelCauseFunc, began time.Time) {
	tick := time.NewTicker(lookLate)
	defer tick.Stop()
	for !p.job.all.late(time.Since(began), p.job.leader.Service.Terraform.Timeout, p.failures) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	p.arrive(p.most())
	cancel(errLate)
}

// most is what a part could destroy: no guard lets it take away or replace other cells.
func (p *part) most() int { return len(p.order.Remove) + len(p.order.Replace) }

// arrive tells the others that this part has been judged, has failed or isn't to be
// waited for.
func (p *part) arrive(destroys int) { p.job.all.arrive(p, destroys) }

// judged waits until all parts have been judged, and refuses what all of them would
// destroy together if that is more than one apply may.
func (p *part) judged(destroys int) error {
	p.arrive(destroys)
	<-p.job.all.complete
	total := p.job.all.total()
	if most := p.job.leader.Service.Limits.DestroysPerApply; most > 0 && total > most {
		return &act.RefusedError{Verdict: guard.Verdict{Refused: []guard.Refusal{{
			Action: "delete", Why: fmt.Sprintf("the plans of all shards together would destroy %d, more than the %d that one apply may", total, most),
		}}}}
	}
	return nil
}
