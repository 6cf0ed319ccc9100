package guard

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// scene is a shape, an order and the changes that do exactly that order.
type scene struct {
	shape   Shape
	order   Order
	changes []Change
}

// drawKey draws keys that are hard to read, and indices.
func drawKey(named bool) *rapid.Generator[string] {
	if named {
		return rapid.OneOf(rapid.StringMatching(`[a-z]{1,3}-[0-9]{1,2}`), rapid.StringMatching(`[a."\[\]\\$%{}*]{1,5}`))
	}
	return rapid.Map(rapid.IntRange(0, 40), func(n int) string { return fmt.Sprint(n) })
}

func drawScene(t *rapid.T) scene {
	named := rapid.Bool().Draw(t, "named")
	star := "[*]"
	if named {
		star = `["*"]`
	}
	patterns := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{
		"module.cell" + star + ".t.a", "module.cell" + star + ".t.b[0]", "t.vm" + star, "module.m.module.n" + star + ".t.c" + star,
	}), 1, 4, rapid.ID).Draw(t, "patterns")
	s := scene{shape: Shape{Named: named, Patterns: patterns, Removals: true, Dependents: []Dependent{{Address: "t.targets", Kinds: []string{"update"}}}}}
	m, err := s.shape.compile()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range rapid.SliceOfNDistinct(drawKey(named), 0, 6, rapid.ID).Draw(t, "keys") {
		key := Key(k)
		action := ""
		switch rapid.SampledFrom([]role{keep, add, remove, replace}).Draw(t, "role") {
		case keep:
			s.order.Keep = append(s.order.Keep, key)
			continue
		case add:
			s.order.Add, action = append(s.order.Add, key), "create"
		case remove:
			s.order.Remove, action = append(s.order.Remove, key), "delete"
		case replace:
			s.order.Replace, action = append(s.order.Replace, key), "replace"
		}
		for _, a := range m.addresses(key) {
			s.changes = append(s.changes, ch(action, a))
		}
	}
	if rapid.Bool().Draw(t, "targets change") {
		s.changes = append(s.changes, ch("update", "t.targets"))
	}
	if rapid.Bool().Draw(t, "data is read") {
		s.changes = append(s.changes, ch("read", "data.t.image"))
	}
	return s
}

func TestTheOrdersPlanAlwaysPasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScene(t)
		if v := Judge(s.shape, s.order, s.changes, Limits{}); !v.OK {
			t.Fatalf("refused: %s", v.Reason())
		}
		if v := JudgeFull(s.shape, s.order, s.changes, Limits{}); !v.OK {
			t.Fatalf("the whole plan is refused: %s", v.Reason())
		}
	})
}

// drawOutsider draws a change that is neither the order's nor in the shape.
func drawOutsider(t *rapid.T, s scene) Change {
	m, err := s.shape.compile()
	if err != nil {
		t.Fatal(err)
	}
	named := s.shape.Named
	roles, err := s.order.roles()
	if err != nil {
		t.Fatal(err)
	}
	action := rapid.SampledFrom([]string{"create", "update", "replace", "delete", "forget", "deferred", "invoke", ""}).Draw(t, "action")
	switch rapid.IntRange(0, 3).Draw(t, "where") {
	case 0: // elsewhere
		return ch(action, rapid.SampledFrom([]string{"t.other", "module.x.t.y[3]", "module.cell.t.a", `t.vmx["a"]`}).Draw(t, "address"))
	case 1: // a cell that the order keeps or doesn't name
		key := Key(drawKey(named).Filter(func(k string) bool { r, ok := roles[Key(k)]; return !ok || r == keep }).Draw(t, "key"))
		return ch(action, rapid.SampledFrom(m.addresses(key)).Draw(t, "address"))
	case 2: // a dependent, in another way
		return ch(rapid.SampledFrom([]string{"create", "replace", "delete", "forget"}).Draw(t, "dependent's action"), "t.targets")
	}
	c := ch("no-op", "t.other") // imported
	c.Importing = true
	return c
}

func TestNothingElseEverPasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScene(t)
		outsider := drawOutsider(t, s)
		var rest []Change
		for _, c := range s.changes {
			if c.Address != outsider.Address {
				rest = append(rest, c)
			}
		}
		changes := append(rest, outsider)
		full := rapid.Bool().Draw(t, "full")
		judge := Judge
		if full {
			judge = JudgeFull
		}
		if v := judge(s.shape, s.order, changes, Limits{}); v.OK {
			t.Fatalf("passed with %+v", outsider)
		}
	})
}

func TestAnythingLessNeverPasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScene(t)
		var mandatory []int
		for i, c := range s.changes {
			if c.kind() == kindCreate || c.kind() == kindReplace {
				mandatory = append(mandatory, i)
			}
		}
		if len(mandatory) == 0 {
			t.Skip("nothing to leave out")
		}
		i := rapid.SampledFrom(mandatory).Draw(t, "left out")
		changes := append(append([]Change(nil), s.changes[:i]...), s.changes[i+1:]...)
		for _, judge := range []func(Shape, Order, []Change, Limits) Verdict{Judge, JudgeFull} {
			if v := judge(s.shape, s.order, changes, Limits{}); v.OK {
				t.Fatalf("passed without %+v", s.changes[i])
			}
		}
	})
}

func TestTheOrderOfChangesDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScene(t)
		for range rapid.IntRange(0, 3).Draw(t, "outsiders") {
			c := drawOutsider(t, s)
			c.Drift = rapid.Bool().Draw(t, "drift")
			s.changes = append(s.changes, c)
		}
		shuffled := rapid.Permutation(s.changes).Draw(t, "shuffled")
		for _, judge := range []func(Shape, Order, []Change, Limits) Verdict{Judge, JudgeFull} {
			a, b := judge(s.shape, s.order, s.changes, Limits{Destroys: 2}), judge(s.shape, s.order, shuffled, Limits{Destroys: 2})
			if diff := cmp.Diff(a, b); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}
