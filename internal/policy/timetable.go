package policy

import (
	"fmt"
	"time"
)

// Bounds are the fewest and the most cells of a service at one instant.
type Bounds struct {
	Min, Max int
	// MinBy and MaxBy name the schedules that set them; empty where it is the
	// service's own.
	MinBy, MaxBy string
	// MinFrom is when the schedule of MinBy begins, where its min counts ahead of
	// that; zero otherwise.
	MinFrom time.Time
}

// String says the bounds in words: 10 to 40.
func (b Bounds) String() string { return fmt.Sprintf("%d to %d", b.Min, b.Max) }

// Window is a part of the time in which a schedule is in force.
type Window struct {
	Schedule *Schedule
	// From and To are its ends. A To of zero is none that could be found: it goes on.
	From, To time.Time
}

// Timetable says which bounds are in force when. It remembers what it has looked
// up, so that asking it at each beat, or at each of a week's in a simulation,
// costs next to nothing. It is not safe for concurrent use.
type Timetable struct {
	service *Service
	pages   []page
}

// page is what is known of one schedule from one of its times to the next.
type page struct {
	from, to  time.Time // for which instants it holds; to is left out
	window    Window    // the one in force; of no schedule where none is
	upcoming  Window    // the next to begin
	willBegin bool
}

// NewTimetable returns the timetable of a service.
func NewTimetable(s *Service) *Timetable {
	return &Timetable{service: s, pages: make([]page, len(s.Schedules))}
}

// At returns the bounds at an instant. Birth is how long a cell takes to be born:
// so long ahead of its time a min that rises counts, where the schedule says
// nothing else; and with it the schedule's max, if that is what allows it.
func (t *Timetable) At(at time.Time, birth time.Duration) Bounds {
	b := Bounds{Min: t.service.Min, Max: t.service.Max}
	one := false
	for i := range t.service.Schedules {
		if p := t.page(i, at); p.window.Schedule != nil {
			b.take(t.service, p.window.Schedule, one)
			one = true
		}
	}
	for i, s := range t.service.Schedules {
		p := t.page(i, at)
		if s.Min <= b.Min || !p.willBegin || p.upcoming.From.Sub(at) > s.ahead(birth) {
			continue
		}
		b.Min, b.MinBy, b.MinFrom = s.Min, s.Name, p.upcoming.From
		if b.Max < s.Max && b.Max < b.Min {
			b.Max, b.MaxBy = s.Max, s.Name
		}
	}
	return b
}

// take takes over the bounds of a schedule that is in force. The first takes the
// place of the service's own, and of several the highest count.
func (b *Bounds) take(own *Service, s *Schedule, others bool) {
	if !others || s.Min > b.Min {
		b.Min, b.MinBy = s.Min, s.nameUnless(s.Min == own.Min)
	}
	if !others || s.Max > b.Max {
		b.Max, b.MaxBy = s.Max, s.nameUnless(s.Max == own.Max)
	}
}

// nameUnless is the schedule's name where the bound isn't the service's own.
func (s *Schedule) nameUnless(own bool) string {
	if own {
		return ""
	}
	return s.Name
}

// ahead is how long before its time the schedule's min counts.
func (s *Schedule) ahead(birth time.Duration) time.Duration {
	if s.measured {
		return birth
	}
	return s.Ahead
}

// InForce returns the windows that an instant lies in, in the order of the file.
func (t *Timetable) InForce(at time.Time) []Window {
	var all []Window
	for i := range t.pages {
		if p := t.page(i, at); p.window.Schedule != nil {
			all = append(all, p.window)
		}
	}
	return all
}

// Next returns the window that begins next after an instant, of several the first
// in the file. It is false where none does within a few years.
func (t *Timetable) Next(at time.Time) (Window, bool) {
	var first Window
	for i := range t.pages {
		p := t.page(i, at)
		if p.willBegin && (first.Schedule == nil || p.upcoming.From.Before(first.From)) {
			first = p.upcoming
		}
	}
	return first, first.Schedule != nil
}

// page looks up one schedule.
func (t *Timetable) page(i int, at time.Time) *page {
	p := &t.pages[i]
	if p.from.IsZero() || at.Before(p.from) || !at.Before(p.to) {
		*p = t.service.Schedules[i].page(at)
	}
	return p
}

// never is later than any instant that is asked for.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func (s *Schedule) page(at time.Time) page {
	p := page{from: at, to: never}
	after := at
	if began, has := s.begins.before(at); has {
		p.from = began
		switch end := s.endOf(began); {
		case end.IsZero() || at.Before(end):
			p.window = s.window(began)
		case end.After(began):
			p.from = end
		}
		if to := p.window.To; !to.IsZero() {
			p.to, after = to, to
		}
	}
	next, ok := s.begins.next(after)
	if !ok {
		return p
	}
	if next.Before(p.to) {
		p.to = next
	}
	if p.window.Schedule == nil || !p.window.To.IsZero() {
		p.upcoming, p.willBegin = s.window(next), true
	}
	return p
}

// endOf is when what began at an instant ends by itself; zero for never.
func (s *Schedule) endOf(began time.Time) time.Time {
	if s.For > 0 {
		return began.Add(s.For)
	}
	end, _ := s.ends.next(began)
	return end
}

// mostJoined is how often a window is followed that begins again before it has
// ended, or as it does.
const mostJoined = 100

// window is the one that begins at an instant. Where it begins again by the time
// it ends, it goes on.
func (s *Schedule) window(from time.Time) Window {
	to := s.endOf(from)
	for range mostJoined {
		last, _ := s.begins.before(to)
		end := s.endOf(last)
		if to.IsZero() || !end.IsZero() && !end.After(to) {
			return Window{Schedule: s, From: from, To: to}
		}
		to = end
	}
	return Window{Schedule: s, From: from}
}
