package loop

import "github.com/homeostat-io/terraform-provider-homeostat/internal/policy"

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
