package guard

import (
	"maps"
	"slices"
)

// part judges a change to a learned part of a cell.
func (j *judgement) part(c parsed) {
	text := c.at.String()
	if j.done[c.cell] == nil {
		j.done[c.cell] = make(map[string]string)
	}
	j.done[c.cell][text] = c.kind
	if j.unexplained(c) {
		return
	}
	if c.kind == kindNoOp || c.kind == kindUpdate && j.mayUpdate(c.at) {
		return
	}
	if why := j.partRefused(c, j.drifted[text] == kindDelete); why != "" {
		j.v.refuse(c.Address, c.kind, c.cell, "%s", why)
		j.v.Refused[len(j.v.Refused)-1].Lost = j.lost[c.cell]
		return
	}
	if c.kind == kindDelete || c.kind == kindReplace {
		j.destroyed[c.cell] = true
	}
}

// findLost tells which kept cells are lost: the order says so, the refresh found
// a part gone, or a part was only half made. What a plan does to all of such a
// cell is to mend it; a change that would touch a living one is none.
func (j *judgement) findLost() {
	for _, k := range j.order.Lost {
		j.lost[k] = j.roles[k] == keep
	}
	for _, c := range j.planned {
		gone := j.drifted[c.at.String()] == kindDelete
		if c.part == learned && j.roles[c.cell] == keep && (gone || c.tainted()) {
			j.lost[c.cell] = true
		}
	}
}

// partRefused says why this may not happen to a cell with this role, or "".
func (j *judgement) partRefused(c parsed, gone bool) string {
	role, ordered := j.roles[c.cell]
	switch {
	case !ordered:
		return "the order doesn't name cell " + quote(string(c.cell))
	case role == add && (c.kind == kindCreate || c.kind == kindReplace && c.tainted()):
		return ""
	case role == remove && c.kind == kindDelete:
		return ""
	case role == replace && (c.kind == kindCreate || c.kind == kindReplace):
		return ""
	case role == keep && c.kind == kindCreate && gone:
		return "the refresh found it gone and the plan would make it again, which isn't ordered"
	case role == keep && c.kind == kindCreate:
		return "the state doesn't hold it and the plan would make it, which isn't ordered"
	case role == keep && c.kind == kindReplace && c.tainted():
		return "its making was cut short and the plan would replace it, which isn't ordered"
	case role == keep:
		return "the order keeps cell " + quote(string(c.cell)) + " as it is"
	}
	return "the order for cell " + quote(string(c.cell)) + " is to " + string(role) + " it"
}

// cells judges what is missing: each ordered cell must be done entirely. It
// also tells which cells the refresh found gone.
func (j *judgement) cells() {
	known := maps.Clone(j.roles)
	for addr := range j.drifted {
		if a, err := parseAddress(addr); err == nil {
			if k, part := j.m.cell(a); part == learned {
				known[k] = j.roles[k]
			}
		}
	}
	for _, k := range sortKeys(slices.Collect(maps.Keys(known))) {
		gone := 0
		for _, addr := range j.m.addresses(k) {
			isGone := j.drifted[addr] == kindDelete
			if isGone {
				gone++
			}
			j.missing(k, addr, isGone)
		}
		switch {
		case gone == len(j.m.patterns):
			j.v.Gone = append(j.v.Gone, k)
		case gone > 0:
			j.v.Broken = append(j.v.Broken, k)
		}
	}
	j.v.Destroys += len(j.destroyed)
}

// missing judges a part of an ordered cell that the plan leaves as it is.
func (j *judgement) missing(k Key, addr string, gone bool) {
	kind, planned := j.done[k][addr]
	if planned && kind != kindNoOp {
		return
	}
	switch j.roles[k] {
	case add:
		if !planned && j.full {
			j.v.refuse("", kindCreate, k, "the order makes cell %q, but the plan doesn't make %s", k, addr)
		} else if !planned {
			j.v.doubt("the stream doesn't say whether %s is already there", addr)
		}
	case remove:
		if planned {
			j.v.refuse("", kindDelete, k, "the order removes cell %q, but the plan keeps %s", k, addr)
		} else if !gone && !j.full {
			j.v.doubt("the stream doesn't say whether %s is still there", addr)
		}
	case replace:
		j.v.refuse("", kindReplace, k, "the order replaces cell %q, but the plan leaves %s as it is", k, addr)
	}
}

// targets lists the order's cells, and those dependents that aren't refused; none
// where a cell is lost, since a dependent is planned with all that it depends on.
func (j *judgement) targets(s Shape) []string {
	var list []string
	for k, role := range j.roles {
		if role != keep {
			list = append(list, j.m.addresses(k)...)
		}
	}
	if slices.ContainsFunc(j.v.Refused, func(r Refusal) bool { return r.Lost }) {
		slices.Sort(list)
		return list
	}
	for _, d := range s.Dependents {
		if !slices.ContainsFunc(j.v.Refused, func(r Refusal) bool { return SameAddress(r.Address, d.Address) }) {
			list = append(list, d.Address)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func sortedKeys(m map[string]string) []string {
	return slices.Sorted(maps.Keys(m))
}
