package act

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/hashicorp/terraform-exec/tfexec"
	tfjson "github.com/hashicorp/terraform-json"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// Plan is a plan that the guard passed. It lies in a file that only we can
// read, until it is applied or discarded; one of the two must be done.
type Plan struct {
	Verdict  guard.Verdict
	Changes  []guard.Change
	Drift    []guard.Refusal // someone else's changes, left out of the plan by -target
	Targeted bool
	// Partial is set where lost cells were left out, and with them what depends
	// on all cells: a later plan must make up for that.
	Partial bool
	// Gone and Broken are kept cells that the refresh found gone, or a part of.
	Gone, Broken []guard.Key

	root        *Root
	order       guard.Order
	shape       guard.Shape
	dir         string // private; holds plan and variable files
	parallelism int
	basis       *basis // what it was made from; nil for one that wasn't made ahead

	mu   sync.Mutex
	used bool
}

// Empty tells whether there is nothing to apply.
func (p *Plan) Empty() bool {
	return !slices.ContainsFunc(p.Changes, guard.Change.Effective)
}

// Plan plans the desired variables to a file and has the plan judged against
// the order. If all that is refused would mend cells that are lost and not
// ordered yet, or lies outside the cells and the policy says so, it plans again
// for the order alone. A refused plan is a *RefusedError and leaves nothing
// behind.
func (r *Root) Plan(ctx context.Context, d Desired, o guard.Order, s guard.Shape) (*Plan, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("plan %s: %w", r.cfg.Dir, err)
	}
	dir, err := r.scratch()
	if err != nil {
		return nil, err
	}
	p := &Plan{root: r, order: o, shape: s, dir: dir, parallelism: r.parallelism(o, s)}
	if err := p.make(ctx, d); err != nil {
		return nil, errors.Join(err, p.Discard())
	}
	return p, nil
}

func (p *Plan) make(ctx context.Context, d Desired) error {
	req := request{desired: d, dir: p.dir, parallelism: p.parallelism}
	for _, k := range p.order.Replace {
		req.replace = append(req.replace, p.shape.Addresses(k)...)
	}
	if err := p.judge(ctx, req); err != nil {
		return err
	}
	if p.Verdict.OK {
		return nil
	}
	first := p.Verdict
	for _, targets := range [][]string{first.Targets, p.cells()} {
		if !p.mayLeave() || len(targets) == 0 || slices.Equal(targets, req.targets) {
			continue
		}
		p.Targeted, req.targets = true, targets
		if err := p.judge(ctx, req); err != nil {
			return err
		}
		if p.Verdict.OK {
			p.Drift, p.Gone, p.Broken = first.Foreign, p.kept(first.Gone), p.kept(first.Broken)
			p.Partial = !p.whole(targets)
			return nil
		}
	}
	if p.order.Size() == 0 && len(first.Targets) == 0 && p.root.cfg.OnForeignChange == ForeignTarget && len(first.Foreign) == len(first.Refused) {
		// There is nothing of ours in it: all of it is another's.
		p.Verdict, p.Changes, p.Drift, p.Partial = guard.Verdict{OK: true}, nil, first.Foreign, !p.whole(nil)
		return nil
	}
	// A plan for some has not looked at the others.
	p.Verdict.Gone, p.Verdict.Broken = first.Gone, first.Broken
	return &RefusedError{Verdict: p.Verdict}
}

// mayLeave reports whether all that is refused may be left out of the plan.
func (p *Plan) mayLeave() bool {
	return p.Verdict.Elsewhere && (len(p.Verdict.Foreign) == 0 || p.root.cfg.OnForeignChange == ForeignTarget)
}

// cells are the addresses of the cells that the order changes. A dependent that
// may change can be planned together with one that may not.
func (p *Plan) cells() []string {
	var all []string
	for _, k := range slices.Concat(p.order.Add, p.order.Remove, p.order.Replace) {
		all = append(all, p.shape.Addresses(k)...)
	}
	slices.Sort(all)
	return all
}

// whole reports whether all dependents are among the targets.
func (p *Plan) whole(targets []string) bool {
	return !slices.ContainsFunc(p.shape.Dependents, func(d guard.Dependent) bool { return !slices.Contains(targets, d.Address) })
}

// kept are those of the keys that the order keeps.
func (p *Plan) kept(keys []guard.Key) []guard.Key {
	return slices.DeleteFunc(slices.Clone(keys), func(k guard.Key) bool { return !slices.Contains(p.order.Keep, k) })
}

// judge plans once and asks the guard, with the whole plan where the stream
// can't tell.
func (p *Plan) judge(ctx context.Context, req request) error {
	limits := p.root.cfg.Limits
	stream, err := p.root.plan(ctx, req)
	if err != nil {
		return err
	}
	p.Changes = stream.Changes
	p.Verdict = guard.Judge(p.shape, p.order, stream.Changes, limits)
	if stream.Doubt() == "" && !p.Verdict.NeedFullPlan {
		return nil
	}
	whole, err := p.root.show(ctx, req)
	if err != nil {
		return err
	}
	p.Changes = guard.FromPlan(whole)
	p.Verdict = guard.JudgeFull(p.shape, p.order, p.Changes, limits)
	return nil
}

// Discard removes the plan. It may be called again, and after Apply.
func (p *Plan) Discard() error {
	p.mu.Lock()
	p.used = true
	p.mu.Unlock()
	if err := os.RemoveAll(p.dir); err != nil {
		return fmt.Errorf("discard plan: %w", err)
	}
	return nil
}

// parallelism is at least Terraform's own default and the number of resources
// the order changes, within the policy's limit.
func (r *Root) parallelism(o guard.Order, s guard.Shape) int {
	n := max(DefaultParallelism, o.Size()*max(1, len(s.Patterns)))
	if r.cfg.Parallelism > 0 {
		n = min(n, r.cfg.Parallelism)
	}
	return n
}

// request is one run of terraform plan.
type request struct {
	desired     Desired
	dir         string // a scratch directory
	replace     []string
	targets     []string
	parallelism int
	// unrefreshed plans on the state as it is, without looking at what has
	// become of it.
	unrefreshed bool
	// unlocked plans without the state's lock.
	unlocked bool
}

func (q request) planFile() string      { return filepath.Join(q.dir, "plan") }
func (q request) ephemeralFile() string { return filepath.Join(q.dir, "ephemeral.tfvars.json") }

// plan runs terraform plan to a file and reads what it says.
func (r *Root) plan(ctx context.Context, q request) (guard.Stream, error) {
	options, err := r.planOptions(q)
	if err != nil {
		return guard.Stream{}, fmt.Errorf("plan %s: %w", r.cfg.Dir, err)
	}
	var out bytes.Buffer
	err = r.runJSON(ctx, "plan", &out, func(ctx context.Context, tf *tfexec.Terraform) error {
		if q.unlocked {
			defer hurried(tf)()
		}
		_, err := tf.PlanJSON(ctx, &out, options...)
		return err
	})
	if err != nil {
		return guard.Stream{}, err
	}
	return guard.ReadStream(&out)
}

func (r *Root) planOptions(q request) ([]tfexec.PlanOption, error) {
	variables, err := r.encode(q.desired)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(q.dir, "desired.tfvars.json")
	if err := os.WriteFile(file, variables, 0o600); err != nil {
		return nil, fmt.Errorf("hand over the variables: %w", err)
	}
	if err := createPrivate(q.planFile()); err != nil {
		return nil, err
	}
	options := []tfexec.PlanOption{
		tfexec.Out(q.planFile()), tfexec.Refresh(!q.unrefreshed), tfexec.Parallelism(q.parallelism), tfexec.LockTimeout(r.cfg.LockTimeout.String()),
		tfexec.Lock(!q.unlocked),
	}
	for _, f := range r.cfg.VarFiles {
		options = append(options, tfexec.VarFile(f))
	}
	ephemeral, err := r.writeEphemeral(q.ephemeralFile())
	if err != nil {
		return nil, err
	}
	if ephemeral {
		options = append(options, tfexec.VarFile(q.ephemeralFile()))
	}
	options = append(options, tfexec.VarFile(file)) // last, so that it wins over all others
	for _, a := range q.replace {
		options = append(options, tfexec.Replace(a))
	}
	for _, a := range q.targets {
		options = append(options, tfexec.Target(a))
	}
	return options, nil
}

// createPrivate makes the plan file before Terraform does, which would make it
// readable by all; Terraform keeps the mode of a file that is there.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make the plan file: %w", err)
	}
	return f.Close()
}

func (r *Root) writeEphemeral(path string) (bool, error) {
	values, err := r.ephemeral()
	if err != nil || len(values) == 0 {
		return false, err
	}
	b, err := json.Marshal(values)
	if err != nil {
		return false, err
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return false, fmt.Errorf("hand over the ephemeral variables: %w", err)
	}
	return true, nil
}

// show reads the whole of a plan file.
func (r *Root) show(ctx context.Context, q request) (*tfjson.Plan, error) {
	var plan *tfjson.Plan
	err := r.run(ctx, "show", func(ctx context.Context, tf *tfexec.Terraform) (err error) {
		plan, err = tf.ShowPlanFile(ctx, q.planFile())
		return err
	})
	return plan, err
}

// scratchPrefix begins the names of our private directories; the process id and the
// host follow, so that what a killed process left can be told from what is in use.
const scratchPrefix = "plan-"

func (r *Root) scratch() (string, error) {
	dir, err := os.MkdirTemp(r.cfg.DataDir, fmt.Sprintf("%s%d-%s-", scratchPrefix, os.Getpid(), hostTag()))
	if err != nil {
		return "", fmt.Errorf("make a private directory for the plan: %w", err)
	}
	return dir, nil
}
