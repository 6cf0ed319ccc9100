package guard

import (
	"fmt"
	"slices"
	"strings"
)

// Shape is what an order looks like in a plan, learned by Learn. It is
// serialised into the service's record.
type Shape struct {
	// Digest names the root module that the shape was learned from; the guard
	// carries it and does not read it.
	Digest string `json:"digest,omitempty"`
	// Named says that cells are keyed by name rather than by index.
	Named bool `json:"named,omitempty"`
	// Patterns are the addresses of one cell, [*] or ["*"] in the place of its
	// index or name.
	Patterns []string `json:"patterns"`
	// Dependents are what else changes when cells come and go.
	Dependents []Dependent `json:"dependents,omitempty"`
	// Count is how many cells there were when it was learned. What depends on the
	// cells may change otherwise at other numbers.
	Count int `json:"count,omitempty"`
	// Removals says that a removal was planned too. It can't be while there are
	// no cells; then learn again once there are.
	Removals bool `json:"removals"`
}

// Dependent is a resource outside the cells that changes with them.
type Dependent struct {
	Address string `json:"address"`
	// Kinds are the changes it may undergo: update, replace.
	Kinds []string `json:"kinds,omitempty"`
	// Attributes are the top-level attributes that changed. An update of others
	// is not the order's. Nil if it was learned without the whole plan.
	Attributes []string `json:"attributes,omitempty"`
	// Edge is set for what exists only above a number of cells, such as a load
	// balancer that comes with the first: it is there while they are more than
	// Edge.
	Edge *int `json:"edge,omitempty"`
}

// With adds what was learned before of the same root module, at another number of
// cells.
func (s Shape) With(earlier Shape) Shape {
	if s.Digest != earlier.Digest || !slices.Equal(s.Patterns, earlier.Patterns) {
		return s
	}
	s.Removals = s.Removals || earlier.Removals
	s.Dependents = slices.Clone(s.Dependents)
	for _, d := range earlier.Dependents {
		i := slices.IndexFunc(s.Dependents, func(known Dependent) bool { return known.Address == d.Address })
		if i < 0 {
			s.Dependents = append(s.Dependents, d)
			continue
		}
		s.Dependents[i] = s.Dependents[i].with(d)
	}
	slices.SortFunc(s.Dependents, func(a, b Dependent) int { return strings.Compare(a.Address, b.Address) })
	return s
}

func (d Dependent) with(earlier Dependent) Dependent {
	d.Kinds = union(d.Kinds, earlier.Kinds)
	d.Attributes = union(d.Attributes, earlier.Attributes)
	if d.Edge == nil {
		d.Edge = earlier.Edge
	}
	return d
}

// union is both lists without doubles, sorted; nil if both are.
func union(a, b []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
}

// CellKey tells whether an address is part of a cell, and of which.
func (s Shape) CellKey(addr string) (Key, bool) {
	m, err := s.compile()
	if err != nil {
		return "", false
	}
	a, err := parseAddress(addr)
	if err != nil {
		return "", false
	}
	key, part := m.cell(a)
	return key, part != outside
}

// Addresses lists the addresses of one cell.
func (s Shape) Addresses(k Key) []string {
	m, err := s.compile()
	if err != nil {
		return nil
	}
	return m.addresses(k)
}

// matcher is a shape ready for use.
type matcher struct {
	patterns   []address
	dependents map[string]Dependent
}

func (s Shape) compile() (*matcher, error) {
	m := &matcher{dependents: make(map[string]Dependent, len(s.Dependents))}
	for _, text := range s.Patterns {
		p, err := parsePattern(text)
		if err != nil {
			return nil, err
		}
		if p.kind == "" {
			return nil, fmt.Errorf("read address pattern %q: it names no resource", text)
		}
		m.patterns = append(m.patterns, p)
	}
	for _, d := range s.Dependents {
		a, err := parseAddress(d.Address)
		if err != nil {
			return nil, err
		}
		m.dependents[a.String()] = d
	}
	return m, nil
}

// part tells how an address belongs to a cell.
type part int

const (
	outside part = iota
	learned      // it matches a pattern
	inside       // it lies in a cell's module but was not seen to come and go with it
)

func (m *matcher) cell(a address) (Key, part) {
	for _, p := range m.patterns {
		if key, ok := p.match(a); ok {
			return key, learned
		}
	}
	for _, p := range m.patterns {
		home, ok := p.home()
		if !ok || len(home) > len(a.modules) {
			continue
		}
		if key, ok := matchSteps(home, a.modules[:len(home)]); ok {
			return key, inside
		}
	}
	return "", outside
}

func (m *matcher) addresses(k Key) []string {
	list := make([]string, 0, len(m.patterns))
	for _, p := range m.patterns {
		list = append(list, p.at(k).String())
	}
	return list
}
