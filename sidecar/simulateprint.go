package main

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/table"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/trial"
)

// print prints what was played, how it fared, and what that says.
func (sim *simulation) print(std stdio, fares []trial.Fare) error {
	t := sim.fares(fares)
	if sim.format == "csv" {
		// The table alone goes where a program reads it.
		sim.notes(std.Err, "")
		return t.Write(std.Out, sim.format)
	}
	sim.printSetting(std.Out)
	if err := t.Write(std.Out, sim.format); err != nil {
		return err
	}
	for _, line := range sim.verdict(fares) {
		say(std.Out, "%s", line)
	}
	return nil
}

// printSetting says what is played: the load, the cells, the births.
func (sim *simulation) printSetting(w io.Writer) {
	s, bullet := sim.series, "  "
	if sim.format == "markdown" {
		bullet = "* "
	}
	line := func(name, format string, args ...any) {
		say(w, "%s%-7s %s", bullet, name, fmt.Sprintf(format, args...))
	}
	say(w, "%s: what %s would have done\n", sim.service.Name, filepath.Base(sim.policyFile))
	begin := ""
	if s.Dated {
		begin = " from " + s.Start.Format("2006-01-02 15:04 MST")
	}
	line("load", "%s: %s%s, a count every %s", sim.traceName(), inWords(s.Lasts()), begin, inWords(s.Step))
	line("sum", "%s", sim.loadFigures())
	world := sim.world(sim.service)
	count := fmt.Sprintf("%d to %d", world.Min, world.Max)
	if world.Min == world.Max {
		count = fmt.Sprint(world.Min)
	}
	line("cells", "%s/s each, %s of them%s; the peak needs %d at a busy share of %g",
		number(round3(sim.cellRate)), count, sim.scheduled(world), sim.peakNeeds(), world.DemandBusy)
	order := "one order after the other"
	if !world.Serial {
		order = "orders overlap"
	}
	from, to := sim.birth.Half()
	line("births", "%s, half of them %s to %s; %s", inWords(sim.birth.Median), inWords(from.Round(time.Second)), inWords(to.Round(time.Second)), order)
	line("slow", "is what waits longer than %s", inWords(world.SLO))
	if also := sim.harder(); also != "" {
		line("also", "%s", also)
	}
	sim.notes(w, bullet)
	say(w, "")
}

// traceName is what the load is called.
func (sim *simulation) traceName() string {
	if sim.trace == "-" {
		return "standard input"
	}
	return filepath.Base(sim.trace)
}

// scheduled says what schedules make of the bounds.
func (sim *simulation) scheduled(w simulate.World) string {
	switch n := len(sim.service.Schedules); {
	case n == 0:
		return ""
	case len(w.Bounds) == 0:
		return ", schedules left out as the load has no dates"
	default:
		return fmt.Sprintf(", by %s other ones (%s)", plural(n, "schedule"), plural(len(w.Bounds)-1, "change"))
	}
}

// loadFigures are the sum, the mean and the peak of the load.
func (sim *simulation) loadFigures() string {
	s := sim.series
	sum, peak := 0.0, 0
	for i, c := range s.Counts {
		sum += c
		if c > s.Counts[peak] {
			peak = i
		}
	}
	at := s.Start.Add(time.Duration(peak) * s.Step)
	when := "after " + inWords(at.Sub(s.Start))
	if s.Dated {
		when = "on " + at.Format("2 January at 15:04")
	}
	return fmt.Sprintf("%s requests, %s/s on average, %s/s at the peak %s",
		number(math.Round(sum)), number(round3(sum/s.Lasts().Seconds())), number(round3(s.Counts[peak]/s.Step.Seconds())), when)
}

// round3 keeps three digits before number does the rest.
func round3(v float64) float64 {
	if v == 0 || math.Abs(v) >= 100 {
		return math.Round(v)
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	return math.Round(v/unit) * unit
}

// harder is what of real life was asked for.
func (sim *simulation) harder() string {
	var parts []string
	add := func(yes bool, format string, args ...any) {
		if yes {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	t := sim.truer
	add(t.FailShare > 0, "%g %% of births fail", 100*t.FailShare)
	add(t.LateShare > 0, "%g %% of orders take %d times as long", 100*t.LateShare, lateFactor)
	add(t.Pause > 0, "consumers pause %s when an order lands", inWords(t.Pause))
	add(t.Drift > 0, "what a cell can do swings by %g %%", 100*t.Drift)
	add(t.Queueing, "requests come singly")
	return strings.Join(parts, ", ")
}

// notes say what was made of the trace and of the policy.
func (sim *simulation) notes(w io.Writer, bullet string) {
	for _, n := range sim.series.Notes {
		say(w, "%snote    %s", bullet, n)
	}
	if sim.service.Beat%time.Second != 0 {
		say(w, "%snote    the beat of %s is played as %s: the picture has steps of a second", bullet, sim.service.Beat, sim.lawConfig(sim.service).Beat)
	}
	if sim.service.KafkaLag == nil {
		say(w, "%snote    what waits is the queue before the cells; how long an answer itself takes isn't in the picture", bullet)
	}
}

// column is a figure of the table.
type column struct {
	name  string
	value func(simulate.Result) float64
	whole bool
}

var (
	fareColumns = []column{
		{"p99 wait s", func(r simulate.Result) float64 { return r.P99Wait }, false},
		{"cost", func(r simulate.Result) float64 { return r.Cost }, false},
		{"cell hours", func(r simulate.Result) float64 { return r.CellHours }, true},
		{"most", func(r simulate.Result) float64 { return float64(r.Most) }, true},
		{"changes/h", func(r simulate.Result) float64 { return r.ChangesAHour }, false},
	}
	// elasticity are the measures of SPEC's research group.
	elasticity = []column{
		{"theta_U %", func(r simulate.Result) float64 { return r.Under }, false},
		{"theta_O %", func(r simulate.Result) float64 { return r.Over }, false},
		{"tau_U %", func(r simulate.Result) float64 { return r.UnderTime }, false},
		{"tau_O %", func(r simulate.Result) float64 { return r.OverTime }, false},
		{"upsilon %", func(r simulate.Result) float64 { return r.Unstable }, false},
		{"jitter/min", func(r simulate.Result) float64 { return r.Jitter }, false},
	}
)

func slowOf(r simulate.Result) float64 { return r.Slow }

// fares is the table of how each fared.
func (sim *simulation) fares(fares []trial.Fare) *table.Table {
	columns := fareColumns
	if sim.measures || sim.format == "csv" {
		columns = slices.Concat(columns, elasticity)
	}
	t := &table.Table{Head: []string{"law", "slow %"}}
	spread, apart := sim.seeds > 1, sim.format == "csv" // a program reads numbers, not ranges
	switch {
	case spread && apart:
		t.Head = append(t.Head, "slow % from", "slow % to")
	case spread:
		t.Head = append(t.Head, "from-to")
	}
	for _, c := range columns {
		t.Head = append(t.Head, c.name)
	}
	for _, f := range fares {
		mean := f.Mean()
		cells := []any{f.Name, mean.Slow}
		switch least, most := f.Spread(slowOf); {
		case spread && apart:
			cells = append(cells, least, most)
		case spread:
			cells = append(cells, table.Figure(least)+"-"+table.Figure(most))
		}
		for _, c := range columns {
			v := c.value(mean)
			if c.whole {
				cells = append(cells, fmt.Sprintf("%.0f", v))
				continue
			}
			cells = append(cells, v)
		}
		t.Add(cells...)
	}
	return t
}

// verdict says in words what the table says of the policy.
func (sim *simulation) verdict(fares []trial.Fare) []string {
	ours := fares[0].Mean()
	w := sim.world(sim.service)
	var lines []string
	how := fmt.Sprintf("%s %% of the requests wait longer than %s", table.Figure(ours.Slow), inWords(w.SLO))
	if ours.Slow == 0 {
		how = fmt.Sprintf("no request waits longer than %s", inWords(w.SLO))
	}
	lines = append(lines, fmt.Sprintf("Under this policy %s, with %s times the cells that were needed.", how, table.Figure(ours.Cost)))
	switch full := len(w.Bounds) == 0 && ours.Most >= w.Max && ours.Slow > 0; {
	case full && w.Max < sim.service.Max:
		lines = append(lines, fmt.Sprintf("At times all %d cells are there that the partitions occupy: try more of them, as in -partitions %d.", w.Max, 2*sim.partitions))
	case full:
		lines = append(lines, fmt.Sprintf("At times all %d cells are there that may be: try more, as in -set max=%d.", w.Max, 2*w.Max))
	}
	if ours.Backlog > ours.Requests/100 && sim.peakNeeds() > w.Max {
		lines = append(lines, "The backlog isn't worked off at the end: the load is more than max can serve.")
	}
	return append(lines, compare(fares)...)
}

// compare says which of the others are better: lower in one of slow and cost, and
// not higher in the other, to the digits that are printed.
func compare(fares []trial.Fare) []string {
	if len(fares) < 2 {
		return nil
	}
	printed := func(v float64) float64 { return math.Round(v*1000) / 1000 }
	ours := fares[0].Mean()
	var better, worse, same []string
	for _, f := range fares[1:] {
		r := f.Mean()
		slow, cost := printed(r.Slow)-printed(ours.Slow), printed(r.Cost)-printed(ours.Cost)
		switch {
		case slow == 0 && cost == 0:
			same = append(same, f.Name)
		case slow <= 0 && cost <= 0:
			better = append(better, f.Name)
		case slow >= 0 && cost >= 0:
			worse = append(worse, f.Name)
		}
	}
	var lines []string
	if len(better) > 0 {
		lines = append(lines, "Better than it in one of slow and cost and not worse in the other: "+strings.Join(better, "; ")+".")
	}
	if len(worse) > 0 {
		lines = append(lines, "Worse in one and not better in the other: "+strings.Join(worse, "; ")+".")
	}
	if len(same) > 0 {
		lines = append(lines, "The same in both: "+strings.Join(same, "; ")+".")
	}
	switch rest := len(fares) - 1 - len(better) - len(worse) - len(same); {
	case rest == 1 && len(fares) == 2:
		lines = append(lines, fares[1].Name+" gives more of one for less of the other.")
	case rest == 1:
		lines = append(lines, "The other one gives more of one for less of the other.")
	case rest > 0:
		lines = append(lines, fmt.Sprintf("The other %d give more of one for less of the other.", rest))
	}
	return lines
}

// inWords writes a duration as a person does: 7 days, 1 h 30 min, 90 s.
func inWords(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 2*time.Minute && d%time.Second == 0:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Minute:
		return d.String()
	case d < time.Hour:
		return parts(d, time.Minute, "min", time.Second, "s")
	case d < 2*day:
		return parts(d, time.Hour, "h", time.Minute, "min")
	}
	return parts(d, day, "days", time.Hour, "h")
}

func parts(d, unit time.Duration, name string, rest time.Duration, restName string) string {
	text := fmt.Sprintf("%d %s", d/unit, name)
	if r := d % unit / rest; r > 0 {
		text += fmt.Sprintf(" %d %s", r, restName)
	}
	return text
}
