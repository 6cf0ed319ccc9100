package act

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// Learn finds the shape of an order from three plans that are never applied:
// for the count as it is, for one more and for one fewer. What the first holds
// is someone else's drift and stays out of the shape. The variable file is not
// touched. A module in which every order would be refused is a
// *guard.ShapeError.
//
// Where there are no cells, or the module's own validation forbids one fewer,
// removals can't be learned and Shape.Removals is false.
func (r *Root) Learn(ctx context.Context, d Desired) (guard.Shape, error) {
	return r.learn(ctx, d, d.Count > 0)
}

func (r *Root) learn(ctx context.Context, d Desired, removals bool) (shape guard.Shape, err error) {
	now, diags := Inspect(r.cfg.Dir)
	if diags.HasErrors() {
		return guard.Shape{}, fmt.Errorf("learn %s: %w: %w", r.cfg.Dir, ErrModule, diags)
	}
	l := &lesson{root: r, base: d}
	defer func() { err = errors.Join(err, l.discard()) }()
	if err := l.plans(ctx, removals); err != nil {
		return guard.Shape{}, fmt.Errorf("learn the shape of an order: %w", err)
	}
	shape, err = l.shape()
	if err != nil || l.needsWhole(shape) {
		if err := l.readWhole(ctx); err != nil {
			return guard.Shape{}, fmt.Errorf("learn the shape of an order: %w", err)
		}
		shape, err = l.shape()
	}
	shape.Digest, shape.Named = now.Digest, r.module.Named
	return shape, err
}

// lesson holds the plans that are compared.
type lesson struct {
	root         *Root
	base         Desired
	up, down     guard.Key // down is empty if no removal was planned
	now, more    sample
	fewer        sample
	scratchPaths []string
}

// sample is one plan.
type sample struct {
	request request
	changes []guard.Change
}

func (l *lesson) plans(ctx context.Context, removals bool) (err error) {
	if l.now, err = l.plan(ctx, l.base); err != nil {
		return err
	}
	more := l.base.more()
	l.up = more.Keys()[l.base.Count]
	if l.more, err = l.plan(ctx, more); err != nil {
		return err
	}
	if !removals {
		return nil
	}
	fewer := l.base.fewer()
	l.fewer, err = l.plan(ctx, fewer)
	if errors.Is(err, ErrModule) {
		l.root.cfg.Log.WarnContext(ctx, "removals can't be learned: the module doesn't take one cell fewer", "dir", l.root.cfg.Dir, "count", fewer.Count, "error", err)
		return nil
	}
	l.down = l.base.Keys()[fewer.Count]
	return err
}

func (l *lesson) plan(ctx context.Context, d Desired) (sample, error) {
	dir, err := l.root.scratch()
	if err != nil {
		return sample{}, err
	}
	l.scratchPaths = append(l.scratchPaths, dir)
	q := request{
		desired: d, dir: dir, parallelism: l.root.parallelism(guard.Order{}, guard.Shape{}),
		// A cell that has died is still one by which the shape can be learned,
		// and a lesson needn't ask for every machine.
		unrefreshed: true,
	}
	stream, err := l.root.plan(ctx, q)
	return sample{request: q, changes: stream.Changes}, err
}

func (l *lesson) shape() (guard.Shape, error) {
	more := guard.Without(l.more.changes, l.now.changes)
	fewer := guard.Without(l.fewer.changes, l.now.changes)
	return guard.Learn(l.base.Keys(), l.up, more, l.down, fewer)
}

// needsWhole tells whether the streams were too little: with drift in the base
// plan only the values tell what an order adds to it, and of what depends on
// the cells the attributes are wanted.
func (l *lesson) needsWhole(s guard.Shape) bool {
	return len(s.Dependents) > 0 || slices.ContainsFunc(l.now.changes, func(c guard.Change) bool { return !c.Drift })
}

func (l *lesson) readWhole(ctx context.Context) error {
	samples := []*sample{&l.now, &l.more}
	if l.down != "" {
		samples = append(samples, &l.fewer)
	}
	for _, s := range samples {
		plan, err := l.root.show(ctx, s.request)
		if err != nil {
			return err
		}
		s.changes = guard.FromPlan(plan)
	}
	return nil
}

func (l *lesson) discard() error {
	var errs []error
	for _, dir := range l.scratchPaths {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// numbered splits a cell's name from its number.
var numbered = regexp.MustCompile(`^(.*?)([0-9]+)$`)

// more is the desired variables with one cell more. A name is made after the
// others, one higher than the highest, as the module may check how names look.
func (d Desired) more() Desired {
	if d.Names == nil {
		return Desired{Count: d.Count + 1}
	}
	prefix, highest := "cell-", 0
	for _, name := range d.Names {
		m := numbered.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		if n, err := strconv.Atoi(m[2]); err == nil && n >= highest {
			prefix, highest = m[1], n
		}
	}
	names := append(slices.Clone(d.Names), prefix+strconv.Itoa(highest+1))
	return Desired{Count: d.Count + 1, Names: names}
}

// fewer is the desired variables without the last cell.
func (d Desired) fewer() Desired {
	if d.Names == nil {
		return Desired{Count: d.Count - 1}
	}
	return Desired{Count: d.Count - 1, Names: append([]string{}, d.Names[:d.Count-1]...)}
}
