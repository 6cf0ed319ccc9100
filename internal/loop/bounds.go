package loop

import (
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// boundsAt are those of another service at an instant; one that rises ahead of its
// time isn't seen before.
func boundsAt(s *policy.Service, at time.Time) policy.Bounds {
	if len(s.Schedules) == 0 {
		return policy.Bounds{Min: s.Min, Max: s.Max}
	}
	return policy.NewTimetable(s).At(at, 0)
}

// bounds are those in force at the last look. A min that rises counts a birth
// ahead of its time, and a beat, since orders are placed at one.
func (l *Leader) bounds() policy.Bounds {
	if len(l.Service.Schedules) == 0 {
		return policy.Bounds{Min: l.Service.Min, Max: l.Service.Max}
	}
	if l.table == nil {
		l.table = policy.NewTimetable(l.Service)
	}
	at := l.seen.at
	if at.IsZero() {
		at = l.Now()
	}
	birth := l.Service.Birth.Time
	if median, known := l.memory.Book.Median(); known {
		birth = median
	}
	return l.table.At(at, birth+l.Service.Beat)
}
