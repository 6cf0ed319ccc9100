package loop

import (
	stdcmp "cmp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func named(names ...string) roster {
	return roster{Service: "api", Named: true, Names: names, Next: 10}
}

func counted(names ...string) roster { return roster{Service: "api", Names: names} }

// unlimited lets a wish destroy what it likes, unless it says otherwise.
func unlimited(w wish) wish {
	w.Destroys = stdcmp.Or(w.Destroys, 99)
	return w
}

func asGiven(names []string) []string { return names }

func oneByOne(names ...string) roster {
	r := named(names...)
	r.OneByOne = true
	return r
}

func TestStep(t *testing.T) {
	tests := map[string]struct {
		roster roster
		wish   wish
		want   step
	}{
		"nothing to do": {
			named("api-1"), wish{Desired: 1, Held: 1, Max: 5, Births: 9},
			step{Names: []string{"api-1"}, Next: 10},
		},
		"grows with new names": {
			named("api-1"), wish{Desired: 3, Held: 1, Max: 5, Births: 9},
			step{Add: []string{"api-10", "api-11"}, Names: []string{"api-1", "api-10", "api-11"}, Next: 12},
		},
		"grows by index": {
			counted("api-0"), wish{Desired: 3, Held: 1, Max: 5, Births: 9},
			step{Add: []string{"api-1", "api-2"}, Names: []string{"api-0", "api-1", "api-2"}},
		},
		"never above max, half-born machines included": {
			named("api-1"), wish{Desired: 4, Held: 3, Max: 4, Births: 9},
			step{Add: []string{"api-10"}, Names: []string{"api-1", "api-10"}, Next: 11},
		},
		"of cells whose data are moved one leaves": {
			oneByOne("api-1", "api-2", "api-3"), wish{Desired: 1, Held: 3, Max: 5, Births: 9},
			step{Mark: []string{"api-1"}, Names: []string{"api-1", "api-2", "api-3"}, Next: 10},
		},
		"of cells whose data are moved the next leaves when one has left": {
			oneByOne("api-1", "api-2", "api-3"), wish{Desired: 1, Leaving: []string{"api-1"}, Held: 3, Max: 5, Births: 9},
			step{Names: []string{"api-1", "api-2", "api-3"}, Next: 10},
		},
		"a failed birth loses its name": {
			named("api-1", "api-9"), wish{Desired: 2, Failed: []string{"api-9"}, Held: 2, Max: 5, Births: 9},
			step{Add: []string{"api-10"}, Remove: []string{"api-9"}, Names: []string{"api-1", "api-10"}, Next: 11},
		},
		"at max the dead is removed before the next is born": {
			named("api-1", "api-2"), wish{Desired: 2, Dead: []string{"api-2"}, Held: 2, Max: 2, Births: 9},
			step{Remove: []string{"api-2"}, Names: []string{"api-1"}, Next: 10},
		},
		"a dead index is replaced": {
			counted("api-0", "api-1"), wish{Desired: 2, Dead: []string{"api-0"}, Held: 2, Max: 2, Births: 9},
			step{Replace: []string{"api-0"}, Names: []string{"api-0", "api-1"}},
		},
		"failed births at the end of a bare count are taken back": {
			counted("api-0", "api-1", "api-2"), wish{Desired: 3, Failed: []string{"api-0", "api-2"}, Held: 3, Max: 5, Births: 9},
			step{Remove: []string{"api-2"}, Replace: []string{"api-0"}, Names: []string{"api-0", "api-1"}},
		},
		"backing off, a dead index waits": {
			counted("api-0", "api-1"), wish{Desired: 2, Dead: []string{"api-0"}, Held: 2, Max: 2},
			step{Names: []string{"api-0", "api-1"}},
		},
		"a dead holder of data keeps its name": {
			roster{Service: "db", Named: true, HoldsData: true, Names: []string{"db-1"}, Next: 2},
			wish{Desired: 1, Dead: []string{"db-1"}, Held: 1, Max: 1, Births: 9},
			step{Replace: []string{"db-1"}, Names: []string{"db-1"}, Next: 2},
		},
		"begins to drain before anything is ordered": {
			named("api-1", "api-2", "api-3"), wish{Desired: 1, Held: 3, Max: 5, Births: 9},
			step{Mark: []string{"api-1", "api-2"}, Names: []string{"api-1", "api-2", "api-3"}, Next: 10},
		},
		"only the drained go": {
			named("api-1", "api-2", "api-3"),
			wish{Desired: 1, Leaving: []string{"api-2", "api-3"}, Drained: []string{"api-3"}, Held: 3, Max: 5, Births: 9},
			step{Remove: []string{"api-3"}, Names: []string{"api-1", "api-2"}, Next: 10},
		},
		"load returns: the last marked is taken back": {
			named("api-1", "api-2", "api-3"),
			wish{Desired: 2, Leaving: []string{"api-2", "api-3"}, Drained: []string{"api-3"}, Held: 3, Max: 5, Births: 9},
			step{TakeBack: []string{"api-3"}, Names: []string{"api-1", "api-2", "api-3"}, Next: 10},
		},
		"load returns: a bare count takes back the lowest": {
			counted("api-0", "api-1", "api-2"),
			wish{Desired: 2, Leaving: []string{"api-1", "api-2"}, Drained: []string{"api-2"}, Held: 3, Max: 5, Births: 9},
			step{TakeBack: []string{"api-1"}, Remove: []string{"api-2"}, Names: []string{"api-0", "api-1"}},
		},
		"a bare count waits for the highest": {
			counted("api-0", "api-1", "api-2"),
			wish{Desired: 1, Leaving: []string{"api-1", "api-2"}, Drained: []string{"api-1"}, Held: 3, Max: 5, Births: 9},
			step{Names: []string{"api-0", "api-1", "api-2"}},
		},
		"no more are taken away than the limit allows": {
			named("api-1", "api-2", "api-3"),
			wish{Desired: 1, Leaving: []string{"api-2", "api-3"}, Drained: []string{"api-2", "api-3"}, Held: 3, Max: 5, Births: 9, Destroys: 1},
			step{Remove: []string{"api-2"}, Names: []string{"api-1", "api-3"}, Next: 10},
		},
		"a failed birth of which nothing is held is given up beyond the limit": {
			named("api-1", "api-2", "api-3"),
			wish{Desired: 3, Dead: []string{"api-1"}, Failed: []string{"api-2", "api-3"}, Unmade: []string{"api-3"}, Held: 2, Max: 5, Births: 9, Destroys: 1},
			step{Remove: []string{"api-1", "api-3"}, Add: []string{"api-10", "api-11"}, Names: []string{"api-2", "api-10", "api-11"}, Next: 12},
		},
		"and leaves the limit to cells that leave": {
			named("api-1", "api-2", "api-3"),
			wish{
				Desired: 1, Failed: []string{"api-3"}, Unmade: []string{"api-3"}, Leaving: []string{"api-2"}, Drained: []string{"api-2"},
				Held: 2, Max: 5, Births: 9, Destroys: 1,
			},
			step{Remove: []string{"api-3", "api-2"}, Names: []string{"api-1"}, Next: 10},
		},
		"backing off, no birth; removals go on": {
			named("api-1", "api-2"), wish{Desired: 2, Dead: []string{"api-2"}, Held: 2, Max: 5},
			step{Remove: []string{"api-2"}, Names: []string{"api-1"}, Next: 10},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.roster.step(unlimited(tt.wish), asGiven), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestStepProperties walks a roster through random wishes and checks what must
// hold whatever is wished.
func TestStepProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := roster{Service: "s", Named: rapid.Bool().Draw(t, "named"), OneByOne: rapid.Bool().Draw(t, "one by one"), Next: 1}
		limit := rapid.IntRange(1, 12).Draw(t, "max")
		var leaving []string
		used := map[string]bool{}
		for range rapid.IntRange(1, 30).Draw(t, "beats") {
			w := wish{
				Desired: rapid.IntRange(0, limit).Draw(t, "desired"),
				Leaving: leaving, Held: len(r.Names), Max: limit,
				Births: rapid.IntRange(0, 5).Draw(t, "births"),
			}
			w.Dead = pick(t, r.Names, "dead")
			w.Failed = without(pick(t, r.Names, "failed"), w.Dead)
			w.Unmade = pick(t, w.Failed, "unmade")
			w.Held -= len(w.Unmade)
			w.Drained = pick(t, leaving, "drained")
			w.Destroys = rapid.IntRange(0, limit).Draw(t, "destroys")
			s := r.step(w, asGiven)

			if n := len(without(slices.Concat(s.Remove, s.Replace), w.Unmade)); n > w.Destroys {
				t.Fatalf("%d cells are destroyed, of %d allowed", n, w.Destroys)
			}
			if born := len(s.Add) + len(intersect(s.Replace, w.Unmade)); w.Held+born > limit {
				t.Fatalf("%d machines and %d births, max %d", w.Held, born, limit)
			}
			if bad := intersect(s.Names, w.Unmade); r.Named && bad != nil {
				t.Fatalf("%v stay, of which there is nothing", bad)
			}
			for _, n := range s.Add {
				if r.Named && used[n] {
					t.Fatalf("the name %s was used before", n)
				}
				if slices.Contains(r.Names, n) {
					t.Fatalf("%s exists already", n)
				}
				used[n] = true
			}
			for _, n := range s.Remove {
				if !slices.Contains(slices.Concat(w.Dead, w.Failed, w.Drained), n) {
					t.Fatalf("%s is removed though neither dead, unborn nor drained", n)
				}
			}
			if bad := intersect(s.Add, s.Remove); bad != nil {
				t.Fatalf("added and removed at once: %v", bad)
			}
			for i, n := range s.Names {
				if !r.Named && n != cellName("s", i) {
					t.Fatalf("a bare count has a gap: %v", s.Names)
				}
			}
			leaving = intersect(append(without(leaving, s.TakeBack), s.Mark...), s.Names)
			if r.OneByOne && len(leaving) > 1 {
				t.Fatalf("%v leave at once", leaving)
			}
			r.Names, r.Next = s.Names, s.Next
		}
	})
}

func pick(t *rapid.T, from []string, label string) []string {
	var out []string
	for _, v := range from {
		if rapid.IntRange(0, 3).Draw(t, label) == 0 {
			out = append(out, v)
		}
	}
	return out
}

func TestCellNumber(t *testing.T) {
	tests := map[string]int{"api-0": 0, "api-12": 12, "api-": -1, "api": -1, "db-1": -1, "api-x": -1, "api--3": -1}
	for name, want := range tests {
		n, ok := cellNumber("api", name)
		if ok != (want >= 0) || ok && n != want {
			t.Errorf("cellNumber(%q) = %d, %t", name, n, ok)
		}
	}
}

func TestKeeping(t *testing.T) {
	named := roster{Service: "api", Named: true, Names: []string{"api-4"}}
	if got := named.keeping("api-2"); !slices.Equal(got, []string{"api-2", "api-4"}) {
		t.Errorf("named: %v", got)
	}
	// The highest index goes first, so the ones below stay, too.
	counted := roster{Service: "api", Names: []string{"api-0"}}
	if got := counted.keeping("api-2"); !slices.Equal(got, []string{"api-0", "api-1", "api-2"}) {
		t.Errorf("counted: %v", got)
	}
}
