package trace

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// most bounds a number of the file, so that sums stay finite and exact enough.
const most = 1e15

// row is one row of a file: a time in nanoseconds, since 1970 or since the file's
// own beginning, and how many requests it stands for.
type row struct {
	at    int64
	value float64 // NaN: the file says that it doesn't know
	line  int
}

// reading is a file while it is read.
type reading struct {
	file    string
	options Options
	rows    []row
	bound   int // of rows: MostRows
	clock   clock
	unit    string // what the rows' values are
	// requests says that each row of the file was one; they are counted into rows.
	requests bool
	// unordered says that it has been told that rows are not in order of time.
	unordered bool
	notes     []string
}

func (r *reading) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// wrong is an error at a line, 0 for none.
func (r *reading) wrong(line int, next, problem string, args ...any) error {
	return &Error{File: r.file, Line: line, Problem: fmt.Sprintf(problem, args...), Next: next}
}

// add takes a row with a number.
func (r *reading) add(x row) error {
	switch {
	case len(r.rows) >= r.bound:
		return r.wrong(x.line, "export longer steps, or a shorter time", "more than %d rows", r.bound)
	case x.value < 0:
		return r.wrong(x.line, "leave the row out if nobody knows the count; a sum of several columns may hold one that isn't a count",
			"a count of %g: less than no request can't have come", x.value)
	case x.value > most:
		return r.wrong(x.line, "look at what wrote it", "a count of %g: more than can be", x.value)
	}
	r.rows = append(r.rows, x)
	return nil
}

// request counts a row that is one request. Most files are in order of time, so
// that a step's requests come one after the other.
func (r *reading) request(at int64, line int) error {
	step := int64(r.step())
	at = floor(at, step)
	if n := len(r.rows); n > 0 && r.rows[n-1].at == at {
		r.rows[n-1].value++
		return nil
	}
	if len(r.rows) >= r.bound {
		if err := r.compact(line); err != nil {
			return err
		}
	}
	return r.add(row{at: at, value: 1, line: line})
}

// compact makes one row of a step's requests. Where several machines, or several
// threads, write into one file a step's requests take turns with those of the steps
// before it.
func (r *reading) compact(line int) error {
	if err := r.sorted(); err != nil {
		return err
	}
	// With little won it would soon be full again, and each time it is sorted.
	if len(r.rows) > r.bound/2 {
		return r.wrong(line, "say a longer -step, or cut the file", "requests in more than %d steps of %s, which are not in order of time", r.bound/2, short(r.step()))
	}
	return nil
}

// step is how long a step of requests is.
func (r *reading) step() time.Duration {
	if r.options.Step > 0 {
		return r.options.Step
	}
	return time.Second
}

func floor(v, unit int64) int64 {
	m := v % unit
	if m < 0 {
		m += unit
	}
	return v - m
}

// number reads a count. Words that stand for no value are NaN.
func number(cell string) (float64, error) {
	switch strings.ToLower(cell) {
	case "", "null", "none", "nil", "nan", "na", "n/a", "-":
		return math.NaN(), nil
	}
	v, err := strconv.ParseFloat(cell, 64)
	if err != nil && !math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is no number", shorten(cell))
	}
	return v, nil
}

// shorten keeps a message readable where a cell holds a page.
func shorten(cell string) string {
	const longest = 40
	if len(cell) <= longest {
		return cell
	}
	return strings.ToValidUTF8(cell[:longest], "") + "..."
}

// sorted puts the rows in order of time and makes one of those of the same time.
func (r *reading) sorted() error {
	for i := 1; i < len(r.rows); i++ {
		if r.rows[i].at < r.rows[i-1].at {
			if !r.unordered {
				r.note("rows are not in order of time, first at line %d; they were sorted", r.rows[i].line)
			}
			r.unordered = true
			sortRows(r.rows)
			break
		}
	}
	return r.merge()
}

// sortRows puts rows in order of time, those of one time as they are in the file.
func sortRows(rows []row) {
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.at, b.at) })
}

// merge makes one row of those of the same time.
func (r *reading) merge() error {
	if len(r.rows) == 0 {
		return r.wrong(0, "look at what wrote it", "it holds no row")
	}
	kept, doubled := r.rows[:1], 0
	for _, x := range r.rows[1:] {
		last := &kept[len(kept)-1]
		if x.at != last.at {
			kept = append(kept, x)
			continue
		}
		if !r.requests {
			doubled++
		}
		if err := r.join(last, x); err != nil {
			return err
		}
	}
	r.rows = kept
	if doubled > 0 {
		how := r.options.Doubled
		if how == "" || how == DoubledError {
			how = "equal, and counted once"
		} else {
			how = "taken by -doubled " + how
		}
		r.note("rows of the same time as another: %d, %s", doubled, how)
	}
	return nil
}

func (r *reading) join(into *row, x row) error {
	unknown := math.IsNaN(into.value) || math.IsNaN(x.value)
	switch {
	case r.requests || r.options.Doubled == DoubledSum && !unknown:
		into.value += x.value
	case r.options.Doubled == DoubledFirst:
	case math.IsNaN(x.value):
	case math.IsNaN(into.value) || r.options.Doubled == DoubledLast:
		into.value = x.value
	case into.value != x.value:
		return r.wrong(x.line, "say what counts with -doubled sum, first or last; if it is local time and clocks were set back, export UTC",
			"the time of line %d again, with %g instead of %g", into.line, x.value, into.value)
	}
	return nil
}
