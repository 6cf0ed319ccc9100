package loop

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// spreadJob is one order over the shards that it changes. One guard stands before all
// of it: nothing is applied before each shard's plan has been judged, and the limits
// of an apply count over all of them. A shard that fails leaves the others alone.
//
//	plan, judge -+                  +- apply
//	plan, judge -+- all are judged -+- apply
//	plan, fails -+                  +- (reported, tried again by itself)
//	plan, late --+
type spreadJob struct {
	carry
	roots *act.Workspaces
	parts []*part
	// teachers are the shards with the cells that their states hold, while it isn't
	// known what an order changes. None is that waits: what it holds is known from the
	// record alone, say.
	teachers map[int]act.Desired
	slots    chan struct{} // as many as Terraform may run at a time
	all      *assembly
	done     atomic.Int32 // shards in which all went well
}

// part is what an order does in one shard. Its result is that of this shard alone.
type part struct {
	result
	job     *spreadJob
	shard   int
	desired act.Desired // the cells of this shard, as the record wants it
	base    act.Desired // as its state is
	order   guard.Order
	stays   bool // it failed, and what it was to do stays in the record
	cut     bool // an earlier use of the state's lock was cut short
	// failures are those in a row before this try.
	failures int
	planned  time.Time // when its plan began
	tried    time.Time // when it ended
	came     bool      // nobody waits for it: it was judged, say, or failed before
	counted  int       // what it was counted to destroy
}

// carryOutSpread hands the record's order to the worker, without what is to be done
// in shards that wait. Where that is all of it, nothing is begun: the order stays in
// the record, and is taken up when their time has come.
func (l *Leader) carryOutSpread(ctx context.Context) {
	order, _ := l.movable(l.pending())
	job := l.newSpreadJob(order)
	if len(job.parts) == 0 {
		return
	}
	l.start(ctx, "order "+job.record.ID, job.run)
}

// newSpreadJob makes the parts of an order. Without one, shards are looked at that
// this leader owes a look.
func (l *Leader) newSpreadJob(order guard.Order) *spreadJob {
	j := &spreadJob{
		carry: carry{leader: l, order: order, shape: l.shape, roster: l.roster()},
		roots: l.shards.roots,
		slots: make(chan struct{}, max(1, l.Service.Terraform.ShardsAtOnce)),
	}
	if len(l.record.Orders) > 0 && order.Size() > 0 {
		j.record = l.record.Orders[0]
	}
	at, parts := l.at(), map[int]*part{}
	if order.Size() == 0 {
		for _, shard := range l.payable() {
			parts[shard] = &part{}
		}
	}
	for _, k := range slices.Concat(order.Add, order.Remove, order.Replace) {
		parts[at[string(k)]] = &part{}
	}
	for _, shard := range slices.Sorted(maps.Keys(parts)) {
		p := parts[shard]
		p.job, p.shard, p.born, p.failures = j, shard, nil, l.shards.stuck[shard].failures
		p.desired.Names, p.base.Names = []string{}, []string{}
		p.result.order = j.record
		p.result.order.Add, p.result.order.Remove, p.result.order.Replace = nil, nil, nil
		j.parts = append(j.parts, p)
	}
	j.deal(at, parts)
	if !l.shape.Removals {
		j.teachers = l.desiredByShard()
		maps.DeleteFunc(j.teachers, func(shard int, _ act.Desired) bool { return l.isStuck(shard) })
	}
	j.all = newAssembly(len(j.parts))
	return j
}

// desiredByShard is what the variables would say in each shard so that nothing changes.
func (l *Leader) desiredByShard() map[int]act.Desired {
	all := map[int]act.Desired{}
	for _, name := range slices.SortedFunc(maps.Keys(l.held), func(a, b string) int { return guard.CompareKeys(guard.Key(a), guard.Key(b)) }) {
		d := all[l.held[name].Shard]
		d.Names, d.Count = append(d.Names, name), d.Count+1
		all[l.held[name].Shard] = d
	}
	return all
}

// deal gives each part what concerns its shard, in one pass over all cells.
func (j *spreadJob) deal(at map[string]int, parts map[int]*part) {
	l := j.leader
	for _, name := range l.record.Names {
		if p := parts[at[name]]; p != nil {
			p.desired.Names = append(p.desired.Names, name)
			p.desired.Count++
		}
	}
	for name := range l.held {
		if p := parts[at[name]]; p != nil {
			p.base.Names = append(p.base.Names, name)
			p.base.Count++
		}
	}
	for _, p := range j.parts {
		slices.Sort(p.base.Names)
	}
	give := func(keys []guard.Key, list func(*part) *[]guard.Key) {
		for _, k := range keys {
			if p := parts[at[string(k)]]; p != nil {
				*list(p) = append(*list(p), k)
			}
		}
	}
	give(j.order.Keep, func(p *part) *[]guard.Key { return &p.order.Keep })
	give(j.order.Add, func(p *part) *[]guard.Key { return &p.order.Add })
	give(j.order.Remove, func(p *part) *[]guard.Key { return &p.order.Remove })
	give(j.order.Replace, func(p *part) *[]guard.Key { return &p.order.Replace })
	give(j.order.Lost, func(p *part) *[]guard.Key { return &p.order.Lost })
	for _, n := range j.record.Add {
		if p := parts[at[n.Name]]; p != nil {
			p.result.order.Add = append(p.result.order.Add, n)
		}
	}
	share := func(names []string, list func(*fleet.Order) *[]string) {
		for _, name := range names {
			shard, known := at[name]
			if !known && l.unread() {
				continue // it may be in a state that can't be read, and stays in the order
			}
			if p := parts[shard]; p != nil {
				*list(&p.result.order) = append(*list(&p.result.order), name)
			}
		}
	}
	share(j.record.Remove, func(o *fleet.Order) *[]string { return &o.Remove })
	share(j.record.Replace, func(o *fleet.Order) *[]string { return &o.Replace })
}

// run carries the order out in all of its shards.
func (j *spreadJob) run(ctx context.Context) result {
	l, began := j.leader, j.leader.Now()
	r := result{what: "order", order: j.record, payment: j.order.Size() == 0}
	if r.err = j.begin(ctx, &r); r.err != nil {
		r.took = l.Now().Sub(began)
		return r
	}
	var g sync.WaitGroup
	for _, p := range j.parts {
		g.Go(func() { p.run(ctx) })
	}
	g.Wait()
	r.parts, r.took = j.parts, l.Now().Sub(began)
	var errs []error
	for _, p := range j.parts {
		if p.err != nil {
			errs = append(errs, fmt.Errorf("shard %d: %w", p.shard, p.err))
		}
		r.drift, r.changes = append(r.drift, p.drift...), append(r.changes, p.changes...)
		r.gone = append(r.gone, p.gone...)
	}
	r.err = errors.Join(errs...)
	return r
}

// begin makes sure that the lock is held and the shape of an order is known, before
// anything is written.
func (j *spreadJob) begin(ctx context.Context, r *result) error {
	if err := j.prove(ctx); err != nil {
		return err
	}
	if err := j.knowShape(ctx, r); err != nil {
		return err
	}
	_, _, err := j.leader.Root.ReleaseVariables()
	return err
}

// knowShape is readShape for a service that is spread.
func (j *spreadJob) knowShape(ctx context.Context, r *result) error {
	module, diags := act.Inspect(j.leader.Root.Module().Dir)
	if diags.HasErrors() {
		return fmt.Errorf("read the root module: %w", diags)
	}
	if module.Digest != j.shape.Digest {
		return errModuleChanged
	}
	if !j.shape.Removals {
		if err := j.learn(ctx, r); err != nil {
			return err
		}
	}
	// What depends on the cells has no place in a shard: it is another's there.
	j.shape.Dependents = nil
	return nil
}

// mostTeachers is in how many shards it is tried to learn the shape of an order.
const mostTeachers = 3

// learn learns the shape of an order where there are cells. It returns errLearned
// where it could, and nothing where there are none, or none from which more is to be
// learned than was. What is in the way in one shard, such as a lock, isn't in all.
func (j *spreadJob) learn(ctx context.Context, r *result) error {
	shape, err := j.lessons(func(shard int) (shape guard.Shape, err error) {
		root, err := j.roots.Open(ctx, shard)
		if err != nil {
			return shape, err
		}
		err = j.leader.withShardLock(ctx, root, shard, j.record.ID, func(*stateLock) error {
			shape, err = root.Learn(ctx, j.teachers[shard])
			return err
		})
		return shape, err
	})
	if shape == nil {
		return err
	}
	r.shape = shape
	return errLearned
}

// lessons asks one teacher after the other until one knows how cells go, and returns
// what was learned, nil for nothing. None is asked at a number of cells at which it was
// learned before: that would be done over again for ever.
func (j *spreadJob) lessons(teach func(shard int) (guard.Shape, error)) (learned *guard.Shape, err error) {
	for _, d := range j.teachers {
		if d.Count == j.shape.Count {
			return nil, nil
		}
	}
	known := j.shape
	for _, shard := range slices.Sorted(maps.Keys(j.teachers))[:min(len(j.teachers), mostTeachers)] {
		shape, failed := teach(shard)
		if failed != nil {
			err = failed
			continue
		}
		known = shape.With(known)
		if learned = &known; known.Removals {
			break
		}
	}
	return learned, err
}

// run carries out what the order does in one shard.
func (p *part) run(ctx context.Context) {
	l := p.job.leader
	p.born, p.took = nil, 0
	began := l.Now()
	if p.again() {
		p.arrive(p.most())
	}
	root, err := p.open(ctx)
	if err == nil && p.hasty() {
		root = root.Hasty()
	}
	if err == nil {
		err = l.withShardLock(ctx, root, p.shard, p.result.order.ID, func(s *stateLock) error {
			p.cut = s.left != nil
			return p.apply(ctx, s, root)
		})
	}
	p.err, p.tried = err, l.Now()
	p.took = p.tried.Sub(began)
	p.arrive(0)
	if err == nil {
		l.Log.Info("shard done", "shard", p.shard, "order", p.result.order.ID, "done", p.job.done.Add(1), "of", len(p.job.parts), "took", p.took.Round(time.Millisecond))
		return
	}
	p.failed(ctx, root)
}

// open opens the shard's workspace, and makes it for births alone where there are no
// cells yet.
func (p *part) open(ctx context.Context) (*act.Root, error) {
	if len(p.order.Add) > 0 && len(p.base.Names) == 0 {
		return p.job.roots.Make(ctx, p.shard)
	}
	return p.job.roots.Open(ctx, p.shard)
}

// again reports whether this part failed the last time, and others are in the order: they
// don't wait for it.
func (p *part) again() bool { return p.failures > 0 && len(p.job.parts) > 1 }

// hasty reports whether Terraform shall not wait for the lock of the shard's state. The
// other shards wait until this one is judged, and it is tried again by itself.
func (p *part) hasty() bool { return p.failures > 0 || len(p.job.parts) > 1 }

// barred returns the lock of somebody else for which the part failed before anything was
// begun; nil if that isn't why.
func (p *part) barred() (lock *act.LockedError) {
	if p.cut || p.applied || !errors.As(p.err, &lock) {
		return nil
	}
	return lock
}

// failed notes what a shard is like after it failed.
func (p *part) failed(ctx context.Context, root *act.Root) {
	l := p.job.leader
	var refused *act.RefusedError
	if errors.As(p.err, &refused) {
		kept := p.job.roster.names(p.order.Keep)
		p.looked = true
		p.gone, p.broken = intersect(p.job.roster.names(refused.Verdict.Gone), kept), intersect(p.job.roster.names(refused.Verdict.Broken), kept)
		p.obstructed = slices.ContainsFunc(refused.Verdict.Refused, func(f guard.Refusal) bool { return f.Cell != "" })
	}
	if root == nil || errors.Is(p.err, errLate) {
		return // nothing was changed, and what hangs would hang once more
	}
	if err := l.mendState(root); err != nil {
		l.Log.Error("the state of a shard can't be mended", "shard", p.shard, "error", err)
		return
	}
	free := p.slot()
	ctx, cancel := context.WithTimeoutCause(ctx, p.job.roots.Limit, act.ErrTimeout)
	cells, err := root.Cells(ctx, p.job.shape)
	cancel()
	free()
	if err != nil {
		l.Log.Warn("could not read which cells the state of a shard holds", "shard", p.shard, "error", err)
		return
	}
	p.held, p.heldKnown = make(map[string]heldCell, len(cells)), true
	for _, c := range cells {
		p.held[string(c.Key)] = heldCell{Tainted: !c.Whole(), Shard: p.shard}
	}
}

// slot waits until Terraform may run once more, and returns what gives the place back.
func (p *part) slot() (free func()) {
	p.job.slots <- struct{}{}
	return func() { <-p.job.slots }
}

// apply plans and has the plan judged; once all parts of the order are, it applies it.
func (p *part) apply(ctx context.Context, s *stateLock, root *act.Root) error {
	free := p.slot()
	plan, err := p.onTime(ctx, func(ctx context.Context) (*act.Plan, error) { return root.Plan(ctx, p.desired, p.order, p.job.shape) })
	free()
	if err != nil {
		return err
	}
	defer p.job.discard(plan)
	p.drift, p.changes, p.looked = plan.Drift, plan.Changes, true
	p.gone, p.broken = p.job.roster.names(plan.Gone), p.job.roster.names(plan.Broken)
	if err := p.judged(plan.Verdict.Destroys); err != nil {
		return err
	}
	if plan.Empty() && p.order.Size() == 0 {
		return nil
	}
	free = p.slot()
	defer free()
	if err := p.job.unpaused(ctx); err != nil {
		return err
	}
	if err := s.note(ctx); err != nil {
		return err
	}
	return plan.Apply(ctx, func(e act.Event) { p.job.progress(&p.result, e) })
}
