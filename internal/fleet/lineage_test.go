package fleet

import (
	"fmt"
	"testing"
	"time"
)

func TestBirths(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	if births, err := c.Births(t.Context(), "api"); len(births) > 0 || err != nil {
		t.Fatalf("got %v, %v", births, err)
	}
	second := Cell{Service: "api", Name: "api-2", Incarnation: "b", Parent: "api-1", Generation: 1, Reason: "load", BornAt: noon.Add(time.Hour), Genome: "g", Bundle: "h"}
	ok(t, c.Remember(t.Context(), second))
	ok(t, c.Remember(t.Context(), second))
	ok(t, c.Remember(t.Context(), Cell{Service: "api", Name: "api-1", Incarnation: "a", BornAt: noon}))
	births := must(c.Births(t.Context(), "api"))(t)
	want := Birth{Cell: "api-2", Incarnation: "b", Parent: "api-1", Generation: 1, Reason: "load", BornAt: noon.Add(time.Hour), Genome: "g", Bundle: "h"}
	if len(births) != 2 || births[0].Cell != "api-1" || births[1] != want {
		t.Errorf("got %+v", births)
	}
	for name, cell := range map[string]Cell{"no time": {Service: "api", Name: "api-3"}, "no name": {Service: "api", BornAt: noon}, "a path": {Service: "api", Name: "a/b", BornAt: noon}} {
		if c.Remember(t.Context(), cell) == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

// Only births of cells that are no more are forgotten, and of those the oldest.
func TestSweepBirths(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	lease := lead(t, c, "api")
	const more = 3
	for n := range BirthsKept + more + 1 {
		cell := Cell{Service: "api", Name: fmt.Sprintf("api-%d", n), BornAt: noon.Add(time.Duration(n) * time.Second)}
		ok(t, c.Remember(t.Context(), cell))
	}
	if n := must(lease.SweepBirths(t.Context(), []string{"api-0"}))(t); n != more {
		t.Errorf("forgot %d, want %d", n, more)
	}
	births := must(c.Births(t.Context(), "api"))(t)
	if len(births) != BirthsKept+1 || births[0].Cell != "api-0" || births[1].Cell != "api-4" {
		t.Errorf("left are %d, from %s and %s on", len(births), births[0].Cell, births[1].Cell)
	}
}
