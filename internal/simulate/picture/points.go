package picture

import "math"

// columnWidth is how wide a column is in which values are drawn as their least and
// their most, in pixels.
const columnWidth = 1.0

// points are where the line goes, a run for each stretch of numbers.
func (l Line) points(f frame, most float64, span int) [][]point {
	if span < 1 {
		return nil
	}
	width := f.right - f.left
	columns := max(int(width/columnWidth), 1)
	per := max(1, (span+columns-1)/columns) // values in a column
	var runs [][]point
	var run []point
	for i := 0; i < len(l.Values); i += per {
		at := extremes(l.Values[i:min(i+per, len(l.Values))])
		if len(at) == 0 {
			if len(run) > 0 {
				runs = append(runs, run)
			}
			run = nil
			continue
		}
		x := f.left + width*float64(i)/float64(span)
		for _, v := range at {
			run = append(run, point{math.Round(x*10) / 10, math.Round(f.y(v, most)*10) / 10})
		}
	}
	if len(run) == 0 {
		return runs
	}
	end := f.left + width*float64(len(l.Values))/float64(span) // the last value is of a step, too
	return append(runs, append(run, point{math.Round(end*10) / 10, run[len(run)-1].y}))
}

// extremes are the first value, the least and the most in the order in which they
// came, and the last.
func extremes(values []float64) []float64 {
	low, high, first, last := -1, -1, -1, -1
	for i, v := range values {
		if math.IsNaN(v) {
			continue
		}
		if first < 0 {
			first, low, high = i, i, i
		}
		last = i
		if v < values[low] {
			low = i
		}
		if v > values[high] {
			high = i
		}
	}
	if first < 0 {
		return nil
	}
	var kept []float64
	done := -1
	for _, i := range []int{first, min(low, high), max(low, high), last} {
		if i > done {
			kept, done = append(kept, values[i]), i
		}
	}
	return kept
}

// values is how many values the longest line of the panel has.
func (p Panel) values() int {
	n := 0
	for _, plot := range p.Plots {
		for _, l := range plot.Lines {
			n = max(n, len(l.Values))
		}
	}
	return n
}
