package guard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ShapeError says why no shape could be learned from the plans for one cell
// more and one cell fewer. With such a root module every order would be
// refused, so it is told when the module is installed.
type ShapeError struct {
	Refused []Refusal
}

func (e *ShapeError) Error() string {
	parts := make([]string, len(e.Refused))
	for i, r := range e.Refused {
		parts[i] = r.String()
	}
	return "learn the shape of an order: " + strings.Join(parts, "; ")
}

// Without leaves out of a plan's changes those that the base plan, for the
// count as it is, holds too: they are someone else's drift. An update or replacement
// of both plans that comes out differently is kept with the attributes that
// differ, if both were read from whole plans.
func Without(changes, base []Change) []Change {
	drift := make(map[string]Change, len(base))
	for _, c := range base {
		if !c.Drift {
			drift[c.Address+"\x00"+c.Deposed] = c
		}
	}
	var rest []Change
	for _, c := range changes {
		b, both := drift[c.Address+"\x00"+c.Deposed]
		if !both || c.kind() != b.kind() {
			rest = append(rest, c)
			continue
		}
		if c.kind() != kindUpdate && c.kind() != kindReplace {
			continue
		}
		differ := make(map[string]string)
		for name, is := range c.Attributes {
			if b.Attributes[name] != is {
				differ[name] = is
			}
		}
		if len(differ) > 0 {
			c.Attributes = differ
			rest = append(rest, c)
		}
	}
	return rest
}

// Learn makes a shape of the plan for one cell more (up) and the plan for one
// fewer (down); base are the cells there are. What the plan for the count as
// it is holds must have been taken out of both with Without. Where there is no
// cell to remove, down is empty. A plan that would do to living cells what no
// order may is a *ShapeError.
func Learn(base []Key, up Key, upChanges []Change, down Key, downChanges []Change) (Shape, error) {
	if up == "" || slices.Contains(base, up) {
		return Shape{}, fmt.Errorf("learn the shape of an order: %q is no new cell", up)
	}
	l := &lesson{base: base, dependents: make(map[string]*Dependent)}
	ups, downs := l.parse(upChanges), l.parse(downChanges)
	l.patterns(up, ups, down, downs)
	if len(l.refused) > 0 {
		return Shape{}, &ShapeError{l.refused}
	}
	for _, c := range ups {
		l.look(c, up, kindCreate, len(base))
	}
	for _, c := range downs {
		l.look(c, down, kindDelete, len(base)-1)
	}
	if len(l.refused) > 0 {
		return Shape{}, &ShapeError{l.refused}
	}
	s := Shape{Removals: down != "", Named: !up.index(), Count: len(base)}
	for _, p := range l.m.patterns {
		s.Patterns = append(s.Patterns, p.String())
	}
	slices.Sort(s.Patterns)
	for _, text := range slices.Sorted(maps.Keys(l.dependents)) {
		s.Dependents = append(s.Dependents, *l.dependents[text])
	}
	return s, nil
}
