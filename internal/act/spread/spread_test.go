package spread

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func names(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("pod-%d", i+1))
	}
	return list
}

func TestPlace(t *testing.T) {
	for name, c := range map[string]struct {
		names []string
		at    map[string]int
		also  map[int]int
		size  int
		avoid []int
		want  []int
	}{
		"none":                    {nil, nil, nil, 2, nil, []int{}},
		"the first fill one":      {names(2), nil, nil, 2, nil, []int{0, 0}},
		"then the next":           {names(5), nil, nil, 2, nil, []int{0, 0, 1, 1, 2}},
		"who has one keeps it":    {names(3), map[string]int{"pod-1": 7, "pod-2": 0}, nil, 2, nil, []int{7, 0, 0}},
		"an overfull one stays":   {names(4), map[string]int{"pod-1": 0, "pod-2": 0, "pod-3": 0}, nil, 2, nil, []int{0, 0, 0, 1}},
		"the emptiest fills up":   {names(8), map[string]int{"pod-1": 0, "pod-2": 0, "pod-3": 1, "pod-4": 2, "pod-5": 2}, nil, 3, nil, []int{0, 0, 1, 2, 2, 1, 1, 0}},
		"and then the next":       {names(6), map[string]int{"pod-1": 0, "pod-2": 1, "pod-3": 1}, nil, 2, nil, []int{0, 1, 1, 0, 2, 2}},
		"an empty one comes last": {names(3), map[string]int{"pod-1": 3, "pod-2": 3}, nil, 3, nil, []int{3, 3, 3}},
		"gaps are filled":         {names(4), map[string]int{"pod-1": 1, "pod-2": 1, "pod-3": 0}, nil, 2, nil, []int{1, 1, 0, 0}},
		"leaving ones count":      {names(2), map[string]int{"pod-1": 0}, map[int]int{0: 1}, 2, nil, []int{0, 1}},
		"one that fails isn't":    {names(3), nil, nil, 2, []int{0}, []int{1, 1, 2}},
		"not spread":              {names(3), nil, nil, 0, nil, []int{0, 0, 0}},
		"no longer spread":        {names(3), map[string]int{"pod-1": 4}, nil, 0, nil, []int{4, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Place(c.names, c.at, c.also, c.size, func(n int) bool { return slices.Contains(c.avoid, n) })
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMoves(t *testing.T) {
	for name, c := range map[string]struct {
		at          []int
		size, batch int
		want        []Move
	}{
		"as it should be": {[]int{0, 0, 1}, 2, 0, nil},
		"one is too full": {[]int{0, 0, 0, 0, 0}, 2, 0, []Move{{0, 1, []string{"pod-3", "pod-4"}}, {0, 2, []string{"pod-5"}}}},
		"in small steps": {[]int{0, 0, 0, 0, 0}, 2, 1, []Move{
			{0, 1, []string{"pod-3"}}, {0, 1, []string{"pod-4"}}, {0, 2, []string{"pod-5"}}}},
		"fewer would do":   {[]int{0, 1, 2, 3}, 2, 0, []Move{{3, 0, []string{"pod-4"}}, {2, 1, []string{"pod-3"}}}},
		"back to one":      {[]int{0, 1, 1, 2}, 0, 0, []Move{{2, 0, []string{"pod-4"}}, {1, 0, []string{"pod-2", "pod-3"}}}},
		"larger than ever": {[]int{0, 1, 1, 2}, 100, 0, []Move{{2, 0, []string{"pod-4"}}, {1, 0, []string{"pod-2", "pod-3"}}}},
		"nobody":           {nil, 2, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Moves(names(len(c.at)), c.at, c.size, c.batch)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestSpreadProperties has a service grow and shrink at random: a name keeps its
// shard for life, each name is in one, none holds too many, and what is in the
// shards together is the names.
func TestSpreadProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 7).Draw(t, "size")
		at, life, next := map[string]int{}, map[string]int{}, 1
		for range rapid.IntRange(1, 12).Draw(t, "orders") {
			list := slices.Sorted(func(yield func(string) bool) {
				for name := range at {
					if !yield(name) {
						return
					}
				}
			})
			leave := rapid.IntRange(0, len(list)).Draw(t, "leave")
			list = rapid.Permutation(list).Draw(t, "who")[leave:]
			for range rapid.IntRange(0, 20).Draw(t, "more") {
				list = append(list, fmt.Sprintf("pod-%d", next))
				next++
			}
			shards := Place(list, at, nil, size, nil)
			if len(shards) != len(list) {
				t.Fatalf("%d shards for %d names", len(shards), len(list))
			}
			at = map[string]int{}
			held := map[int]int{}
			for i, name := range list {
				if before, known := life[name]; known && before != shards[i] {
					t.Fatalf("%s moved from shard %d to %d", name, before, shards[i])
				}
				at[name], life[name] = shards[i], shards[i]
				held[shards[i]]++
			}
			for shard, n := range held {
				if n > size {
					t.Fatalf("shard %d holds %d, more than %d", shard, n, size)
				}
			}
		}
	})
}

// TestMovesProperties carries the moves out: no cell is lost or doubled, no shard
// holds too many at the end, there are as few shards as can be, and where all is as
// it should be nothing moves.
func TestMovesProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size, batch := rapid.IntRange(0, 6).Draw(t, "size"), rapid.IntRange(0, 4).Draw(t, "batch")
		at := rapid.SliceOfN(rapid.IntRange(0, 9), 0, 60).Draw(t, "at")
		list := names(len(at))
		now := map[string]int{}
		for i, name := range list {
			now[name] = at[i]
		}
		for _, m := range Moves(list, at, size, batch) {
			if batch > 0 && len(m.Names) > batch || len(m.Names) == 0 || m.From == m.To {
				t.Fatalf("no move at all, or too large: %+v", m)
			}
			for _, name := range m.Names {
				if now[name] != m.From {
					t.Fatalf("%s is in shard %d, not in %d", name, now[name], m.From)
				}
				now[name] = m.To
			}
		}
		if len(now) != len(list) {
			t.Fatalf("%d cells, were %d", len(now), len(list))
		}
		most := size
		if size == 0 {
			most = max(1, len(list))
		}
		held, after := map[int]int{}, make([]int, len(list))
		for i, name := range list {
			held[now[name]]++
			after[i] = now[name]
		}
		for shard, n := range held {
			if n > most || shard*most >= len(list) {
				t.Fatalf("shard %d holds %d of %d, at most %d each", shard, n, len(list), most)
			}
		}
		if again := Moves(list, after, size, batch); len(again) > 0 {
			t.Fatalf("it isn't at rest: %+v", again)
		}
	})
}
