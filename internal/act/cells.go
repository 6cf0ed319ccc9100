package act

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/hashicorp/terraform-exec/tfexec"
	tfjson "github.com/hashicorp/terraform-json"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// Cell is what the state holds of one cell.
type Cell struct {
	Key     guard.Key
	Tainted bool     // its making failed or was cut short: Terraform will replace it
	Missing []string // parts of it that the state doesn't hold
}

// Whole tells whether nothing is missing or half made.
func (c Cell) Whole() bool { return !c.Tainted && len(c.Missing) == 0 }

// Cells lists what the state holds, ordered by key. It reads the state as it
// is; whether the machines are still there only a plan's refresh finds out.
func (r *Root) Cells(ctx context.Context, s guard.Shape) ([]Cell, error) {
	cells, _, err := r.Holds(ctx, s)
	return cells, err
}

// Holds is Cells, with the addresses of what the state holds besides.
func (r *Root) Holds(ctx context.Context, s guard.Shape) (cells []Cell, others []string, err error) {
	resources, err := r.resources(ctx)
	if err != nil {
		return nil, nil, err
	}
	held := make(map[guard.Key][]string)
	tainted := make(map[guard.Key]bool)
	for _, res := range resources {
		k, part := s.CellKey(res.Address)
		if !part {
			others = append(others, res.Address)
			continue
		}
		held[k] = append(held[k], res.Address)
		tainted[k] = tainted[k] || res.Tainted
	}
	for k, addresses := range held {
		c := Cell{Key: k, Tainted: tainted[k]}
		for _, a := range s.Addresses(k) {
			if !slices.ContainsFunc(addresses, func(b string) bool { return guard.SameAddress(a, b) }) {
				c.Missing = append(c.Missing, a)
			}
		}
		if len(c.Missing) < len(s.Patterns) {
			cells = append(cells, c)
		}
	}
	slices.SortFunc(cells, func(a, b Cell) int { return guard.CompareKeys(a.Key, b.Key) })
	return cells, others, nil
}

// resources lists the state's managed objects, those left over from
// replacements not among them.
func (r *Root) resources(ctx context.Context) ([]*tfjson.StateResource, error) {
	var state *tfjson.State
	err := r.run(ctx, "show", func(ctx context.Context, tf *tfexec.Terraform) (err error) {
		state, err = tf.Show(ctx)
		return err
	})
	if err != nil || state.Values == nil || state.Values.RootModule == nil {
		return nil, err
	}
	var list []*tfjson.StateResource
	modules := []*tfjson.StateModule{state.Values.RootModule}
	for len(modules) > 0 {
		m := modules[0]
		modules = append(modules[1:], m.ChildModules...)
		for _, res := range m.Resources {
			if res.Mode == tfjson.ManagedResourceMode && res.DeposedKey == "" {
				list = append(list, res)
			}
		}
	}
	return list, nil
}

// StateCells finds out what the state holds before a shape is known, for a
// service without a record: it guesses by the keys in the state, learns how one
// cell more would look, and reads the cells by that. It returns what the
// variables should say so that nothing changes, and the shape.
func (r *Root) StateCells(ctx context.Context) (Desired, guard.Shape, error) {
	resources, err := r.resources(ctx)
	if err != nil {
		return Desired{}, guard.Shape{}, fmt.Errorf("find the cells in the state: %w", err)
	}
	var errs []error
	for _, guess := range r.guesses(resources) {
		rough, err := r.learn(ctx, guess, false)
		var unshaped *guard.ShapeError
		if errors.As(err, &unshaped) || errors.Is(err, ErrModule) {
			errs = append(errs, err)
			continue
		}
		if err != nil {
			return Desired{}, guard.Shape{}, fmt.Errorf("find the cells in the state: %w", err)
		}
		// The plan has waited for whoever held the state's lock, and may have made
		// the cells meanwhile.
		if resources, err = r.resources(ctx); err != nil {
			return Desired{}, guard.Shape{}, fmt.Errorf("find the cells in the state: %w", err)
		}
		d := r.desired(rough, resources)
		shape, err := r.Learn(ctx, d)
		return d, shape, err
	}
	return Desired{}, guard.Shape{}, fmt.Errorf("find the cells in the state: %w", errors.Join(errs...))
}

// guesses are the desired variables by which the state may have come to be,
// the likeliest first: the key sets that most addresses share.
func (r *Root) guesses(resources []*tfjson.StateResource) []Desired {
	var addresses []string
	for _, res := range resources {
		addresses = append(addresses, res.Address)
	}
	var list []Desired
	for _, keys := range guard.KeySets(addresses) {
		if d, ok := r.desiredOf(keys); ok && !slices.ContainsFunc(list, func(e Desired) bool {
			return e.Count == d.Count && slices.Equal(e.Names, d.Names)
		}) {
			list = append(list, d)
		}
	}
	return append(list, r.none())
}

func (r *Root) none() Desired {
	if r.module.Named {
		return Desired{Names: []string{}}
	}
	return Desired{}
}

// desired reads the cells that the shape finds in the state.
func (r *Root) desired(s guard.Shape, resources []*tfjson.StateResource) Desired {
	var keys []guard.Key
	for _, res := range resources {
		if k, ok := s.CellKey(res.Address); ok && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, guard.CompareKeys)
	if d, ok := r.desiredOf(keys); ok {
		return d
	}
	return r.none()
}

// desiredOf puts keys into variables: names as they are, indices as the count
// that reaches the highest.
func (r *Root) desiredOf(keys []guard.Key) (Desired, bool) {
	if len(keys) == 0 {
		return Desired{}, false
	}
	if r.module.Named {
		d := Desired{Count: len(keys)}
		for _, k := range keys {
			d.Names = append(d.Names, string(k))
		}
		return d, true
	}
	highest := -1
	for _, k := range keys {
		n, err := strconv.Atoi(string(k))
		if err != nil {
			return Desired{}, false
		}
		highest = max(highest, n)
	}
	return Desired{Count: highest + 1}, true
}
