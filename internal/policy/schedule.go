package policy

import "time"

// Schedule sets other bounds for a part of the time: from each time that `cron`
// names for as long as `for` says, or until `end` names the next one.
//
// A bound that it doesn't write is the service's own. Where several are in force
// at once the highest min counts, and the highest max. A min that rises counts
// `ahead` of its time, so that the cells are there when it begins. Fewer cells are
// released as they always are, when a min falls; a max that falls has the cells
// above it drained and removed in steps of at most 1 - `law.release_keep` of them,
// under whatever load.
//
// A time that the clocks skip, as they are put forward, is the instant at which
// they are. Of one that comes twice, as they are put back, the first begins a
// window and the second ends it; `for` is time that passes.
type Schedule struct {
	// Name is the block's label, by which decisions name it.
	Name string `policy:",label"`
	// Cron says when it begins: minute, hour, day of the month, month and day of
	// the week, as in `0 8 * * 1-5`. With both days written, either of them will do.
	Cron string `policy:"cron,required"`
	// For is how long it is in force; written instead of `end`.
	For time.Duration `policy:"for" within:"[1m,8784h]"`
	// End says when it ends, in the manner of `cron`; written instead of `for`.
	End string `policy:"end"`
	// TimeZone is whose clock is meant, as in `Europe/Berlin`.
	TimeZone string `policy:"time_zone" default:"UTC"`
	// Min is the fewest cells there may be then; not written: the service's.
	Min int `policy:"min" within:"[0,100000]"`
	// Max is the most cells there may be then; not written: the service's.
	Max int `policy:"max" within:"[1,100000]"`
	// Ahead is how long before its time a min that rises counts; not written: as
	// long as a birth takes, as measured.
	Ahead time.Duration `policy:"ahead" within:"[0s,24h]"`

	// begins, ends and by are the expressions, read.
	begins, ends cron
	// measured says that Ahead is as long as a birth takes; ownMin and ownMax that
	// Min and Max are the service's.
	measured, ownMin, ownMax bool
}

// completeSchedules sets what a schedule doesn't write.
func completeSchedules(d *decoder, s *Service) {
	for _, w := range s.Schedules {
		w.measured, w.ownMin, w.ownMax = !d.written(&w.Ahead), !d.written(&w.Min), !d.written(&w.Max)
		w.follow(s)
	}
}

// follow takes over the bounds of the service that the schedule doesn't write.
func (s *Schedule) follow(own *Service) {
	if s.ownMin {
		s.Min = own.Min
	}
	if s.ownMax {
		s.Max = own.Max
	}
}

// schedules checks when other bounds are in force, and which.
func (d *decoder) schedules(s *Service) {
	named := map[string]*Schedule{}
	for _, w := range s.Schedules {
		if !serviceName.MatchString(w.Name) {
			d.add("Not a schedule's name", d.at(&w.Name), "%q can't name a schedule. Use at most 48 of a-z, 0-9 and -, with a letter first and no - at the end.", w.Name)
		}
		if first := named[w.Name]; first != nil {
			d.add("Two schedules of one name", d.at(&w.Name), "Service %q has a schedule %q already, at line %d. Rename or remove one of them.",
				s.Name, w.Name, d.at(&first.Name).Start.Line)
		}
		named[w.Name] = w
		d.window(w)
		d.scheduledBounds(s, w)
	}
}

// window reads when a schedule begins and ends.
func (d *decoder) window(w *Schedule) {
	zone, err := time.LoadLocation(w.TimeZone)
	if err != nil || w.TimeZone == "" || w.TimeZone == "Local" {
		d.refuse("No such time zone", &w.TimeZone, `is %q. Write a name of the IANA time zone database, such as "Europe/Berlin", or "UTC".`, w.TimeZone)
		return
	}
	w.begins = d.cron(&w.Cron, zone, false)
	switch hasFor, hasEnd := d.written(&w.For), d.written(&w.End); {
	case hasFor && hasEnd:
		d.add("Two ends", d.at(&w.End), "%s has for and end. Keep one of them.", d.names[w])
	case !hasFor && !hasEnd:
		d.add("Missing value", d.at(w), `%s has no end. Add for = "10h", or end = "0 18 * * 1-5".`, d.names[w])
	case hasEnd:
		w.ends = d.cron(&w.End, zone, true)
	}
}

func (d *decoder) cron(text *string, zone *time.Location, last bool) cron {
	if !d.sound(text) {
		return cron{}
	}
	c, err := parseCron(*text, zone, last)
	if err != nil {
		d.refuse("Not a time", text, `is %q: %s. Write five fields, such as "0 8 * * 1-5" for 8:00 on working days.`, *text, err)
	}
	return c
}

// scheduledBounds checks the bounds that a schedule brings.
func (d *decoder) scheduledBounds(s *Service, w *Schedule) {
	if !d.sound(&w.Min, &w.Max, &s.Min, &s.Max) {
		return
	}
	switch {
	case !d.written(&w.Min) && !d.written(&w.Max):
		d.add("No bounds", d.at(w), "%s sets neither min nor max. Write the one it is there for, or remove it.", d.names[w])
	case w.Min > w.Max:
		d.add("Bounds the wrong way round", d.at(&w.Min, &w.Max), "min of %s is %d%s, above max, which is %d%s. Lower min or raise max.",
			d.names[w], w.Min, d.ofService(&w.Min), w.Max, d.ofService(&w.Max))
	case s.HoldsData && s.Drain.Path == "" && len(s.Drain.Command) == 0 && (w.Min != s.Max || w.Max != s.Max):
		d.add("Data without a drain", d.at(w), "%s changes how many cells there may be, but service %q holds data, and no cell that holds "+
			"data is removed before it has been drained. Write drain { command = [\"move-rows\"] }, or remove the schedule.", d.names[w], s.Name)
	}
}

func (d *decoder) ofService(ptr any) string {
	if d.written(ptr) {
		return ""
	}
	return " (the service's)"
}
