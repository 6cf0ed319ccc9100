package trace

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// clock is how a file writes times: a layout, or a number of some unit.
type clock struct {
	layout string
	unit   int64 // nanoseconds of one, for numbers
	dated  bool  // since 1970, and not since the file's own beginning
	index  bool  // there are no times: a row is a step after the one before
}

// layouts are the ways to write a time. Go reads a fraction of a second where the
// layout has none, too. A time without a zone is taken as UTC.
var layouts = []string{
	time.RFC3339,
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05 -0700",
	"2006-01-02 15:04:05 MST",
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05",
	"2006-01-02T15:04",
	"2006-01-02 15:04",
	"2006/01/02 15:04:05",
	"2006/01/02 15:04",
	"02/Jan/2006:15:04:05 -0700", // web servers' logs
	"2006-01-02",
}

// layoutNames is how a message lists them.
const layoutNames = "unix seconds, milliseconds, RFC 3339 or 2006-01-02 15:04:05"

// clockOf finds out how a cell's time is written.
func clockOf(cell string) (clock, bool) {
	cell = bare(cell)
	if v, err := strconv.ParseFloat(cell, 64); err == nil {
		return numericClock(v)
	}
	for _, layout := range layouts {
		c := clock{layout: layout, dated: true}
		if _, err := c.parse(cell); err == nil {
			return c, true
		}
	}
	return clock{}, false
}

// numericClock tells the unit of a number from its size: seconds since 1970 have
// ten digits from 2001 to 2286. Small numbers are seconds since the beginning.
func numericClock(v float64) (clock, bool) {
	switch {
	case !(v >= 0) || v >= 9.2e18:
		return clock{}, false
	case v >= 1e17:
		return clock{unit: 1, dated: true}, true
	case v >= 1e14:
		return clock{unit: int64(time.Microsecond), dated: true}, true
	case v >= 1e11:
		return clock{unit: int64(time.Millisecond), dated: true}, true
	}
	return clock{unit: int64(time.Second), dated: v >= 1e8}, true
}

// bare takes off what web servers put around times.
func bare(cell string) string { return strings.Trim(strings.TrimSpace(cell), "[]") }

// parse reads a time, in nanoseconds.
func (c clock) parse(cell string) (int64, error) {
	cell = bare(cell)
	if c.layout == "" {
		return c.parseNumber(cell)
	}
	t, err := time.Parse(c.layout, cell)
	if err != nil {
		return 0, fmt.Errorf("%q is no time like %s", shorten(cell), c.layout)
	}
	if y := t.Year(); y < 1900 || y > 2200 {
		return 0, fmt.Errorf("the year %d is none of a recorded load", y)
	}
	return t.UnixNano(), nil
}

func (c clock) parseNumber(cell string) (int64, error) {
	// A whole number of nanoseconds has more digits than a float64.
	if v, err := strconv.ParseInt(cell, 10, 64); err == nil {
		if v < 0 || v > math.MaxInt64/c.unit {
			return 0, fmt.Errorf("%d is no time in seconds like those before", v)
		}
		return v * c.unit, nil
	}
	v, err := strconv.ParseFloat(cell, 64)
	if err != nil || !(v >= 0) || v*float64(c.unit) >= 9.2e18 {
		return 0, fmt.Errorf("%q is no time in seconds like those before", shorten(cell))
	}
	return int64(math.Round(v * float64(c.unit))), nil
}

// say writes a time as a person reads it.
func (c clock) say(at int64) string {
	if !c.dated {
		return short(time.Duration(at)) + " after the beginning"
	}
	return time.Unix(0, at).UTC().Format("2006-01-02 15:04:05")
}

// short writes a duration without the zeros at its end: 5m, not 5m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
