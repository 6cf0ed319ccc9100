package act

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// ErrNotPlain says that a plan made ahead would do something beside its order, or
// not all of it: such a plan is made, and judged, when the order is placed.
var ErrNotPlain = errors.New("the plan ahead holds more than its order, or less")

// What a plan ahead may have been outdated by; labels of a metric.
const (
	MovedOrder  = "order"
	MovedShape  = "shape"
	MovedModule = "module"
	MovedState  = "state"
	MovedPlan   = "plan"
)

// basis is what a plan ahead was made from. What of it can be told from here is
// compared before the plan is used; that the state is the same, wherever it lies,
// Terraform itself makes sure of at the apply (ErrStale).
type basis struct {
	desired Desired
	inputs  string // digest of the root module and of the variable files
	state   string // serial and lineage of a local state; empty for others
	file    string // digest of the plan file that the guard has judged
}

// PlanAhead plans an order that hasn't been placed yet, and has the plan judged for
// it. The state isn't locked: nobody has to wait for a plan that may never be
// applied, and one that is made while somebody changes the state is refused by
// Terraform when it is to be applied. There is no second plan with -target here: a
// plan that would need one is refused, and one that leaves anything to be told of
// (drift, lost cells) is ErrNotPlain.
//
// Whoever wants to use the plan asks Outdated first. It must be applied or discarded
// like any other.
func (r *Root) PlanAhead(ctx context.Context, d Desired, o guard.Order, s guard.Shape) (*Plan, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("plan ahead %s: %w", r.cfg.Dir, err)
	}
	b, err := r.basis(d)
	if err != nil {
		return nil, fmt.Errorf("plan ahead %s: %w", r.cfg.Dir, err)
	}
	dir, err := r.scratch()
	if err != nil {
		return nil, err
	}
	p := &Plan{root: r, order: o, shape: s, dir: dir, parallelism: r.parallelism(o, s), basis: &b}
	if err := p.makeAhead(ctx, d); err != nil {
		return nil, errors.Join(err, p.Discard())
	}
	return p, nil
}

// aheadPatience is how long a plan ahead that was interrupted may take to end before
// it is killed: it holds no lock and changes nothing, and an order may wait for it.
// usualPatience is terraform-exec's own.
const (
	aheadPatience = 5 * time.Second
	usualPatience = 60 * time.Second
)

// hurried has a run of Terraform be killed sooner than others when it doesn't heed an
// interrupt. The function returned takes that back.
func hurried(tf *tfexec.Terraform) (usual func()) {
	_ = tf.SetWaitDelay(aheadPatience) // it fails on Windows alone
	return func() { _ = tf.SetWaitDelay(usualPatience) }
}

func (p *Plan) makeAhead(ctx context.Context, d Desired) (err error) {
	req := request{desired: d, dir: p.dir, parallelism: p.parallelism, unlocked: true}
	if err := p.judge(ctx, req); err != nil {
		return err
	}
	if !p.Verdict.OK {
		return &RefusedError{Verdict: p.Verdict}
	}
	if p.Empty() || len(p.Verdict.Gone)+len(p.Verdict.Broken) > 0 {
		return ErrNotPlain
	}
	// A plan may lie for minutes, and what must not be kept is not in it.
	if err := os.Remove(req.ephemeralFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take the ephemeral variables back: %w", err)
	}
	p.basis.file, err = fileDigest(req.planFile())
	return err
}

// Outdated says by what a plan made ahead is outdated for an order, as one of the
// Moved constants, or "" where nothing is known against it. It reads the root
// module, the variable files, the plan file and a local state.
func (p *Plan) Outdated(d Desired, o guard.Order, s guard.Shape) string {
	switch {
	case p.basis == nil || !sameOrder(p.order, o) || !d.same(p.basis.desired):
		return MovedOrder
	case !reflect.DeepEqual(p.shape, s):
		return MovedShape
	}
	now, err := p.root.basis(d)
	switch {
	case err != nil || now.inputs != p.basis.inputs:
		return MovedModule
	case now.state != p.basis.state:
		return MovedState
	}
	if file, err := fileDigest(request{dir: p.dir}.planFile()); err != nil || file != p.basis.file {
		return MovedPlan
	}
	return ""
}

func sameOrder(a, b guard.Order) bool {
	return slices.Equal(a.Keep, b.Keep) && slices.Equal(a.Add, b.Add) && slices.Equal(a.Remove, b.Remove) &&
		slices.Equal(a.Replace, b.Replace) && slices.Equal(a.Lost, b.Lost)
}

// same compares what two desired variables say.
func (d Desired) same(other Desired) bool {
	return d.Count == other.Count && slices.Equal(d.Names, other.Names)
}

func (r *Root) basis(d Desired) (b basis, err error) {
	module, diags := Inspect(r.cfg.Dir)
	if diags.HasErrors() {
		return basis{}, fmt.Errorf("%w: %w", ErrModule, diags)
	}
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%s\n", module.Digest) // a hash takes everything
	for _, f := range r.cfg.VarFiles {
		if !filepath.IsAbs(f) {
			f = filepath.Join(r.cfg.Dir, f)
		}
		digest, err := fileDigest(f)
		if err != nil {
			return basis{}, err
		}
		_, _ = fmt.Fprintf(sum, "%q %s\n", f, digest)
	}
	b.desired, b.inputs = d, hex.EncodeToString(sum.Sum(nil))
	b.state, err = r.stateStamp()
	return b, err
}

// stateStamp is the version of a local state. Of any other it is empty: asking for
// it would take a run of Terraform.
func (r *Root) stateStamp() (string, error) {
	path := r.LocalState()
	if path == "" {
		return "", nil
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(content) == 0 {
		return "none", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the state's serial: %w", err)
	}
	var head struct {
		Serial  uint64 `json:"serial"`
		Lineage string `json:"lineage"`
	}
	if err := json.Unmarshal(content, &head); err != nil {
		return "", fmt.Errorf("read the state's serial in %s: %w", path, err)
	}
	return fmt.Sprintf("%s %d", head.Lineage, head.Serial), nil
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("digest %s: %w", path, err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("digest %s: %w", path, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
