package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// scheduled is the timetable of a service of 2 to 10 cells.
func scheduled(t *testing.T, schedules string) *Timetable {
	t.Helper()
	return NewTimetable(parse(t, "service \"a\" {\n min = 2\n max = 10\n terraform { dir = \"a\" }\n"+schedules+"\n}\n").Services[0])
}

const working = `
schedule "day" {
  cron      = "0 8 * * 1-5"
  end       = "0 18 * * 1-5"
  time_zone = "Europe/Berlin"
  min       = 6
  max       = 30
}
schedule "launch" {
  cron  = "0 12 3 6 *"
  for   = "2h"
  min   = 20
  max   = 25
  ahead = "0s"
}
schedule "night" {
  cron = "0 0 * * *"
  for  = "7h"
  max  = 4
}`

func TestBoundsInForce(t *testing.T) {
	for _, test := range []struct {
		name, at string
		birth    time.Duration
		want     Bounds
	}{
		{"the service's own", "2026-06-01T20:00:00Z", 0, Bounds{Min: 2, Max: 10}},
		{"from the minute it begins", "2026-06-01T06:00:00Z", 0, Bounds{Min: 6, Max: 30, MinBy: "day", MaxBy: "day"}},
		{"up to the minute it ends", "2026-06-01T15:59:59Z", 0, Bounds{Min: 6, Max: 30, MinBy: "day", MaxBy: "day"}},
		{"from then on no more", "2026-06-01T16:00:00Z", 0, Bounds{Min: 2, Max: 10}},
		{"of two the highest of each", "2026-06-03T12:30:00Z", 0, Bounds{Min: 20, Max: 30, MinBy: "launch", MaxBy: "day"}},
		{"a min it doesn't write is the service's", "2026-06-01T03:00:00Z", 0, Bounds{Min: 2, Max: 4, MaxBy: "night"}},
		{"a max that is lower gives way", "2026-06-01T06:30:00Z", 0, Bounds{Min: 6, Max: 30, MinBy: "day", MaxBy: "day"}},
		{"not yet", "2026-06-01T05:54:59Z", 5 * time.Minute, Bounds{Min: 2, Max: 4, MaxBy: "night"}},
		{"a birth ahead of its time, with the max it takes", "2026-06-01T05:55:00Z", 5 * time.Minute,
			Bounds{Min: 6, Max: 30, MinBy: "day", MaxBy: "day", MinFrom: instant(t, "2026-06-01T06:00:00Z")}},
		{"told not to", "2026-06-03T11:59:00Z", time.Hour, Bounds{Min: 6, Max: 30, MinBy: "day", MaxBy: "day"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := scheduled(t, working).At(instant(t, test.at), test.birth)
			if !got.MinFrom.Equal(test.want.MinFrom) {
				t.Errorf("ahead of %s, want %s", got.MinFrom, test.want.MinFrom)
			}
			got.MinFrom, test.want.MinFrom = time.Time{}, time.Time{}
			if got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

func TestWindows(t *testing.T) {
	table := scheduled(t, working)
	in := func(at string) (all []string) {
		for _, w := range table.InForce(instant(t, at)) {
			all = append(all, fmt.Sprintf("%s %s-%s", w.Schedule.Name, w.From.UTC().Format("02 15:04"), w.To.UTC().Format("02 15:04")))
		}
		return all
	}
	if got, want := in("2026-06-01T06:30:00Z"), []string{"day 01 06:00-01 16:00", "night 01 00:00-01 07:00"}; !slices.Equal(got, want) {
		t.Errorf("in force: %v, want %v", got, want)
	}
	if w, ok := table.Next(instant(t, "2026-06-01T06:30:00Z")); !ok || w.Schedule.Name != "night" || !w.From.Equal(instant(t, "2026-06-02T00:00:00Z")) {
		t.Errorf("next: %+v, %v", w, ok)
	}
}

// TestWindowsThatMeet begin again before they have ended, or as they do.
func TestWindowsThatMeet(t *testing.T) {
	table := scheduled(t, `
schedule "hours" {
  cron = "0 8-11 * * *"
  for  = "1h"
  min  = 3
}
schedule "always" {
  cron = "0 0 * * *"
  end  = "0 0 * * *"
  max  = 20
}`)
	at := instant(t, "2026-06-01T09:15:00Z")
	all := table.InForce(at)
	if len(all) != 2 || !all[0].To.Equal(instant(t, "2026-06-01T12:00:00Z")) || !all[1].To.IsZero() {
		t.Errorf("in force: %+v", all)
	}
	if w, ok := table.Next(at); !ok || w.Schedule.Name != "hours" || !w.From.Equal(instant(t, "2026-06-02T08:00:00Z")) {
		t.Errorf("next: %+v, %v", w, ok)
	}
}

// TestTimetableForgetsNothing asks one timetable in any order, and for each
// instant a new one: what was remembered makes no difference. min is never above
// max, and neither is below what the service or a schedule in force says.
func TestTimetableForgetsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, diags := Parse("test.hcl", []byte(drawService(t)))
		if diags.HasErrors() {
			t.Skip(diags)
		}
		s := p.Services[0]
		table := NewTimetable(s)
		begin := time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)
		for range 10 {
			at := begin.Add(time.Duration(rapid.IntRange(0, 14*24*60).Draw(t, "minute")) * time.Minute)
			birth := time.Duration(rapid.IntRange(0, 600).Draw(t, "birth")) * time.Second
			got, want := table.At(at, birth), NewTimetable(s).At(at, birth)
			if got != want {
				t.Fatalf("at %s: %+v, want %+v", at, got, want)
			}
			if got.Min > got.Max {
				t.Fatalf("at %s: %+v", at, got)
			}
			for i, w := range s.Schedules {
				if in := inForce(w, at); in != (table.page(i, at).window.Schedule != nil) {
					t.Fatalf("at %s schedule %s: in force should be %v", at, w.Name, in)
				} else if in && (got.Min < w.Min || got.Max < w.Max) {
					t.Fatalf("at %s: %+v below schedule %s", at, got, w.Name)
				}
			}
		}
	})
}

func drawService(t *rapid.T) string {
	var b strings.Builder
	b.WriteString("service \"a\" {\n min = 5\n max = 10\n terraform { dir = \"a\" }\n")
	for i := range rapid.IntRange(1, 3).Draw(t, "schedules") {
		end := fmt.Sprintf("for = \"%dm\"", rapid.IntRange(1, 3000).Draw(t, "for"))
		if rapid.Bool().Draw(t, "end") {
			end = fmt.Sprintf("end = %q", drawCron(t))
		}
		fmt.Fprintf(&b, "schedule \"s%d\" {\n cron = %q\n %s\n time_zone = %q\n min = %d\n max = %d\n}\n", i, drawCron(t), end,
			rapid.SampledFrom(days).Draw(t, "zone").zone, rapid.IntRange(0, 10).Draw(t, "min"), rapid.IntRange(10, 20).Draw(t, "max"))
	}
	return b.String() + "}\n"
}

// inForce is what the documentation says, in as few words.
func inForce(s *Schedule, at time.Time) bool {
	began, ok := s.begins.before(at)
	if s.For > 0 {
		return ok && at.Before(began.Add(s.For))
	}
	ended, has := s.ends.before(at)
	return ok && (!has || !ended.After(began))
}

// BenchmarkTimetable asks in each beat of a week.
func BenchmarkTimetable(b *testing.B) {
	p, diags := Parse("test.hcl", []byte("service \"a\" {\n min = 2\n max = 10\n terraform { dir = \"a\" }\n"+working+"\n}\n"))
	if diags.HasErrors() {
		b.Fatal(diags)
	}
	for b.Loop() {
		table, at := NewTimetable(p.Services[0]), time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
		for range 7 * 24 * 720 {
			table.At(at, time.Minute)
			at = at.Add(5 * time.Second)
		}
	}
}
