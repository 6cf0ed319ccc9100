package trace

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// layout is where a table has what.
type layout struct {
	names  []string // of the columns; empty where the table has none
	time   int
	values []int // the columns whose numbers are added up
	rows   int   // read so far, where a table has no times
}

// timeNames and countNames are what columns of times and of counts are called,
// in small letters without what isn't a letter.
var (
	timeNames  = []string{"time", "timestamp", "ts", "date", "datetime", "at", "minute", "minuteutc", "period", "tseconds", "hour", "interval", "start", "seconds", "timeutc"}
	countNames = []string{
		"count", "counts", "value", "requests", "rate", "rps", "qps", "hits", "messages", "invocations", "total", "sum", "reqs", "requestspersecond",
		"requestspers", "requestcount", "volume", "events", "load", "arrivals",
	}
	rateNames = []string{"rate", "rps", "qps", "requestspersecond", "requestspers", "persecond"}
)

// plain is a column's name in small letters without what isn't a letter.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(name))
}

// layout finds out from a table's first lines what its columns are, and returns
// those of them that hold data.
func (r *reading) layout(head []record) (*layout, []record, error) {
	if len(head) == 0 {
		return nil, nil, r.wrong(0, "look at what wrote it", "it is empty")
	}
	l := &layout{}
	body := head
	if !hasTime(head[0].cells) {
		l.names = head[0].cells
		body = head[1:]
	}
	if len(body) == 0 || !hasTime(body[0].cells) {
		return nil, nil, r.wrong(head[0].line, "a column has to hold times ("+layoutNames+")", "neither the first line nor the next one holds a time")
	}
	width := len(body[0].cells)
	if width == 1 && r.options.Rows == Counts {
		return l, body, r.withoutTimes(l)
	}
	if err := r.findTime(l, body); err != nil {
		return nil, nil, err
	}
	if err := r.findValues(l, body); err != nil {
		return nil, nil, err
	}
	r.findUnit(l)
	return l, body, nil
}

// hasTime reports whether one of the cells of a line is a time.
func hasTime(cells []string) bool {
	return slices.ContainsFunc(cells, func(c string) bool { _, ok := clockOf(c); return ok })
}

// withoutTimes takes a table of counts alone, one a step.
func (r *reading) withoutTimes(l *layout) error {
	if r.options.Step == 0 {
		return r.wrong(0, "say with -step how long a row stands for", "it has counts and no times")
	}
	l.values = []int{0}
	r.clock = clock{index: true}
	r.unit = r.options.Unit
	return nil
}

// findTime finds the column of times: by its name, else the first that holds
// dates, else the first that holds numbers that can be times.
func (r *reading) findTime(l *layout, body []record) error {
	cells := body[0].cells
	l.time = -1
	for i, name := range l.names {
		if i < len(cells) && slices.Contains(timeNames, plain(name)) {
			l.time = i
			break
		}
	}
	if l.time < 0 {
		l.time = slices.IndexFunc(cells, func(cell string) bool { c, ok := clockOf(cell); return ok && c.dated })
	}
	l.time = max(l.time, 0)
	c, ok := clockOf(cells[l.time])
	if !ok {
		return r.wrong(body[0].line, "write it as "+layoutNames, "column %d: %q is no time", l.time+1, shorten(cells[l.time]))
	}
	r.clock = c
	return nil
}

// findValues finds the columns of counts, or that each row is a request.
func (r *reading) findValues(l *layout, body []record) error {
	width := len(body[0].cells)
	switch {
	case r.options.Rows == Requests:
		r.requests = true
	case len(r.options.Columns) > 0:
		return r.named(l, width)
	case width == 1:
		r.becomeRequests("it has times alone")
	default:
		return r.guess(l, body)
	}
	return nil
}

// named takes the columns that the options name.
func (r *reading) named(l *layout, width int) error {
	for _, want := range r.options.Columns {
		want = strings.TrimSpace(want)
		i := slices.IndexFunc(l.names, func(n string) bool { return strings.EqualFold(strings.TrimSpace(n), want) })
		if n, err := strconv.Atoi(want); i < 0 && err == nil {
			i = n - 1
		}
		switch {
		case want == "all":
			for c := range width {
				if c != l.time {
					l.values = append(l.values, c)
				}
			}
		case i < 0 || i >= width:
			return r.wrong(0, "name "+l.others(width), "it has no column %q", want)
		case i == l.time:
			return r.wrong(0, "name "+l.others(width), "column %q holds the times", want)
		default:
			l.values = append(l.values, i)
		}
	}
	slices.Sort(l.values)
	l.values = slices.Compact(l.values)
	if r.options.Unit == Total && len(l.values) > 1 {
		return r.wrong(0, "export the sum of rate(), or one column", "counters that rise can't be added up column by column: one that begins anew would be lost in the sum")
	}
	return nil
}

// guess takes the one column that can be the counts.
func (r *reading) guess(l *layout, body []record) error {
	width := len(body[0].cells)
	var numeric, called []int
	for i := range width {
		if i == l.time {
			continue
		}
		if isNumeric(body, i) {
			numeric = append(numeric, i)
		}
		if i < len(l.names) && slices.Contains(countNames, plain(l.names[i])) {
			called = append(called, i)
		}
	}
	regular := r.regular(l, body)
	switch {
	case len(called) == 1:
		l.values = called
	case len(numeric) == 1 && regular:
		l.values = numeric
	case r.options.Rows == Counts && len(numeric) == 1:
		l.values = numeric
	case len(numeric) == 0 && r.options.Rows == "":
		r.becomeRequests("it has times, and no column of numbers")
	case len(numeric) == 1:
		return r.wrong(0, "say -rows requests or -rows counts", "its times are irregular: each row may be a request, or column %s a count", l.column(numeric[0]))
	case regular || r.options.Rows == Counts:
		return r.wrong(0, "name one with -column, or several, as in a,b, or all, to add them up", "the counts may be in any of its columns: %s", l.others(width))
	default:
		r.becomeRequests("its times are irregular, and no column is called a count")
	}
	return nil
}

// isNumeric reports whether a column holds numbers, as far as was looked.
func isNumeric(body []record, column int) bool {
	for _, rec := range body {
		if column >= len(rec.cells) {
			continue
		}
		if _, err := number(strings.TrimSpace(rec.cells[column])); err != nil {
			return false
		}
	}
	return true
}

// regular reports whether at least half of the rows follow the one before at the
// usual distance.
func (r *reading) regular(l *layout, body []record) bool {
	var rows []row
	for _, rec := range body {
		if l.time < len(rec.cells) {
			if at, err := r.clock.parse(rec.cells[l.time]); err == nil {
				rows = append(rows, row{at: at})
			}
		}
	}
	_, share := usual(rows)
	return len(rows) > 1 && share >= 0.5
}

func (r *reading) becomeRequests(why string) {
	r.requests = true
	r.note("each row is taken as one request, since %s; -rows counts says otherwise", why)
}

// findUnit finds out what the numbers are: counts, unless the column is called a rate.
func (r *reading) findUnit(l *layout) {
	r.unit = r.options.Unit
	if r.requests || r.unit != "" {
		return
	}
	r.unit = PerStep
	for _, i := range l.values {
		if i < len(l.names) && slices.Contains(rateNames, plain(l.names[i])) {
			r.unit = PerSecond
			r.note("column %s is taken as requests a second; -unit count says otherwise", l.column(i))
			return
		}
	}
}

// column is how a message calls a column.
func (l *layout) column(i int) string {
	if i < len(l.names) {
		return strconv.Quote(shorten(l.names[i]))
	}
	return strconv.Itoa(i + 1)
}

// others lists all columns but the time.
func (l *layout) others(width int) string {
	var all []string
	for i := range width {
		if i != l.time {
			all = append(all, l.column(i))
		}
	}
	const many = 8
	if len(all) > many {
		all = append(all[:many], fmt.Sprintf("%d more", len(all)-many))
	}
	return strings.Join(all, ", ")
}
