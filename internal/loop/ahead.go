package loop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// What became of plans ahead, beside the reasons of act.Plan.Outdated; labels of a
// metric.
const (
	aheadUsed        = "used"
	aheadStale       = "stale"       // Terraform refused it at the apply
	aheadOld         = "old"         // past plan_ahead.max_age
	aheadOther       = "other"       // another order was placed, or is likely now
	aheadInterrupted = "interrupted" // it was being made when something else had to be done
	aheadRefused     = "refused"     // by the guard
	aheadFailed      = "failed"      // Terraform could not make it, or it was of no use
	aheadRest        = "rest"        // a pause, a pin, a preparation, the leader's end
)

// ahead is one plan made before its order. It belongs to the leader until it is
// dropped, or handed to the worker with the order.
type ahead struct {
	names   []string // the roster after the order
	removal bool
	desired act.Desired
	order   guard.Order
	shape   guard.Shape
	why     string // for people
	began   time.Time
	cancel  context.CancelFunc
	done    chan struct{} // closed when nothing of it runs any more

	mu      sync.Mutex
	dropped bool
	plan    *act.Plan
	err     error
}

// start makes the plan beside everything else. An end of the context it began in
// doesn't end it: whoever drops it does.
func (a *ahead) start(ctx context.Context, root *act.Root, spent func(time.Duration)) {
	ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	a.done = make(chan struct{})
	go func() {
		defer close(a.done)
		defer a.cancel()
		began, before := time.Now(), childrenCPU()
		plan, err := root.PlanAhead(ctx, a.desired, a.order, a.shape)
		spent(min(childrenCPU()-before, mostProcessors*time.Since(began)))
		a.mu.Lock()
		defer a.mu.Unlock()
		a.plan, a.err = plan, err
		if a.dropped {
			a.discard()
		}
	}()
}

// drop ends it, and has its plan removed: at once, or when Terraform has ended.
func (a *ahead) drop() {
	a.cancel()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dropped = true
	a.discard()
}

func (a *ahead) discard() {
	if a.plan != nil {
		a.err = errors.Join(a.err, a.plan.Discard())
		a.plan = nil
	}
}

// over reports whether it is being made no more.
func (a *ahead) over() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// moved says by what a plan that is over is outdated for an order, or "".
func (a *ahead) moved(d act.Desired, o guard.Order, s guard.Shape) string {
	if a.err != nil || a.plan == nil {
		return failedAhead(a.err)
	}
	return a.plan.Outdated(d, o, s)
}

// claim hands the plan over for an order, or says why there is none. One that is
// still being made is waited for: it began earlier than another would.
func (a *ahead) claim(d act.Desired, o guard.Order, s guard.Shape) (*act.Plan, string) {
	<-a.done
	if why := a.moved(d, o, s); why != "" {
		a.drop()
		return nil, why
	}
	return a.plan, ""
}

func sameNames(a, b guard.Order) bool {
	return slices.Equal(a.Add, b.Add) && slices.Equal(a.Remove, b.Remove) && slices.Equal(a.Replace, b.Replace) && slices.Equal(a.Keep, b.Keep)
}

// failedAhead is the label of a plan ahead that came to nothing.
func failedAhead(err error) string {
	var refused *act.RefusedError
	switch {
	case errors.As(err, &refused):
		return aheadRefused
	case errors.Is(err, act.ErrInterrupted):
		return aheadInterrupted
	default:
		return aheadFailed
	}
}

// says is what is told of a plan ahead that lies ready.
func (a *ahead) says() string {
	if a == nil || !a.over() || a.err != nil {
		return ""
	}
	what := fmt.Sprintf("%d cells", a.desired.Count)
	if n := len(a.order.Add); n > 0 {
		what += fmt.Sprintf(" (%d more)", n)
	} else {
		what += fmt.Sprintf(" (without %s)", strings.Join(keyNames(a.order.Remove), ", "))
	}
	return fmt.Sprintf("%s at %s, since %s", what, a.began.UTC().Format(time.TimeOnly), a.why)
}

func keyNames(keys []guard.Key) []string {
	var names []string
	for _, k := range keys {
		names = append(names, string(k))
	}
	return names
}

// mostProcessors bounds what one plan is said to have cost: an application that
// ended beside it is a child of this process, too, and was for as long as it lived.
const mostProcessors = 4

// childrenCPU is the CPU time of all children of this process that have ended, with
// theirs: Terraform and its providers among them.
func childrenCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
