package trace

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cut keeps the rows from one time to another.
func (r *reading) cut() error {
	first, last := r.rows[0].at, r.rows[len(r.rows)-1].at
	from, err := r.moment("from", r.options.From, first, math.MinInt64)
	if err != nil {
		return err
	}
	to, err := r.moment("to", r.options.To, first, math.MaxInt64)
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(r.rows, func(x row) bool { return x.at < from || x.at >= to })
	if len(kept) < 2 {
		return r.wrong(0, "move -from and -to", "fewer than two rows lie in the time asked for; it lasts from %s to %s", r.clock.say(first), r.clock.say(last))
	}
	r.rows = kept
	return nil
}

// moment reads a bound of the time asked for, in nanoseconds as the rows have.
func (r *reading) moment(name, text string, first, none int64) (int64, error) {
	if text == "" {
		return none, nil
	}
	if d, err := parseDuration(text); err == nil {
		return first + int64(d), nil
	}
	c, ok := clockOf(text)
	if !ok {
		return 0, fmt.Errorf("-%s %q is neither a time (%s) nor how long after the trace's beginning, such as 36h or 2d", name, text, layoutNames)
	}
	if c.dated != r.clock.dated {
		return 0, fmt.Errorf("-%s %q: the trace's times are of another kind, such as %s; say how long after its beginning instead, such as 36h or 2d",
			name, text, r.clock.say(r.rows[0].at))
	}
	return c.parse(text)
}

// parseDuration reads Go's durations, and days.
func parseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || !(n >= 0 && n <= 36500) {
			return 0, fmt.Errorf("%q is no number of days", text)
		}
		return time.Duration(n * float64(24*time.Hour)), nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && (d < 0 || d > 36500*24*time.Hour) {
		err = fmt.Errorf("%s is no time after the beginning", text)
	}
	return d, err
}

// scale multiplies the load as the options say.
func (s *Series) scale(o Options, r *reading) error {
	factor := o.Scale
	if o.Peak > 0 {
		peak := slices.Max(s.Counts) / s.Step.Seconds()
		if peak == 0 {
			return r.wrong(0, "cut it with -from and -to where there is load", "nothing in it can be scaled to a peak of %g/s: all counts are zero", o.Peak)
		}
		factor = o.Peak / peak
	}
	if factor == 0 || factor == 1 {
		return nil
	}
	for i := range s.Counts {
		s.Counts[i] = min(s.Counts[i]*factor, most)
	}
	s.note("the load is scaled by %.4g", factor)
	return nil
}
