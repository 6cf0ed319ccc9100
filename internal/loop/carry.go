package loop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/act/spread"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// result is what the worker hands back to the leader.
type result struct {
	what string
	err  error
	took time.Duration

	// Of an order carried out.
	order   fleet.Order
	ahead   string               // what became of the plan that was made ahead, or nothing
	payment bool                 // nothing was ordered: it was for what depends on the cells
	applied bool                 // Terraform began to change something
	born    map[string]time.Time // when the resources of a newborn were complete
	drift   []guard.Refusal
	changes []guard.Change // of the plan that was applied
	shape   *guard.Shape   // learned anew on the way
	// held is the state's cells after the work, where heldKnown.
	held      map[string]heldCell
	heldKnown bool
	// gone are cells that the refresh missed, broken those it missed a part of.
	// looked says that there was a refresh to miss any.
	gone, broken []string
	looked       bool
	// strange are changes that no lesson has explained.
	strange []strangeChange
	// partial: what depends on all cells was left for a later plan.
	partial bool
	// obstructed: the plan would change cells that the order keeps.
	obstructed bool

	// parts are what became of it in each shard; none where the service isn't spread.
	parts []*part
	// moved is the move of cells between shards that was made instead of an order.
	// begun says of one that failed that cells may be in both states.
	moved *spread.Move
	begun bool

	// Of the preparation.
	prepared *preparation
}

// carry is one order on its way: plan, guard, apply that plan. It runs in the
// worker and reads of the leader only what never changes.
type carry struct {
	leader  *Leader
	base    act.Desired // as the state is
	desired act.Desired // as the record wants it
	order   guard.Order
	shape   guard.Shape
	roster  roster
	record  fleet.Order
	strange map[strangeChange]bool // what lessons before have not explained
	ahead   *ahead                 // the order's plan, made ahead; nil if none was
	shared  bool                   // there are workspaces of shards, which read the variable file, too
}

// run carries the order out. Each run of Terraform has the policy's time limit,
// each question to Consul its own.
func (c *carry) run(ctx context.Context) result {
	began := c.leader.Now()
	r := result{what: "order", order: c.record, payment: c.record.ID == "" && c.order.Size() == 0, born: map[string]time.Time{}}
	defer c.leaveAhead(&r)
	r.err = c.prove(ctx)
	if r.err == nil {
		r.err = c.leader.withStateLock(ctx, c.leader.Root, c.record.ID, func(s *stateLock) error { return c.apply(ctx, s, &r) })
	}
	r.took = c.leader.Now().Sub(began)
	if r.err == nil {
		return r
	}
	var refused *act.RefusedError
	if errors.As(r.err, &refused) {
		kept := c.roster.names(c.order.Keep)
		r.looked = true
		r.gone, r.broken = intersect(c.roster.names(refused.Verdict.Gone), kept), intersect(c.roster.names(refused.Verdict.Broken), kept)
		r.obstructed = slices.ContainsFunc(refused.Verdict.Refused, func(f guard.Refusal) bool { return f.Cell != "" })
	}
	r.held, r.heldKnown = c.leader.readHeld(ctx, c.shape, c.roster)
	return r
}

// prove checks by a transaction that the lock is still held, before anything is
// written: a leader that was frozen in between may hold it no more.
func (c *carry) prove(ctx context.Context) error {
	if err := c.leader.lease.Check(ctx); err != nil {
		return fmt.Errorf("begin order %s: %w", c.record.ID, err)
	}
	return nil
}

// apply plans, has the plan judged and applies it; or applies the plan that was made
// and judged ahead. Where Terraform finds that one stale, it plans anew.
func (c *carry) apply(ctx context.Context, s *stateLock, r *result) error {
	if err := c.readShape(ctx, r); err != nil {
		return err
	}
	if err := c.writeVariables(); err != nil {
		return err
	}
	if plan := c.claim(r); plan != nil {
		if err := c.applyPlan(ctx, s, r, plan); r.applied || !errors.Is(err, act.ErrStale) {
			return err
		}
		r.ahead = aheadStale
	}
	plan, err := c.plan(ctx, r)
	if err != nil {
		return err
	}
	return c.applyPlan(ctx, s, r, plan)
}

// writeVariables has the variable file say what the order makes right; the plan is
// given a file of its own.
func (c *carry) writeVariables() (err error) {
	if c.shared {
		_, _, err = c.leader.Root.ReleaseVariables()
		return err
	}
	_, _, err = c.leader.Root.WriteVariables(c.desired)
	return err
}

// claim takes the plan that was made ahead, if it still holds.
func (c *carry) claim(r *result) (plan *act.Plan) {
	if c.ahead == nil {
		return nil
	}
	plan, r.ahead = c.ahead.claim(c.desired, c.order, c.shape)
	if plan != nil {
		r.ahead = aheadUsed
	}
	c.ahead = nil
	return plan
}

// leaveAhead throws away a plan made ahead that the order didn't come to.
func (c *carry) leaveAhead(r *result) {
	if c.ahead != nil {
		c.ahead.drop()
		c.ahead, r.ahead = nil, aheadOther
	}
}

// applyPlan applies a plan that was judged. It is proven again just before that the
// lock is held, since planning takes seconds: the note is a transaction under it.
func (c *carry) applyPlan(ctx context.Context, s *stateLock, r *result, plan *act.Plan) error {
	defer c.discard(plan)
	r.drift, r.changes = plan.Drift, plan.Changes
	r.gone, r.broken, r.partial, r.looked = c.roster.names(plan.Gone), c.roster.names(plan.Broken), plan.Partial, true
	if plan.Empty() && c.order.Size() == 0 {
		return nil
	}
	// An empty plan is applied, too, where the state differs from the record: the
	// cells that go are gone already, and only an apply has the state say so.
	if err := c.unpaused(ctx); err != nil {
		return err
	}
	if err := s.note(ctx); err != nil {
		return err
	}
	return plan.Apply(ctx, func(e act.Event) { c.progress(r, e) })
}

// unpaused looks again whether somebody has paused the service: the plan may
// have waited behind that person's own destroy.
func (c *carry) unpaused(ctx context.Context) error {
	why, err := c.leader.pausedNow(ctx)
	if err != nil {
		return fmt.Errorf("look for a pause before the apply: %w", err)
	}
	if why != "" {
		return fmt.Errorf("order %s was planned and not applied: %s", c.record.ID, why)
	}
	return nil
}

// pausedNow returns who has paused the service, or nothing.
func (l *Leader) pausedNow(ctx context.Context) (string, error) {
	if pauseFile(l.PauseFile) {
		return fmt.Sprintf("the file %s is there", l.PauseFile), nil
	}
	return pausedBy(ctx, l.Fleet, l.Service.Name)
}

// errModuleChanged says that the root module is another than the one that the
// shape of an order was learned from.
var errModuleChanged = errors.New("the root module has changed: what an order changes must be learned anew")

// readShape makes sure that the shape is of the root module as it is now, and
// that it was learned where there were cells: without any, neither a removal
// nor what is first made with the first cell could be.
func (c *carry) readShape(ctx context.Context, r *result) error {
	module, diags := act.Inspect(c.leader.Root.Module().Dir)
	if diags.HasErrors() {
		return fmt.Errorf("read the root module: %w", diags)
	}
	if module.Digest != c.shape.Digest {
		return errModuleChanged
	}
	if c.shape.Removals || c.base.Count == 0 || c.shape.Count == c.base.Count {
		return nil
	}
	return c.learn(ctx, r)
}

// errLearned says that it was learned anew what an order changes. The record is
// to say so before the order is carried out: who finds it half done can't learn
// the same.
var errLearned = errors.New("it was learned anew what an order changes")

// learn learns what an order changes at the present number of cells. It returns
// errLearned where it could.
func (c *carry) learn(ctx context.Context, r *result) error {
	shape, err := c.leader.Root.Learn(ctx, c.base)
	if err != nil {
		return err
	}
	shape = shape.With(c.shape)
	r.shape = &shape
	return errLearned
}

// plan plans the order. Where the guard takes something for another's change
// that may only be unknown, since the shape was learned at another number of
// cells, it is learned anew: a load balancer may be there from the third on.
// What no lesson has explained is another's from then on.
func (c *carry) plan(ctx context.Context, r *result) (*act.Plan, error) {
	plan, err := c.leader.Root.Plan(ctx, c.desired, c.order, c.shape)
	foreign := c.foreign(plan, err)
	if c.order.Size() == 0 || !slices.ContainsFunc(foreign, func(s strangeChange) bool { return !c.strange[s] }) {
		return plan, err
	}
	if c.shape.Count == c.base.Count {
		r.strange = foreign
		return plan, err
	}
	lesson := c.learn(ctx, r)
	if !errors.Is(lesson, errLearned) {
		c.leader.Log.Warn("could not learn what an order changes at this number of cells", "cells", c.base.Count, "error", lesson)
		var unshaped *guard.ShapeError
		if errors.As(lesson, &unshaped) {
			r.strange = foreign
		}
		return plan, err
	}
	if plan != nil {
		c.discard(plan)
	}
	return nil, lesson
}

// strangeChange is a change of another's, as a plan at a number of cells held it.
type strangeChange struct {
	cells           int
	address, action string
}

// foreign returns what a plan, or one refused, holds of others' changes.
func (c *carry) foreign(plan *act.Plan, err error) []strangeChange {
	var list []guard.Refusal
	var refused *act.RefusedError
	switch {
	case errors.As(err, &refused):
		list = refused.Verdict.Foreign
	case err == nil:
		list = plan.Drift
	}
	var all []strangeChange
	for _, f := range list {
		all = append(all, strangeChange{cells: c.base.Count, address: f.Address, action: f.Action})
	}
	return all
}

func (c *carry) discard(plan *act.Plan) {
	if err := plan.Discard(); err != nil {
		c.leader.Log.Warn("could not remove a plan file", "error", err)
	}
}

// progress notes that something is being changed, and when the last resource of
// each newborn was complete.
func (c *carry) progress(r *result, e act.Event) {
	r.applied = true
	if r.born == nil {
		r.born = map[string]time.Time{}
	}
	if e.Kind == act.EventComplete && e.Cell != "" {
		r.born[c.roster.name(e.Cell)] = e.At
	}
}

// readHeld asks the state which cells it holds.
func (l *Leader) readHeld(ctx context.Context, shape guard.Shape, r roster) (map[string]heldCell, bool) {
	cells, err := l.Root.Cells(ctx, shape)
	if err != nil {
		l.Log.Warn("could not read which cells the state holds", "error", err)
		return nil, false
	}
	held := make(map[string]heldCell, len(cells))
	for _, c := range cells {
		held[r.name(c.Key)] = heldCell{Tainted: !c.Whole()}
	}
	return held, true
}
