package guard

import (
	"slices"
	"strings"
	"testing"
)

// zero is an edge below which there is nothing.
var zero = 0

// twoParts is a shape with two resources a cell, a target list that is updated,
// a digest that is replaced, and a balancer that comes with the first cell.
var twoParts = Shape{
	Removals: true,
	Patterns: []string{"module.cell[*].t.a", "module.cell[*].t.b"},
	Dependents: []Dependent{
		{Address: "t.balancer[0]", Edge: &zero},
		{Address: "t.digest", Kinds: []string{"replace"}},
		{Address: "t.targets", Kinds: []string{"update"}, Attributes: []string{"input"}},
	},
}

// ch makes a change as the stream tells it.
func ch(action, addr string) Change {
	c := Change{Address: addr, Mode: modeOf(addr), Actions: []string{action}, Type: "t"}
	switch action {
	case "replace":
		c.Actions = []string{kindDelete, kindCreate}
	case "delete":
		c.Reason = "delete_because_count_index"
	}
	return c
}

func drift(action, addr string) Change {
	c := ch(action, addr)
	c.Drift, c.Reason = true, ""
	return c
}

func with(c Change, f func(*Change)) Change {
	f(&c)
	return c
}

// cell is the same action on both parts of a cell.
func cell(action, key string) []Change {
	return []Change{ch(action, "module.cell["+key+"].t.a"), ch(action, "module.cell["+key+"].t.b")}
}

func join(lists ...[]Change) []Change { return slices.Concat(lists...) }

func keysOf(list ...string) []Key {
	var keys []Key
	for _, k := range list {
		keys = append(keys, Key(k))
	}
	return keys
}

func TestJudge(t *testing.T) {
	up := Order{Keep: keysOf("0", "1"), Add: keysOf("2")}
	down := Order{Keep: keysOf("0"), Remove: keysOf("1")}
	again := Order{Keep: keysOf("0"), Replace: keysOf("1")}
	still := Order{Keep: keysOf("0", "1")}
	silent := up
	silent.Lost = keysOf("0")
	drift := func(kind string, parts int) []Change {
		list := cell(kind, "0")[:parts]
		for i := range list {
			list[i].Drift, list[i].Reason = true, ""
		}
		return list
	}
	destroyed := with(ch("delete", "t.balancer[0]"), func(c *Change) { c.Drift = true })
	drifted, onePartGone := drift("update", 2), drift("delete", 1)
	tainted := func(c Change) Change { return with(c, func(c *Change) { c.Reason = "tainted" }) }
	for _, c := range []struct {
		name      string
		order     Order
		changes   []Change
		limits    Limits
		full      bool
		want      string // "" passes; otherwise a part of the reason
		elsewhere bool
	}{
		{name: "adds", order: up, changes: cell("create", "2")},
		{name: "removes", order: down, changes: cell("delete", "1")},
		{name: "replaces", order: again, changes: cell("replace", "1")},
		{name: "nothing to do", order: still},
		{name: "dependents change", order: up, changes: join(cell("create", "2"), []Change{ch("update", "t.targets"), ch("replace", "t.digest")})},
		{name: "dependents left over from a cut apply", order: still, changes: []Change{ch("update", "t.targets"), ch("create", "t.digest")}},
		{name: "data sources", order: up, changes: join(cell("create", "2"), []Change{ch("read", "data.t.x"), ch("read", "module.cell[2].data.t.x"), ch("delete", "data.t.y")})},
		{name: "no-ops", order: up, changes: join(cell("create", "2"), cell("no-op", "0"), []Change{ch("no-op", "t.other")})},

		{name: "one part only is made", order: up, changes: cell("create", "2")[:1], full: true, want: `doesn't make module.cell[2].t.b`},
		{name: "one part is already made", order: up, changes: join(cell("create", "2")[:1], cell("no-op", "2")[1:]), full: true},
		{name: "a half-made part is made again", order: up, changes: join(cell("create", "2")[:1], []Change{tainted(ch("replace", "module.cell[2].t.b"))})},
		{name: "the added cell would be replaced", order: up, changes: cell("replace", "2"), want: `the order for cell "2" is to add it`},
		{name: "one more is made", order: up, changes: join(cell("create", "2"), cell("create", "3")), want: `doesn't name cell "3"`},
		{name: "nothing is made", order: up, full: true, want: `the order makes cell "2"`},
		{name: "another is made", order: up, changes: cell("create", "3"), full: true, want: `doesn't name cell "3"`},

		{name: "one part only is removed", order: down, changes: join(cell("delete", "1")[:1], cell("no-op", "1")[1:]), full: true, want: "the plan keeps module.cell[1].t.b"},
		{name: "the cell isn't in the state", order: down, full: true},
		{name: "a living cell is removed", order: down, changes: join(cell("delete", "1"), cell("delete", "0")), want: `the order keeps cell "0"`},
		{name: "the wrong cell is removed", order: down, changes: join(cell("delete", "0"), cell("no-op", "1")), full: true, want: `the order keeps cell "0"`},

		{name: "one part only is replaced", order: again, changes: cell("replace", "1")[1:], want: "leaves module.cell[1].t.a as it is"},
		{name: "removed instead of replaced", order: again, changes: cell("delete", "1"), want: `is to replace it`},
		{name: "a missing part is made in a replacement", order: again, changes: join(cell("create", "1")[:1], cell("replace", "1")[1:])},

		{name: "a living cell is updated", order: up, changes: join(cell("create", "2"), cell("update", "0")), want: "module.cell[0].t.a: update: the order keeps"},
		{name: "a living cell is replaced", order: up, changes: join(cell("create", "2"), cell("replace", "0")), want: "module.cell[0].t.a: replace: the order keeps"},
		{name: "a kept cell is tainted", order: still, changes: []Change{tainted(ch("replace", "module.cell[0].t.a"))}, want: "cut short", elsewhere: true},
		{name: "a kept cell isn't in the state", order: still, changes: cell("create", "1"), want: "the state doesn't hold it"},
		{name: "unlearned things in a cell", order: down, changes: join(cell("delete", "1"), []Change{ch("delete", "module.cell[1].t.extra")}), want: "doesn't come and go with a cell"},

		{name: "a kept cell is silent and drifted", order: silent, changes: join(cell("create", "2"), drifted, cell("replace", "0")), want: "keeps cell", elsewhere: true},
		{name: "a kept cell is heard and drifted", order: up, changes: join(cell("create", "2"), drifted, cell("replace", "0")), want: "keeps cell"},
		{name: "one part is gone, the other changes with it", order: up, changes: join(cell("create", "2"), onePartGone, cell("create", "0")[:1], cell("update", "0")[1:]), want: "found it gone", elsewhere: true},
		{name: "the balancer comes in a plan of its own, after an apply that failed", order: still, changes: []Change{ch("create", "t.balancer[0]")}},
		{name: "the balancer goes though there are cells", order: still, changes: []Change{ch("delete", "t.balancer[0]")}, want: "t.balancer[0]: delete", elsewhere: true},
		{name: "the balancer goes in a plan of its own", changes: []Change{ch("delete", "t.balancer[0]")}},
		{name: "something else is created", order: up, changes: join(cell("create", "2"), []Change{ch("create", "t.other")}), want: "t.other: create: it is outside", elsewhere: true},
		{name: "something else is destroyed", order: up, changes: join(cell("create", "2"), []Change{ch("delete", "t.other")}), want: "t.other: delete", elsewhere: true},
		{name: "something else is replaced", order: up, changes: join(cell("create", "2"), []Change{ch("replace", "t.other")}), want: "t.other: replace", elsewhere: true},
		{name: "a dependent is destroyed", order: up, changes: join(cell("create", "2"), []Change{ch("delete", "t.targets")}), want: "no delete goes with this order", elsewhere: true},
		{name: "a dependent is replaced", order: up, changes: join(cell("create", "2"), []Change{ch("replace", "t.targets")}), want: "not by replace", elsewhere: true},
		{name: "another attribute of a dependent", order: up, full: true, changes: join(cell("create", "2"), []Change{with(ch("update", "t.targets"), func(c *Change) { c.Attributes = map[string]string{"port": "1"} })}), want: `attribute "port"`, elsewhere: true},
		{name: "the learned attribute of a dependent", order: up, full: true, changes: join(cell("create", "2"), []Change{with(ch("update", "t.targets"), func(c *Change) { c.Attributes = map[string]string{"input": "1"} })})},

		{name: "the balancer comes with the first", order: Order{Add: keysOf("0")}, changes: join(cell("create", "0"), []Change{ch("create", "t.balancer[0]")})},
		{name: "the balancer goes with the last", order: Order{Remove: keysOf("0")}, changes: join(cell("delete", "0"), []Change{ch("delete", "t.balancer[0]")})},
		{name: "the balancer goes too early", order: down, changes: join(cell("delete", "1"), []Change{ch("delete", "t.balancer[0]")}), want: "t.balancer[0]: delete", elsewhere: true},

		{name: "the balancer comes late", order: up, changes: join(cell("create", "2"), []Change{ch("create", "t.balancer[0]")})},
		{name: "somebody destroyed the balancer", order: up, changes: join(cell("create", "2"), []Change{destroyed, ch("create", "t.balancer[0]")}), want: "t.balancer[0]: create", elsewhere: true},
		{name: "somebody destroyed the balancer before the first cell", order: Order{Add: keysOf("0")}, changes: join(cell("create", "0"), []Change{destroyed, ch("create", "t.balancer[0]")})},

		{name: "the balancer was half made", order: up, changes: join(cell("create", "2"), []Change{tainted(ch("replace", "t.balancer[0]"))})},
		{name: "the balancer would be replaced", order: up, changes: join(cell("create", "2"), []Change{ch("replace", "t.balancer[0]")}), want: "not by replace", elsewhere: true},
		{name: "the targets were half made", order: up, changes: join(cell("create", "2"), []Change{tainted(ch("replace", "t.targets"))})},
		{name: "the balancer was half made and shouldn't be", order: Order{Remove: keysOf("0")}, changes: join(cell("delete", "0"), []Change{tainted(ch("replace", "t.balancer[0]"))}), want: "not by replace", elsewhere: true},

		{name: "may change", order: up, changes: join(cell("create", "2"), []Change{ch("update", "t.other"), ch("update", "module.m[3].t.x")}), limits: Limits{MayChange: []string{"t.other", "module.m"}}},
		{name: "may change a living cell's tags", order: up, changes: join(cell("create", "2"), cell("update", "0")[:1]), limits: Limits{MayChange: []string{"module.cell[*].t.a"}}},
		{name: "may change doesn't mean destroy", order: up, changes: join(cell("create", "2"), []Change{ch("replace", "t.other")}), limits: Limits{MayChange: []string{"t.other"}}, want: "t.other: replace", elsewhere: true},

		{name: "import", order: up, changes: join(cell("create", "2"), []Change{with(ch("no-op", "t.other"), func(c *Change) { c.Importing = true })}), want: "t.other: import", elsewhere: true},
		{name: "import into an added cell", order: up, changes: join(cell("create", "2"), []Change{with(ch("create", "module.cell[2].t.a"), func(c *Change) { c.Importing = true })}), want: "import"},
		{name: "forget", order: down, changes: cell("forget", "1"), want: "leave it running"},
		{name: "deferred", order: up, changes: cell("deferred", "2"), want: "puts it off"},
		{name: "unknown action", order: up, changes: cell("transmogrify", "2"), want: "are unknown here"},
		{name: "no action", order: up, changes: []Change{{Address: "t.other", Mode: modeManaged}}, want: "are unknown here", elsewhere: true},
		{name: "unknown mode", order: still, changes: []Change{{Address: "t.other", Mode: "list", Actions: []string{"no-op"}}}, want: `mode "list"`, elsewhere: true},
		{name: "ephemeral resources don't change", order: still, changes: []Change{{Address: "ephemeral.t.x", Mode: modeEphemeral, Actions: []string{"create"}}}, want: "mode", elsewhere: true},
		{name: "a data source is updated", order: still, changes: []Change{ch("update", "data.t.x")}, want: "can only be read", elsewhere: true},
		{name: "a resource is read", order: still, changes: []Change{ch("read", "t.other")}, want: "can't only be read", elsewhere: true},
		{name: "no address", order: still, changes: []Change{{Mode: modeManaged, Actions: []string{"no-op"}}}, want: "address can't be read"},

		{name: "renamed outside the cells", order: up, changes: join(cell("create", "2"), []Change{with(ch("no-op", "t.new"), func(c *Change) { c.PreviousAddress = "t.old" })})},
		{name: "renamed within a cell", order: up, changes: join(cell("create", "2"), []Change{with(ch("no-op", "module.cell[0].t.a"), func(c *Change) { c.PreviousAddress = "t.old[0]" })})},
		{name: "moved across cells", order: up, changes: join(cell("create", "2"), []Change{with(ch("no-op", "module.cell[1].t.a"), func(c *Change) { c.PreviousAddress = "module.cell[0].t.a" })}), want: `from cell "0" to cell "1"`},
		{name: "moved into a cell", order: up, changes: join(cell("create", "2"), []Change{with(ch("no-op", "module.cell[1].t.a"), func(c *Change) { c.PreviousAddress = "t.old" })}), want: `into cell "1"`},
		{name: "moved out of a cell", order: up, changes: join(cell("create", "2"), []Change{with(ch("no-op", "t.new"), func(c *Change) { c.PreviousAddress = "module.cell[1].t.a" })}), want: `out of cell "1"`, elsewhere: true},

		{name: "an old object of a kept cell", order: still, full: true, changes: join(cell("no-op", "0"), []Change{with(ch("delete", "module.cell[0].t.a"), func(c *Change) { c.Deposed = "12ab"; c.Reason = "" })})},
		{name: "an old object elsewhere", order: still, full: true, changes: []Change{with(ch("delete", "t.other"), func(c *Change) { c.Deposed = "12ab"; c.Reason = "" })}, want: "left over", elsewhere: true},
		{name: "twice at one address", order: still, full: true, changes: []Change{ch("no-op", "t.other"), ch("no-op", "t.other")}, want: "twice", elsewhere: true},

		{name: "within the limit", order: Order{Remove: keysOf("0", "1")}, changes: join(cell("delete", "0"), cell("delete", "1")), limits: Limits{Destroys: 2}},
		{name: "over the limit", order: Order{Remove: keysOf("0", "1")}, changes: join(cell("delete", "0"), cell("delete", "1")), limits: Limits{Destroys: 1}, want: "would destroy 2"},
		{name: "an order that names a cell twice", order: Order{Keep: keysOf("1"), Remove: keysOf("1")}, want: "twice"},
		{name: "an order with an empty key", order: Order{Add: keysOf("")}, want: "empty key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			judge := Judge
			if c.full {
				judge = JudgeFull
			}
			v := judge(twoParts, c.order, c.changes, c.limits)
			if v.OK != (c.want == "") || !strings.Contains(v.Reason(), c.want) || v.Elsewhere != c.elsewhere {
				t.Errorf("OK %v, elsewhere %v, doubts %v, reason %q; want %q, %v", v.OK, v.Elsewhere, v.Doubts, v.Reason(), c.want, c.elsewhere)
			}
		})
	}
}

func TestJudgeAsksForTheWholePlan(t *testing.T) {
	reasonless := func(addr string) Change { return with(ch("delete", addr), func(c *Change) { c.Reason = "" }) }
	for _, c := range []struct {
		name    string
		order   Order
		changes []Change
		want    string
	}{
		{"an added part may be there already", Order{Add: keysOf("2")}, cell("create", "2")[:1], "module.cell[2].t.b is already there"},
		{"a removed part may not be there", Order{Remove: keysOf("1")}, cell("delete", "1")[:1], "module.cell[1].t.b is still there"},
		{"a delete without a reason", Order{Keep: keysOf("0")}, []Change{reasonless("module.cell[0].t.a")}, "why module.cell[0].t.a is deleted"},
		{"an address twice", Order{Keep: keysOf("0")}, []Change{ch("update", "t.targets"), ch("update", "t.targets")}, "names t.targets twice"},
		{"a dependent that drifted", Order{Keep: keysOf("0")}, []Change{drift("update", "t.targets"), ch("update", "t.targets")}, "changed by someone else"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(twoParts, c.order, c.changes, Limits{})
			if v.OK || !v.NeedFullPlan || len(v.Refused) > 0 || !strings.Contains(strings.Join(v.Doubts, "; "), c.want) {
				t.Errorf("got %+v, want a doubt with %q", v, c.want)
			}
		})
	}
}

func TestGone(t *testing.T) {
	gone := join(cell("delete", "1"))
	for i := range gone {
		gone[i].Drift, gone[i].Reason = true, ""
	}
	for _, c := range []struct {
		name         string
		order        Order
		changes      []Change
		ok           bool
		gone, broken []Key
		destroys     int
	}{
		{"removed", Order{Keep: keysOf("0"), Remove: keysOf("1")}, gone, true, keysOf("1"), nil, 0},
		{"replaced", Order{Keep: keysOf("0"), Replace: keysOf("1")}, join(gone, cell("create", "1")), true, keysOf("1"), nil, 0},
		{"kept", Order{Keep: keysOf("0", "1")}, join(gone, cell("create", "1")), false, keysOf("1"), nil, 0},
		{"kept and not made again", Order{Keep: keysOf("0", "1")}, gone, true, keysOf("1"), nil, 0},
		{"a part gone, kept", Order{Keep: keysOf("0", "1")}, join(gone[:1], cell("create", "1")[:1]), false, nil, keysOf("1"), 0},
		{"a part gone, replaced", Order{Keep: keysOf("0"), Replace: keysOf("1")}, join(gone[:1], cell("create", "1")[:1], cell("replace", "1")[1:]), true, nil, keysOf("1"), 1},
		{"a part gone, removed", Order{Keep: keysOf("0"), Remove: keysOf("1")}, join(gone[:1], cell("delete", "1")[1:]), true, nil, keysOf("1"), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(twoParts, c.order, c.changes, Limits{})
			if v.OK != c.ok || !slices.Equal(v.Gone, c.gone) || !slices.Equal(v.Broken, c.broken) || v.Destroys != c.destroys {
				t.Errorf("got %+v", v)
			}
			if !c.ok && (!v.Elsewhere || v.Refused[0].Cell != "1" || !strings.Contains(v.Reason(), "found it gone")) {
				t.Errorf("the refusal doesn't name the cell as gone: %+v", v.Refused)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	v := Judge(twoParts, Order{Keep: keysOf("0"), Add: keysOf("2"), Remove: keysOf("1")}, nil, Limits{})
	want := []string{"module.cell[1].t.a", "module.cell[1].t.b", "module.cell[2].t.a", "module.cell[2].t.b", "t.balancer[0]", "t.digest", "t.targets"}
	if !slices.Equal(v.Targets, want) {
		t.Errorf("targets %v, want %v", v.Targets, want)
	}

	// What is refused is left out.
	up := Order{Keep: keysOf("0"), Add: keysOf("2")}
	v = Judge(twoParts, up, join(cell("create", "2"), []Change{ch("delete", "t.targets")}), Limits{})
	if want := []string{"module.cell[2].t.a", "module.cell[2].t.b", "t.balancer[0]", "t.digest"}; !slices.Equal(v.Targets, want) {
		t.Errorf("targets %v, want %v", v.Targets, want)
	}

	// A lost cell that isn't ordered would come along with a dependent.
	lost := join(cell("delete", "0"))
	for i := range lost {
		lost[i].Drift, lost[i].Reason = true, ""
	}
	v = Judge(twoParts, Order{Keep: keysOf("0"), Add: keysOf("2"), Remove: keysOf("1")}, join(lost, cell("create", "0")), Limits{})
	if want = want[:4]; !slices.Equal(v.Targets, want) || !v.Elsewhere {
		t.Errorf("targets %v, elsewhere %t; want %v", v.Targets, v.Elsewhere, want)
	}
}

func TestNoShapeNoPass(t *testing.T) {
	for _, s := range []Shape{{}, {Patterns: []string{"no address"}}, {Patterns: []string{"module.cell[*]"}}} {
		if v := Judge(s, Order{}, nil, Limits{}); v.OK || v.Elsewhere || len(v.Refused) == 0 {
			t.Errorf("shape %+v: %+v", s, v)
		}
	}
}
