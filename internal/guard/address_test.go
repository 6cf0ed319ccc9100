package guard

import (
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for _, s := range []string{
		"aws_instance.cell",
		"aws_instance.cell[3]",
		"module.cell[3].aws_instance.x",
		`module.cells.homeostat_cell.this["crawler-4"]`,
		`module.a["x.y"].module.b[0].data.t.n["]\"["]`,
		`t.n["\\"]`, `t.n["a\nb\tc\r"]`, `t.n["$${x} %%{y} $x %"]`, `t.n["$$${"]`, `t.n["Grüße 東京"]`, `t.n["\u200b"]`, `t.n["\U000e0001"]`, `t.n[""]`,
		"ephemeral.t.n", "data.t.n[0]", "module.data.t.n", "module.module.module.module.t.n", "t.module",
	} {
		a, err := parseAddress(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
		} else if got := a.String(); got != s {
			t.Errorf("%s comes back as %s", s, got)
		}
	}
	for _, s := range []string{
		"", ".", "t", "t.", ".n", "t.n.x.y", "module.a", "module.a[0]", "module[0].a.t.n", "t[0].n", "data[0].t.n",
		"t.n[", "t.n[]", "t.n[-1]", "t.n[01]", "t.n[1", "t.n[1]x", "t.n[*]", "t.n[0][1]", "t.n[99999999999999999999]",
		`t.n["`, `t.n["a`, `t.n["a"`, `t.n["a"x`, `t.n["a\"]`, `t.n["\q"]`, `t.n["\u12"]`, `t.n["\ud800"]`, `t.n["${x}"]`, "t.n[\"\xff\"]", "t. n", "t.n\n",
	} {
		if a, err := parseAddress(s); err == nil {
			t.Errorf("%q was read as %s", s, a)
		}
	}
}

func TestStarIsNoKey(t *testing.T) {
	a, err := parseAddress(`t.n["*"]`)
	if err != nil {
		t.Fatal(err)
	}
	p, err := parsePattern(a.String())
	if err != nil || p.key.star() || p.key.text != "*" {
		t.Errorf("the key * became %v, %v", p, err)
	}
}

func TestCellKey(t *testing.T) {
	bare := Shape{Patterns: []string{"module.cell[*].t.disk[0]", `module.cell[*].t.tag["*"]`, "t.vm[*]"}}
	named := Shape{Named: true, Patterns: []string{`module.cells["*"].t.vm`}}
	for _, c := range []struct {
		shape Shape
		addr  string
		key   Key
		ok    bool
	}{
		{bare, "module.cell[3].t.disk[0]", "3", true},
		{bare, `module.cell[3].t.tag["3"]`, "3", true},
		{bare, `module.cell[3].t.tag["4"]`, "3", true}, // in the cell's module, though not learned
		{bare, "module.cell[3].module.inner.t.x", "3", true},
		{bare, "t.vm[0]", "0", true},
		{bare, `t.vm["0"]`, "", false},
		{bare, "t.vm", "", false},
		{bare, "data.t.vm[0]", "", false},
		{bare, "module.other[3].t.disk[0]", "", false},
		{named, `module.cells["a.b\"]"].t.vm`, `a.b"]`, true},
		{named, "module.cells[0].t.vm", "", false},
		{named, "nonsense", "", false},
	} {
		if key, ok := c.shape.CellKey(c.addr); key != c.key || ok != c.ok {
			t.Errorf("%s: %q %v, want %q %v", c.addr, key, ok, c.key, c.ok)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"t.n", `module.a["x"].t.n[3]`, `t.n["\u12ab$${%%{\\\""]`, "data.t.n", `t.n["*"]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAddress(s)
		if err != nil {
			return
		}
		b, err := parseAddress(a.String())
		if err != nil || b.String() != a.String() {
			t.Errorf("%q is written as %q, which is read as %q, %v", s, a, b, err)
		}
		p, err := parsePattern(a.String())
		if err != nil || p.stars() > 0 {
			t.Errorf("%q is a pattern with stars: %v, %v", a, p, err)
		}
		for _, k := range a.keys() {
			if k.kind != indexKey && k.kind != nameKey || k.text == "" {
				continue
			}
			for _, candidate := range a.candidates(Key(k.text)) {
				if candidate.at(Key(k.text)).String() != a.String() {
					t.Errorf("the candidate %s of %s doesn't lead back", candidate, a)
				}
				if key, ok := candidate.match(a); !ok || string(key) != k.text {
					t.Errorf("the candidate %s doesn't match %s", candidate, a)
				}
			}
		}
	})
}

func FuzzReadStream(f *testing.F) {
	f.Add(`{"type":"planned_change","change":{"resource":{"addr":"t.n"},"action":"create"}}` + "\n" + `{"type":"change_summary","changes":{"add":1}}`)
	f.Add("plain words\n{\"type\":\"version\"}")
	f.Add(`{"type":"diagnostic","diagnostic":{"severity":"error","summary":"x","range":{"filename":"a","start":{"line":1}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ReadStream(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, d := range s.Diagnostics {
			_ = d.String()
		}
		v := Judge(twoParts, Order{Keep: keysOf("0")}, s.Changes, Limits{})
		for _, c := range s.Changes {
			known := c.kind() == kindNoOp || c.Drift || c.Mode == modeData || strings.HasPrefix(c.Address, "t.targets") || strings.HasPrefix(c.Address, "t.digest")
			if v.OK && !known {
				t.Errorf("passed: %+v", c)
			}
		}
	})
}
