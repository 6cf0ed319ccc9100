package policy

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a blank machine may have none, and all must read a schedule alike

	"github.com/adhocore/gronx"
)

// cron is an expression and the clock on the wall that it speaks of.
//
// The expression itself knows nothing of daylight saving: it is followed on a
// wall clock that is written as UTC, where each minute comes once, and only what
// it gives is turned into instants. So each occurrence happens exactly once. One
// that the clock skips happens when the clock skips it. One that the clock shows
// twice happens at the first time, or, where last is set, at the second: a window
// that begins or ends in such an hour is not made shorter by it.
type cron struct {
	text string
	zone *time.Location
	last bool
}

// parseCron reads an expression of five fields.
func parseCron(text string, zone *time.Location, last bool) (cron, error) {
	c := cron{text: strings.Join(strings.Fields(text), " "), zone: zone, last: last}
	if n := len(strings.Fields(text)); n != 5 {
		return c, fmt.Errorf("it has %d fields and not the five minute, hour, day of the month, month and day of the week", n)
	}
	if !gronx.New().IsValid(c.text) {
		return c, errors.New("a field of it can't be read, or is outside minute 0-59, hour 0-23, day 1-31, month 1-12, weekday 0-7")
	}
	if _, ok := c.next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)); !ok {
		return c, errors.New("no such day comes within years")
	}
	return c, nil
}

// next returns the first occurrence after t. It is false where none comes within
// a few years.
func (c cron) next(t time.Time) (time.Time, bool) {
	wall := c.wall(t).Add(-c.slack(t))
	for {
		tick, err := gronx.NextTickAfter(c.text, wall, false)
		if err != nil {
			return time.Time{}, false
		}
		if at := c.instant(tick); at.After(t) {
			return at, true
		}
		wall = tick
	}
}

// before returns the last occurrence that isn't after t. It is false where there
// was none within a few years.
func (c cron) before(t time.Time) (time.Time, bool) {
	wall := c.wall(t).Add(c.slack(t)).Add(time.Second) // t itself counts
	for {
		tick, err := gronx.PrevTickBefore(c.text, wall, false)
		if err != nil {
			return time.Time{}, false
		}
		if at := c.instant(tick); !at.After(t) {
			return at, true
		}
		wall = tick
	}
}

// wall is what the clock shows at t, written as UTC.
func (c cron) wall(t time.Time) time.Time {
	t = t.In(c.zone)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// slack is how far what the clock shows may be from what it has shown or will
// show, because it is moved about now.
func (c cron) slack(t time.Time) time.Duration {
	from, to := t.In(c.zone).ZoneBounds()
	for _, moved := range []time.Time{from, to} {
		if moved.IsZero() {
			continue
		}
		if by := c.moved(moved); t.Sub(moved).Abs() <= by {
			return by
		}
	}
	return 0
}

// moved is by how much the clock is moved at an instant, either way.
func (c cron) moved(at time.Time) time.Duration {
	_, after := at.In(c.zone).Zone()
	_, before := at.Add(-time.Second).In(c.zone).Zone()
	return (time.Duration(after-before) * time.Second).Abs()
}

// instant is when the clock shows what is written as UTC.
func (c cron) instant(wall time.Time) time.Time {
	at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), 0, 0, c.zone)
	from, to := at.ZoneBounds()
	if !c.wall(at).Equal(wall) {
		// The clock skips it. Go gives a time on one side or the other.
		if !from.IsZero() && at.Sub(from) <= c.moved(from) {
			return from
		}
		return to
	}
	if again, ok := c.shownAgain(wall, from.Add(-time.Second)); ok && again.Before(from) && !c.last {
		return again
	}
	if again, ok := c.shownAgain(wall, to); ok && !again.Before(to) && c.last {
		return again
	}
	return at
}

// shownAgain is when the clock shows wall by the offset that it has at other.
func (c cron) shownAgain(wall, other time.Time) (time.Time, bool) {
	if other.Year() < 2 { // a zone without changes
		return time.Time{}, false
	}
	_, offset := other.In(c.zone).Zone()
	at := wall.Add(-time.Duration(offset) * time.Second)
	return at, c.wall(at).Equal(wall)
}
