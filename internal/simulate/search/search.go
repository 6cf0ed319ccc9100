// Package search looks for settings that are better: less slow at the same cost, or
// cheaper and as seldom slow.
//
// There are two ends that pull against each other, so there is no best setting but
// a frontier: those settings of which none is better in one and not worse in the
// other. It is found by Pareto local search (Paquete, Chiarandini and Stützle,
// "Pareto local optimum sets in the biobjective traveling salesman problem", 2004):
// from each point of the frontier found so far all neighbours are tried, one knob
// one step up or down, until nothing new is found or as many were tried as may be.
package search

import (
	"cmp"
	"fmt"
	"slices"
)

// Point is one choice of settings and how it fared.
type Point struct {
	// At is the level of each knob, an index into its levels.
	At []int
	// Slow and Cost are what is to be low.
	Slow, Cost float64
}

// Better reports whether p is lower in one and not higher in the other.
func (p Point) Better(q Point) bool {
	return p.Slow <= q.Slow && p.Cost <= q.Cost && (p.Slow < q.Slow || p.Cost < q.Cost)
}

// Try judges choices of levels, all of them at one go.
type Try func(choices [][]int) ([]Point, error)

// Outcome is what was found.
type Outcome struct {
	// Start is where the search began, Tried all points, in the order in which they
	// were tried. Frontier are those that no other is better than, the cheapest
	// first.
	Start    Point
	Tried    []Point
	Frontier []Point
	// Complete says that no neighbour of the frontier is left untried.
	Complete bool
}

// Run searches from the levels of start, among as many levels of each knob as
// levels says, and tries at most so many points. A choice that isn't allowed, as
// values that are fine alone may not go together, is passed over.
func Run(levels, start []int, most int, allowed func(at []int) bool, try Try) (Outcome, error) {
	s := &search{levels: levels, most: most, allowed: allowed, try: try, seen: map[string]bool{}}
	if err := s.add([][]int{start}); err != nil {
		return Outcome{}, err
	}
	for {
		next := s.untried()
		if len(next) == 0 {
			return s.outcome(true), nil
		}
		if room := most - len(s.tried); len(next) > room {
			next = next[:max(room, 0)]
		}
		if len(next) == 0 {
			return s.outcome(false), nil
		}
		if err := s.add(next); err != nil {
			return Outcome{}, err
		}
	}
}

type search struct {
	levels  []int
	most    int
	allowed func(at []int) bool
	try     Try
	seen    map[string]bool
	tried   []Point
}

func (s *search) add(choices [][]int) error {
	points, err := s.try(choices)
	if err != nil {
		return err
	}
	if len(points) != len(choices) {
		return fmt.Errorf("%d settings were to be tried, and %d were", len(choices), len(points))
	}
	for _, c := range choices {
		s.seen[fmt.Sprint(c)] = true
	}
	s.tried = append(s.tried, points...)
	return nil
}

// untried are the neighbours of the frontier, those of the points that were found
// first first, so that a search that is cut has looked around evenly.
func (s *search) untried() [][]int {
	var next [][]int
	queued := map[string]bool{}
	for _, p := range s.tried {
		if !s.onFrontier(p) {
			continue
		}
		for knob := range p.At {
			for _, by := range []int{-1, 1} {
				at := slices.Clone(p.At)
				at[knob] += by
				key := fmt.Sprint(at)
				if at[knob] < 0 || at[knob] >= s.levels[knob] || s.seen[key] || queued[key] || !s.allowed(at) {
					continue
				}
				queued[key] = true
				next = append(next, at)
			}
		}
	}
	return next
}

func (s *search) onFrontier(p Point) bool {
	return !slices.ContainsFunc(s.tried, func(q Point) bool { return q.Better(p) })
}

func (s *search) outcome(complete bool) Outcome {
	return Outcome{Start: s.tried[0], Tried: s.tried, Frontier: Frontier(s.tried), Complete: complete}
}

// Frontier are the points that no other is better than, the cheapest first, and of
// those that fared alike the one tried first.
func Frontier(points []Point) []Point {
	var kept []Point
	for _, p := range points {
		worse := slices.ContainsFunc(points, func(q Point) bool { return q.Better(p) })
		same := slices.ContainsFunc(kept, func(q Point) bool { return q.Slow == p.Slow && q.Cost == p.Cost })
		if !worse && !same {
			kept = append(kept, p)
		}
	}
	slices.SortStableFunc(kept, byCost)
	return kept
}

// Standing are the frontier and, whether it is on it or not, the first point, the
// cheapest first.
func Standing(points []Point) []Point {
	kept := Frontier(points)
	first := func(p Point) bool { return slices.Equal(p.At, points[0].At) }
	if !slices.ContainsFunc(kept, first) {
		kept = append(kept, points[0])
		slices.SortStableFunc(kept, byCost)
	}
	return kept
}

func byCost(a, b Point) int { return cmp.Or(cmp.Compare(a.Cost, b.Cost), cmp.Compare(a.Slow, b.Slow)) }
