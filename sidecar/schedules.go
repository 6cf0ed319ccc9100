package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// scheduled says which of a service's schedules are in force at an instant, and
// which comes next; nothing of a service that has none.
func scheduled(s *policy.Service, now time.Time) []string {
	if len(s.Schedules) == 0 {
		return nil
	}
	table := policy.NewTimetable(s)
	var lines []string
	for _, w := range table.InForce(now) {
		until := "on"
		if !w.To.IsZero() {
			until = "until " + clock(w, w.To)
		}
		lines = append(lines, fmt.Sprintf("%q (%d to %d) is in force %s", w.Schedule.Name, w.Schedule.Min, w.Schedule.Max, until))
	}
	if len(lines) == 0 {
		lines = append(lines, "none is in force")
	}
	if w, ok := table.Next(now); ok {
		lines = append(lines, fmt.Sprintf("next is %q (%d to %d), from %s", w.Schedule.Name, w.Schedule.Min, w.Schedule.Max, clock(w, w.From)))
	}
	return lines
}

// clock is an instant by the clock that the schedule goes by.
func clock(w policy.Window, at time.Time) string {
	zone, err := time.LoadLocation(w.Schedule.TimeZone)
	if err != nil {
		zone = time.UTC // the policy was checked, so it is there
	}
	return at.In(zone).Format("Mon 2 Jan 2006 15:04 MST")
}

// validateSchedules says which bounds count now.
func validateSchedules(f *findings, s *policy.Service, now time.Time) {
	if lines := scheduled(s, now); lines != nil {
		f.fine("%s: %s cells now; schedules: %s", s.Name, policy.NewTimetable(s).At(now, 0), strings.Join(lines, "; "))
	}
}

// mostCells is the highest max that is ever in force.
func mostCells(s *policy.Service) int {
	most := s.Max
	for _, w := range s.Schedules {
		most = max(most, w.Max)
	}
	return most
}
