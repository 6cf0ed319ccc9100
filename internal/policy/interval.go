package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// interval bounds a number or a duration, written as in mathematics: [ and ]
// include the bound, ( and ) leave it out. Durations count in seconds.
type interval struct {
	text     string
	low, up  float64
	openLow  bool
	openHigh bool
}

// parseInterval reads an interval from a struct tag. A tag that is none is a
// mistake in this package, so it panics.
func parseInterval(text string) interval {
	inner := strings.Trim(text, "[]()")
	low, up, ok := strings.Cut(inner, ",")
	if !ok {
		panic(fmt.Sprintf("policy: interval %q has no comma", text))
	}
	return interval{
		text:     text,
		low:      parseBound(low),
		up:       parseBound(up),
		openLow:  strings.HasPrefix(text, "("),
		openHigh: strings.HasSuffix(text, ")"),
	}
}

func parseBound(text string) float64 {
	if d, err := time.ParseDuration(text); err == nil && text != "0" {
		return d.Seconds()
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(fmt.Sprintf("policy: bound %q: %v", text, err))
	}
	return f
}

// holds tells whether v lies within. The zero interval holds everything.
func (i interval) holds(v float64) bool {
	switch {
	case i.text == "":
		return true
	case v < i.low, v > i.up:
		return false
	case v == i.low && i.openLow, v == i.up && i.openHigh:
		return false
	default:
		return true
	}
}

// String says the bounds in words.
func (i interval) String() string {
	low, up, _ := strings.Cut(strings.Trim(i.text, "[]()"), ",")
	from, to := "at least ", "at most "
	if i.openLow {
		from = "above "
	}
	if i.openHigh {
		to = "below "
	}
	return from + low + " and " + to + up
}
