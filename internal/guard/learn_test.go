package guard

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLearn(t *testing.T) {
	update := func(addr string, names ...string) Change {
		return with(ch("update", addr), func(c *Change) {
			c.Attributes = map[string]string{}
			for _, n := range names {
				c.Attributes[n] = "x"
			}
		})
	}
	one := 1
	for _, c := range []struct {
		name     string
		base     []Key
		up, down Key
		ups      []Change
		downs    []Change
		want     Shape
	}{
		{
			"a bare count", keysOf("0", "1"), "2", "1",
			join(cell("create", "2"), []Change{update("t.targets", "input", "output")}),
			join(cell("delete", "1"), []Change{update("t.targets", "input", "weight"), ch("replace", "t.digest")}),
			Shape{Removals: true, Patterns: []string{"module.cell[*].t.a", "module.cell[*].t.b"}, Dependents: []Dependent{
				{Address: "t.digest", Kinds: []string{"replace"}},
				{Address: "t.targets", Kinds: []string{"update"}, Attributes: []string{"input", "output", "weight"}},
			}},
		},
		{
			"names", keysOf("a-1"), "a-2", "a-1",
			[]Change{ch("create", `module.c["a-2"].t.a["a-2"]`), ch("create", `module.c["a-2"].t.b["x"]`)},
			[]Change{ch("delete", `module.c["a-1"].t.a["a-1"]`), ch("delete", `module.c["a-1"].t.b["x"]`)},
			Shape{Named: true, Removals: true, Patterns: []string{`module.c["*"].t.a["*"]`, `module.c["*"].t.b["x"]`}},
		},
		{
			"an inner index that happens to be equal", keysOf("0"), "1", "0",
			[]Change{ch("create", "module.c[1].t.d[0]"), ch("create", "module.c[1].t.d[1]")},
			[]Change{ch("delete", "module.c[0].t.d[0]"), ch("delete", "module.c[0].t.d[1]")},
			Shape{Removals: true, Patterns: []string{"module.c[*].t.d[0]", "module.c[*].t.d[1]"}},
		},
		{
			"the first cell", nil, "0", "",
			join(cell("create", "0"), []Change{ch("create", "t.balancer")}), nil,
			Shape{Patterns: []string{"module.cell[*].t.a", "module.cell[*].t.b"}, Dependents: []Dependent{{Address: "t.balancer", Edge: &zero}}},
		},
		{
			"what comes with the second cell", keysOf("0"), "1", "0",
			join(cell("create", "1"), []Change{ch("create", "t.quorum")}), cell("delete", "0"),
			Shape{Removals: true, Patterns: []string{"module.cell[*].t.a", "module.cell[*].t.b"}, Dependents: []Dependent{{Address: "t.quorum", Edge: &one}}},
		},
		{
			"what was half made before", keysOf("0"), "1", "0",
			join(cell("create", "1"), []Change{with(ch("replace", "t.balancer"), func(c *Change) { c.Reason = "tainted" })}), cell("delete", "0"),
			Shape{Removals: true, Patterns: []string{"module.cell[*].t.a", "module.cell[*].t.b"}, Dependents: []Dependent{{Address: "t.balancer", Kinds: []string{"update"}}}},
		},
		{
			"reads, no-ops, drift and renames", keysOf("0"), "1", "0",
			join(cell("create", "1"), []Change{ch("read", "data.t.x"), ch("no-op", "t.y"), drift("update", "t.z"), with(ch("no-op", "t.new"), func(c *Change) { c.PreviousAddress = "t.old" })}),
			cell("delete", "0"),
			Shape{Removals: true, Patterns: []string{"module.cell[*].t.a", "module.cell[*].t.b"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Learn(c.base, c.up, c.ups, c.down, c.downs)
			if err != nil {
				t.Fatal(err)
			}
			c.want.Count = len(c.base)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error("(-want +got)\n" + diff)
			}
			keepAll := Order{Keep: c.base, Add: []Key{c.up}}
			if v := Judge(got, keepAll, c.ups, Limits{}); !v.OK {
				t.Errorf("what was learned is refused: %s", v.Reason())
			}
		})
	}
}

func TestLearnRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		ups   []Change
		downs []Change
		want  string
	}{
		{"nothing is made", nil, nil, "the plan changes nothing"},
		{"something else is made", []Change{ch("create", "t.other")}, nil, "the plan holds create of t.other"},
		{"nothing is removed", cell("create", "1"), nil, `removes nothing of cell "0"`},
		{"living cells change", join(cell("create", "1"), cell("update", "0")), cell("delete", "0"), "living cells would change"},
		{"something else is destroyed on the way up", join(cell("create", "1"), []Change{ch("delete", "t.other")}), cell("delete", "0"), "t.other: delete"},
		{"something else is made on the way down", cell("create", "1"), join(cell("delete", "0"), []Change{ch("create", "t.other")}), "t.other: create"},
		{"forget", cell("create", "1"), cell("forget", "0"), "forget"},
		{"deferred", cell("deferred", "1"), cell("delete", "0"), "deferred"},
		{"import", join(cell("create", "1"), []Change{with(ch("no-op", "t.x"), func(c *Change) { c.Importing = true })}), cell("delete", "0"), "import"},
		{"no address", join(cell("create", "1"), []Change{ch("create", "!")}), cell("delete", "0"), "read address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Learn(keysOf("0"), "1", c.ups, "0", c.downs)
			var unshaped *ShapeError
			if !errors.As(err, &unshaped) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := Learn(keysOf("0"), "0", nil, "", nil); err == nil {
		t.Error("a new cell that is there already")
	}
}

func TestWithout(t *testing.T) {
	attrs := func(c Change, pairs ...string) Change {
		c.Attributes = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			c.Attributes[pairs[i]] = pairs[i+1]
		}
		return c
	}
	base := []Change{
		ch("update", "t.a"), attrs(ch("update", "t.b"), "port", "1"), attrs(ch("update", "t.c"), "port", "1", "ids", "1"),
		ch("update", "t.d"), ch("create", "t.e"), drift("update", "t.f"),
	}
	changes := []Change{
		ch("update", "t.a"), attrs(ch("update", "t.b"), "port", "1"), attrs(ch("update", "t.c"), "port", "1", "ids", "2"),
		ch("replace", "t.d"), attrs(ch("create", "t.e"), "ids", "2"), ch("update", "t.f"), ch("create", "t.g"),
	}
	want := []Change{attrs(ch("update", "t.c"), "ids", "2"), ch("replace", "t.d"), ch("update", "t.f"), ch("create", "t.g")}
	if diff := cmp.Diff(want, Without(changes, base)); diff != "" {
		t.Error("(-want +got)\n" + diff)
	}
}

func TestKeySets(t *testing.T) {
	got := KeySets([]string{
		"t.vm[0]", "t.vm[1]", "t.disk[1]", "t.disk[0]", "t.zone[0]", "t.zone[1]", "t.zone[2]", `t.r["eu"]`, "t.single", "nonsense[",
	})
	want := [][]Key{keysOf("0", "1"), keysOf("0", "1", "2"), keysOf("eu")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n" + diff)
	}
}

// What was learned at one number of cells is kept at another.
func TestShapeWith(t *testing.T) {
	edge := 2
	below := Shape{Digest: "d", Patterns: []string{"t.a[*]"}, Count: 2, Removals: true, Dependents: []Dependent{
		{Address: "t.balancer[0]", Edge: &edge},
		{Address: "t.targets", Kinds: []string{"update"}, Attributes: []string{"input"}},
	}}
	above := Shape{Digest: "d", Patterns: []string{"t.a[*]"}, Count: 5, Dependents: []Dependent{
		{Address: "t.balancer[0]", Kinds: []string{"update"}, Attributes: []string{"input"}},
		{Address: "t.alarm", Kinds: []string{"replace"}},
	}}
	want := Shape{Digest: "d", Patterns: []string{"t.a[*]"}, Count: 5, Removals: true, Dependents: []Dependent{
		{Address: "t.alarm", Kinds: []string{"replace"}},
		{Address: "t.balancer[0]", Kinds: []string{"update"}, Attributes: []string{"input"}, Edge: &edge},
		{Address: "t.targets", Kinds: []string{"update"}, Attributes: []string{"input"}},
	}}
	if diff := cmp.Diff(want, above.With(below)); diff != "" {
		t.Error("(-want +got)\n" + diff)
	}
	for name, other := range map[string]Shape{
		"another module": {Digest: "e", Patterns: below.Patterns, Dependents: below.Dependents},
		"other cells":    {Digest: "d", Patterns: []string{"t.b[*]"}, Dependents: below.Dependents},
	} {
		if diff := cmp.Diff(above, above.With(other)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}
