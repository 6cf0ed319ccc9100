package loop

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
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
	applied bool                 // Terraform began to change something
	born    map[string]time.Time // when the resources of a newborn were complete
	drift   []guard.Refusal
	shape   *guard.Shape // learned anew on the way
	// held is the state's cells after the work, where heldKnown.
	held      map[string]heldCell
	heldKnown bool
	// gone are cells that the refresh missed, broken those it missed a part of.
	gone, broken []string
	// owed: what depends on all cells was left for a later plan.
	owed bool
	// obstructed: the plan would change cells that the order keeps.
	obstructed bool

	// Of the preparation.
	prepared *preparation
}

// place writes the step into the record and lets the worker carry it out. The
// record comes first: whoever leads next finds there what was begun.
func (l *Leader) place(ctx context.Context, s step, reason string) error {
	now := l.Now()
	next := l.record
	next.Names, next.Count, next.Next = s.Names, len(s.Names), s.Next
	if !l.roster().Named {
		next.Names = nil
	}
	next.Surge = s.Surge
	unborn, leaving := l.unfinished(s)
	next.Orders = []fleet.Order{{
		ID:     fmt.Sprintf("%d-%d", l.lease.Epoch(), now.UnixMilli()),
		Epoch:  l.lease.Epoch(),
		Add:    append(unborn, l.newborns(s, reason)...),
		Remove: append(leaving, s.Remove...), Replace: s.Replace,
		Reason: reason, Placed: now, Expected: now.Add(l.birthTime()),
	}}
	next.Decision = &fleet.Note{At: now, Code: l.last.Code, Reason: reason, Desired: l.last.Desired}
	earlier := l.record.Orders
	if err := l.putRecord(ctx, next); err != nil {
		return err
	}
	for _, name := range dropped(earlier, next.Orders[0].Add) {
		l.memory.Book.Withdrawn(l.roster().key(name)) // or it would count as on its way for ever
	}
	l.failed = without(l.failed, s.Remove, s.Replace)
	for _, n := range next.Orders[0].Add {
		l.memory.Book.Ordered(l.roster().key(n.Name), now)
	}
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
	held := slices.Sorted(maps.Keys(l.held))
	var replace []string
	for _, n := range intersect(r.Names, held) {
		if l.held[n].Tainted && r.keepsNames() || l.outlived(n) {
			replace = append(replace, n)
		}
	}
	keep := without(intersect(r.Names, held), replace)
	return guard.Order{
		Add:     r.keys(without(r.Names, held, replace)),
		Remove:  r.keys(without(held, r.Names)),
		Replace: r.keys(replace),
		Keep:    r.keys(keep),
		Lost:    r.keys(intersect(keep, l.deaths.silent())),
		Owed:    l.record.Owed,
	}
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
	job := &carry{
		leader:  l,
		base:    l.stateAsDesired(),
		desired: l.desired(),
		order:   l.pending(),
		shape:   l.shape,
		roster:  l.roster(),
	}
	if len(l.record.Orders) > 0 {
		job.record = l.record.Orders[0]
	}
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
}

// run carries the order out. Each run of Terraform has the policy's time limit,
// each question to Consul its own.
func (c *carry) run(ctx context.Context) result {
	began := c.leader.Now()
	r := result{what: "order", order: c.record, born: map[string]time.Time{}}
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

// apply plans, has the plan judged and applies it. It is proven again just
// before the apply that the lock is held, since planning takes seconds: the note
// is a transaction under it.
func (c *carry) apply(ctx context.Context, s *stateLock, r *result) error {
	if err := c.readShape(ctx, r); err != nil {
		return err
	}
	if _, _, err := c.leader.Root.WriteVariables(c.desired); err != nil {
		return err
	}
	plan, err := c.leader.Root.Plan(ctx, c.desired, c.order, c.shape)
	if err != nil {
		return err
	}
	defer func() {
		if err := plan.Discard(); err != nil {
			c.leader.Log.Warn("could not remove a plan file", "error", err)
		}
	}()
	r.drift = plan.Drift
	r.gone, r.broken, r.owed = c.roster.names(plan.Gone), c.roster.names(plan.Broken), plan.Owed
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
	l := c.leader
	if pauseFile(l.PauseFile) {
		return fmt.Errorf("order %s was planned and not applied: the file %s is there", c.record.ID, l.PauseFile)
	}
	why, err := pausedBy(ctx, l.Fleet, l.Service.Name)
	if err != nil {
		return fmt.Errorf("look for a pause before the apply: %w", err)
	}
	if why != "" {
		return fmt.Errorf("order %s was planned and not applied: %s", c.record.ID, why)
	}
	return nil
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
	if c.shape.Removals || c.base.Count == 0 {
		return nil
	}
	shape, err := c.leader.Root.Learn(ctx, c.base)
	if err != nil {
		return err
	}
	c.shape, r.shape = shape, &shape
	return nil
}

// progress notes that something is being changed, and when the last resource of
// each newborn was complete.
func (c *carry) progress(r *result, e act.Event) {
	r.applied = true
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
