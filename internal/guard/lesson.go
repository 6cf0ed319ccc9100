package guard

import (
	"fmt"
	"slices"
	"strings"
)

// lesson is the work of learning.
type lesson struct {
	base       []Key
	m          matcher
	dependents map[string]*Dependent
	refused    []Refusal
}

func (l *lesson) refuse(c parsed, why string) {
	l.refused = append(l.refused, Refusal{Address: c.Address, Action: c.label(), Why: why, Cell: c.cell})
}

// parse drops what says nothing about an order: drift, reads, what stays, and
// renames. Kinds of change that no order may hold are refused here.
func (l *lesson) parse(changes []Change) []parsed {
	var list []parsed
	for _, c := range inOrder(changes) {
		if c.Drift || c.kind() == kindNoOp && !c.Importing {
			continue
		}
		a, err := parseAddress(c.Address)
		p := parsed{Change: c, at: a, kind: c.kind()}
		switch {
		case err != nil:
			l.refuse(p, err.Error())
		case c.Mode == modeData && (p.kind == kindRead || p.kind == kindDelete):
		case c.Mode != modeManaged || p.kind == kindUnknown || p.kind == kindForget || p.kind == kindRead || c.Importing:
			l.refuse(p, "this would come with each order, and is refused")
		default:
			list = append(list, p)
		}
	}
	return list
}

// patterns finds the addresses of one cell in what the new cell brings.
func (l *lesson) patterns(up Key, ups []parsed, down Key, downs []parsed) {
	removed := make(map[string]bool)
	for _, c := range downs {
		if c.kind == kindDelete {
			removed[c.at.String()] = true
		}
	}
	images := 0
	for _, c := range ups {
		if c.kind != kindCreate || !c.at.holds(up) {
			continue
		}
		p, image := choose(c.at, up, down, removed)
		if image {
			images++
		}
		l.m.patterns = append(l.m.patterns, p)
	}
	switch {
	case len(l.m.patterns) == 0:
		l.refused = append(l.refused, Refusal{Action: kindCreate, Cell: up, Why: fmt.Sprintf(
			"one cell more makes nothing with the instance key %q: does the module use the variable as count or for_each?%s", up, sample(ups))})
	case down != "" && images == 0:
		l.refused = append(l.refused, Refusal{Action: kindDelete, Cell: down, Why: fmt.Sprintf(
			"one cell fewer removes nothing of cell %q, of which the state should hold %s%s", down, strings.Join(l.m.addresses(down), ", "), sample(downs))})
	}
}

// sample names a change the plan did hold, to help find the fault.
func sample(changes []parsed) string {
	if len(changes) == 0 {
		return " (the plan changes nothing)"
	}
	return fmt.Sprintf(" (the plan holds %s of %s)", changes[0].kind, changes[0].at)
}

// choose picks the pattern whose instance for the removed cell is removed too.
// Among several it takes the one with the fewest stars, as a second key that
// happens to be equal is likelier than a second use of the cell's key; without
// a removed cell to compare with, names are unlikely to be equal by accident
// and indices are not.
func choose(a address, up, down Key, removed map[string]bool) (address, bool) {
	all := a.candidates(up)
	slices.SortStableFunc(all, func(p, q address) int { return p.stars() - q.stars() })
	if down != "" {
		for _, p := range all {
			if removed[p.at(down).String()] {
				return p, true
			}
		}
	}
	if !up.index() {
		return all[len(all)-1], false
	}
	return all[0], false
}

func (a address) stars() int {
	n := 0
	for _, k := range a.keys() {
		if k.star() {
			n++
		}
	}
	return n
}

// look learns from one change of a plan; whole is the kind that makes or
// removes the cell k, edge the lower of the two counts.
func (l *lesson) look(c parsed, k Key, whole string, edge int) {
	c.cell, c.part = l.m.cell(c.at)
	switch {
	case c.part == outside && c.tainted():
		// Its making was cut short: every plan makes it anew. What differs with the
		// cells is what would be updated of it otherwise.
		c.kind = kindUpdate
		l.dependent(c)
	case c.part == learned && c.cell == k && c.kind == whole:
	case c.part != outside && slices.Contains(l.base, c.cell) && c.cell != k:
		l.refuse(c, "living cells would change whenever one comes or goes")
	case c.part != outside:
		l.refuse(c, "it lies in a cell but doesn't come and go with it")
	case c.kind == kindUpdate || c.kind == kindReplace:
		l.dependent(c)
	case c.kind == whole:
		l.dependent(c).Edge = &edge
	default:
		l.refuse(c, "this would come with each order, and is refused")
	}
}

func (l *lesson) dependent(c parsed) *Dependent {
	text := c.at.String()
	d := l.dependents[text]
	if d == nil {
		d = &Dependent{Address: text}
		l.dependents[text] = d
	}
	if c.kind == kindUpdate || c.kind == kindReplace {
		if !slices.Contains(d.Kinds, c.kind) {
			d.Kinds = append(d.Kinds, c.kind)
		}
		for _, name := range sortedKeys(c.Attributes) {
			if !slices.Contains(d.Attributes, name) {
				d.Attributes = append(d.Attributes, name)
			}
		}
	}
	return d
}
