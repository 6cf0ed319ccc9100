// Package spread says in which shard each cell of a large service is. A shard
// is a workspace of the service's root module: the cost of a plan grows with
// the square of what its state holds, so many small states are planned and
// applied in a fraction of the time of one large one.
//
// Shard 0 is the workspace that the policy names, in which a service begins;
// the others are numbered from 1. A name keeps its shard for life: whether a
// service grows or shrinks, no cell moves from one to another. Only a person
// has cells moved, and Moves says which.
//
// The package is pure. What a shard is to Terraform is package act's business.
package spread

import (
	"cmp"
	"maps"
	"slices"
)

// Place returns the shard of each name. One that has a shard in at keeps it. The
// others go where there is most room: they fill up the emptiest of the shards in
// use, then the next emptiest, and only then begin the lowest that holds none. So
// an order changes few shards, and those that are cheapest to plan. None goes
// where there are size cells, nor where avoid says. also counts, by shard, what
// else there is in it: cells that are being taken away. With a size of 0 or less
// all new names are placed in shard 0.
func Place(names []string, at map[string]int, also map[int]int, size int, avoid func(shard int) bool) []int {
	out := make([]int, len(names))
	held := maps.Clone(also)
	if held == nil {
		held = map[int]int{}
	}
	for _, name := range names {
		if shard, known := at[name]; known {
			held[shard]++
		}
	}
	full := func(shard int) bool { return held[shard] >= size || avoid != nil && avoid(shard) }
	used := slices.DeleteFunc(slices.Sorted(maps.Keys(held)), full)
	slices.SortStableFunc(used, func(a, b int) int { return cmp.Compare(held[a], held[b]) })
	fresh := 0
	for i, name := range names {
		if shard, known := at[name]; known {
			out[i] = shard
			continue
		}
		if size <= 0 {
			continue
		}
		for len(used) > 0 && full(used[0]) {
			used = used[1:]
		}
		if len(used) == 0 {
			for full(fresh) {
				fresh++
			}
			used = []int{fresh}
		}
		out[i] = used[0]
		held[used[0]]++
	}
	return out
}

// Move takes cells from one shard to another.
type Move struct {
	From  int      `json:"from"`
	To    int      `json:"to"`
	Names []string `json:"names"`
}

// Moves returns what brings the cells into as few shards as they fit in, with at
// most size in each, by as few moved cells as possible: shards that hold too many
// give away those at their end, and the highest shards are emptied into what room
// there is below. With a size of 0 or less all go to shard 0. at is the shard of
// each name. A move holds at most batch cells; 0 sets no limit.
func Moves(names []string, at []int, size, batch int) []Move {
	in := map[int][]string{}
	for i, name := range names {
		in[at[i]] = append(in[at[i]], name)
	}
	if size <= 0 {
		size = max(1, len(names))
	}
	wanted := (len(names) + size - 1) / size
	type source struct {
		shard int
		names []string
	}
	var give []source
	for _, shard := range slices.SortedFunc(maps.Keys(in), func(a, b int) int { return cmp.Compare(b, a) }) {
		keep := size
		if shard >= wanted {
			keep = 0
		}
		if over := in[shard]; len(over) > keep {
			give = append(give, source{shard, over[keep:]})
			in[shard] = over[:keep]
		}
	}
	var moves []Move
	to := 0
	for _, g := range give {
		for len(g.names) > 0 {
			for len(in[to]) >= size {
				to++
			}
			n := min(len(g.names), size-len(in[to]))
			if batch > 0 {
				n = min(n, batch)
			}
			moves = append(moves, Move{From: g.shard, To: to, Names: slices.Clone(g.names[:n])})
			in[to] = append(slices.Clone(in[to]), g.names[:n]...)
			g.names = g.names[n:]
		}
	}
	return moves
}
