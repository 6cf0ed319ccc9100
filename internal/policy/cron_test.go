package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// TestCronAtClockChanges holds occurrences against what a person reads off the
// clock on the wall while it is moved.
func TestCronAtClockChanges(t *testing.T) {
	for _, test := range []struct {
		name, cron, zone string
		last             bool
		after            string
		want             []string
	}{
		{"an ordinary day", "0 8 * * 1-5", "Europe/Berlin", false, "2026-03-20T08:00:00+01:00",
			[]string{"2026-03-23T08:00:00+01:00", "2026-03-24T08:00:00+01:00"}},
		{"before and after the clocks are put forward", "0 8 * * *", "Europe/Berlin", false, "2026-03-28T00:00:00+01:00",
			[]string{"2026-03-28T08:00:00+01:00", "2026-03-29T08:00:00+02:00"}},
		{"skipped", "30 2 * * *", "Europe/Berlin", false, "2026-03-28T12:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"skipped midnight", "0 0 * * *", "America/Sao_Paulo", false, "2017-10-14T12:00:00-03:00",
			[]string{"2017-10-15T01:00:00-02:00", "2017-10-16T00:00:00-02:00"}},
		{"twice, a beginning", "30 2 * * *", "Europe/Berlin", false, "2026-10-24T12:00:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"twice, an end", "30 2 * * *", "Europe/Berlin", true, "2026-10-24T12:00:00+02:00",
			[]string{"2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"}},
		{"twice by half an hour", "45 1 * * *", "Australia/Lord_Howe", false, "2026-04-04T12:00:00+11:00",
			[]string{"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"}},
		{"a day that was left out", "0 8 30 12 *", "Pacific/Apia", false, "2011-12-28T12:00:00-10:00",
			[]string{"2011-12-31T00:00:00+14:00", "2012-12-30T08:00:00+14:00"}},
		{"no changes at all", "0 8 29 2 *", "UTC", false, "2026-01-01T00:00:00Z", []string{"2028-02-29T08:00:00Z"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := parseCron(test.cron, zone(t, test.zone), test.last)
			if err != nil {
				t.Fatal(err)
			}
			at := instant(t, test.after)
			for _, want := range test.want {
				next, ok := c.next(at)
				if !ok || !next.Equal(instant(t, want)) {
					t.Fatalf("after %s: %s, want %s", at, next.In(c.zone).Format(time.RFC3339), want)
				}
				if back, ok := c.before(next.Add(time.Minute)); !ok || !back.Equal(next) {
					t.Errorf("before %s: %s", next, back)
				}
				at = next
			}
		})
	}
}

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// days around which clocks are moved, and an ordinary one.
var days = []struct{ zone, day string }{
	{"Europe/Berlin", "2026-03-29T00:00:00Z"}, {"Europe/Berlin", "2026-10-25T00:00:00Z"},
	{"America/New_York", "2026-03-08T06:00:00Z"}, {"America/New_York", "2026-11-01T05:00:00Z"},
	{"Australia/Lord_Howe", "2026-04-04T14:00:00Z"}, {"Australia/Lord_Howe", "2026-10-03T15:00:00Z"},
	{"America/Sao_Paulo", "2017-10-15T02:00:00Z"}, {"Pacific/Apia", "2011-12-30T00:00:00Z"},
	{"UTC", "2026-06-15T00:00:00Z"},
}

// TestCronAgainstEachMinute holds expressions against looking at the clock in each
// minute of five days.
func TestCronAgainstEachMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		day := rapid.SampledFrom(days).Draw(t, "day")
		text := drawCron(t)
		z, err := time.LoadLocation(day.zone)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parseCron(text, z, rapid.Bool().Draw(t, "last"))
		if err != nil {
			t.Skip(err)
		}
		begin, err := time.Parse(time.RFC3339, day.day)
		if err != nil {
			t.Fatal(err)
		}
		begin = begin.Add(-60 * time.Hour)
		end := begin.Add(120 * time.Hour)
		want := eachMinute(c, begin, end)
		at := begin.Add(time.Duration(rapid.IntRange(0, 7199).Draw(t, "minute")) * time.Minute)
		i, _ := slices.BinarySearchFunc(want, at.Add(time.Second), time.Time.Compare)
		if i < len(want) {
			if next, ok := c.next(at); !ok || !next.Equal(want[i]) {
				t.Fatalf("%q after %s: %s, want %s", text, at.In(z), next.In(z), want[i].In(z))
			}
		}
		if i > 0 {
			if last, ok := c.before(at); !ok || !last.Equal(want[i-1]) {
				t.Fatalf("%q before %s: %s, want %s", text, at.In(z), last.In(z), want[i-1].In(z))
			}
		}
	})
}

func drawCron(t *rapid.T) string {
	pick := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(t, name) }
	return strings.Join([]string{
		pick("minute", "0", "30", "*/15", "45,59", "10-40/10", "*"),
		pick("hour", "*", "0", "1", "2", "3", "8-17", "*/6", "1,2,23"),
		pick("day", "*", "*", "29,30", "1-15"), "*",
		pick("weekday", "*", "*", "1-5", "0", "7", "6"),
	}, " ")
}

// eachMinute finds the occurrences by looking at the clock in each minute.
func eachMinute(c cron, begin, end time.Time) []time.Time {
	fields := strings.Fields(c.text)
	seen := map[time.Time]time.Time{} // instants, by what the clock shows
	var walls []time.Time
	for at := begin.Add(-30 * time.Hour); at.Before(end.Add(30 * time.Hour)); at = at.Add(time.Minute) {
		wall := c.wall(at)
		if len(walls) > 0 {
			for w := walls[len(walls)-1].Add(time.Minute); w.Before(wall); w = w.Add(time.Minute) {
				seen[w] = at // skipped
			}
		}
		if _, twice := seen[wall]; !twice || c.last {
			seen[wall] = at
		}
		walls = append(walls, wall)
	}
	var all []time.Time
	for wall, at := range seen {
		if matches(fields, wall) && !at.Before(begin) && at.Before(end) {
			all = append(all, at)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
}

// matches is what crontab(5) says of the five fields.
func matches(fields []string, w time.Time) bool {
	day, weekday := fieldHas(fields[2], w.Day()), fieldHas(fields[4], int(w.Weekday())) || w.Weekday() == 0 && fieldHas(fields[4], 7)
	days := day && weekday
	if fields[2] != "*" && fields[4] != "*" {
		days = day || weekday
	}
	return days && fieldHas(fields[0], w.Minute()) && fieldHas(fields[1], w.Hour()) && fieldHas(fields[3], int(w.Month()))
}

func fieldHas(field string, n int) bool {
	for part := range strings.SplitSeq(field, ",") {
		low, high, step := 0, 59, 1
		span, by, stepped := strings.Cut(part, "/")
		if stepped {
			_, _ = fmt.Sscan(by, &step)
		}
		if span != "*" {
			_, _ = fmt.Sscanf(span, "%d", &low)
			if high = low; strings.Contains(span, "-") {
				_, _ = fmt.Sscanf(span, "%d-%d", &low, &high)
			}
		}
		if n >= low && n <= high && (n-low)%step == 0 {
			return true
		}
	}
	return false
}
