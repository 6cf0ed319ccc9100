package contest

import (
	"fmt"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/table"
)

// Means is the table of means: the week-long rows, each trace, all.
func (o *Outcome) Means(sources []Source) table.Table {
	t := table.Table{
		Title: fmt.Sprintf("Means: slow %% / cost, %d rows, %s", len(o.Rows), seeds(o.Seeds)),
		Head:  []string{"law", "week-long", "changes/h"},
	}
	groups := []Group{}
	for _, s := range sources {
		groups = append(groups, OfTrace(s.Name))
		t.Head = append(t.Head, s.Name)
	}
	t.Head = append(t.Head, "all")
	for c, candidate := range o.Candidates {
		week := o.Mean(c, Week)
		row := []any{candidate.label(), week.spread(), plusMinus(week.Changes, week.ChangesSpread)}
		for _, g := range groups {
			row = append(row, o.Mean(c, g).pair())
		}
		t.Add(append(row, o.Mean(c, All).spread())...)
	}
	t.Note("* counts as a peer's default. ± is the standard deviation of the mean from seed to seed.")
	return t
}

// Orderings is the table of means by how orders follow each other. A leader's are
// serial.
func (o *Outcome) Orderings() table.Table {
	t := table.Table{Title: "Orders serial, as a leader's are, and overlapping: slow % / cost", Head: []string{"law"}}
	var groups []Group
	for _, g := range []Group{Week, Hours} {
		for _, serial := range []bool{true, false} {
			groups = append(groups, g.ordering(serial))
			t.Head = append(t.Head, g.ordering(serial).Name, "changes/h")
		}
	}
	for c, candidate := range o.Candidates {
		row := []any{candidate.label()}
		for _, g := range groups {
			m := o.Mean(c, g)
			row = append(row, m.spread(), plusMinus(m.Changes, m.ChangesSpread))
		}
		t.Add(row...)
	}
	return t
}

// measures are what stands beside slow and cost: the wait that one request in a
// hundred exceeds, and the measures of elasticity.
var measures = []struct {
	name string
	of   func(simulate.Result) float64
}{
	{"p99 wait s", func(r simulate.Result) float64 { return r.P99Wait }},
	{"theta_U %", func(r simulate.Result) float64 { return r.Under }},
	{"theta_O %", func(r simulate.Result) float64 { return r.Over }},
	{"tau_U %", func(r simulate.Result) float64 { return r.UnderTime }},
	{"tau_O %", func(r simulate.Result) float64 { return r.OverTime }},
	{"upsilon %", func(r simulate.Result) float64 { return r.Unstable }},
	{"jitter/min", func(r simulate.Result) float64 { return r.Jitter }},
}

// Measures is the table of means of these over a group of rows.
func (o *Outcome) Measures(g Group) table.Table {
	n := float64(g.count(o.Rows))
	t := table.Table{Title: fmt.Sprintf("Means of the other measures: %.0f rows (%s), %s", n, g.Name, seeds(o.Seeds)), Head: []string{"law"}}
	for _, m := range measures {
		t.Head = append(t.Head, m.name)
	}
	for c, candidate := range o.Candidates {
		row := []any{candidate.label()}
		for _, m := range measures {
			mean := 0.0
			for r := range o.Rows {
				if g.In(o.Rows[r]) {
					mean += m.of(o.Row(c, r)) / n
				}
			}
			row = append(row, mean)
		}
		t.Add(row...)
	}
	return t
}

func seeds(n int) string {
	if n == 1 {
		return "1 seed"
	}
	return fmt.Sprintf("%d seeds", n)
}

func (c *Candidate) label() string {
	if c.Default {
		return c.Name + " *"
	}
	return c.Name
}

func (m Mean) pair() string {
	if m.Rows == 0 {
		return "-"
	}
	return table.Figure(m.Slow) + " / " + table.Figure(m.Cost)
}

func (m Mean) spread() string {
	if m.Rows == 0 {
		return "-"
	}
	return plusMinus(m.Slow, m.SlowSpread) + " / " + plusMinus(m.Cost, m.CostSpread)
}

func plusMinus(v, spread float64) string {
	if spread == 0 {
		return table.Figure(v)
	}
	return fmt.Sprintf("%s ± %s", table.Figure(v), table.Figure(spread))
}

// Losses is the table of rows that ours, a candidate, loses.
func (o *Outcome) Losses(ours int) table.Table {
	t := table.Table{Title: "Rows on which a peer is as good in both and better in one", Head: []string{"row", o.Candidates[ours].Name, "lost to"}}
	for _, l := range o.Lost(ours, All, false) {
		var by []string
		for _, c := range l.By {
			r := o.Row(c, l.Row)
			by = append(by, fmt.Sprintf("%s %s / %s", o.Candidates[c].label(), table.Figure(r.Slow), table.Figure(r.Cost)))
		}
		r := o.Row(ours, l.Row)
		t.Add(o.Rows[l.Row].String(), table.Figure(r.Slow)+" / "+table.Figure(r.Cost), strings.Join(by, "; "))
	}
	t.Notes = o.Counts(ours)
	return t
}

// Counts says how many rows ours, a candidate, loses.
func (o *Outcome) Counts(ours int) []string {
	var lines []string
	say := func(g Group, overlap bool, peers string) {
		if n := g.count(o.Rows); n > 0 {
			lost := o.Lost(ours, g, overlap)
			lines = append(lines, fmt.Sprintf("Of the %d rows (%s) %d are lost to a peer's default, %d to a peer at any setting%s.", n, g.Name, toDefaults(lost), len(lost), peers))
		}
	}
	for _, g := range []Group{All, Week, Hours} {
		say(g, false, "")
	}
	for _, g := range []Group{Week, Hours} {
		say(g.ordering(true), false, "")
		say(g.ordering(true), true, ", where the peers' orders overlap")
		say(g.ordering(false), false, "")
	}
	return lines
}

// Detail is every candidate on every row: all measures, means over the seeds.
func (o *Outcome) Detail() table.Table {
	t := table.Table{
		Title: fmt.Sprintf("All rows, %s", seeds(o.Seeds)),
		Head: []string{
			"trace", "cells", "birth_s", "orders", "law", "slow_pct", "p99_wait_s", "cost", "changes_h",
			"theta_u_pct", "theta_o_pct", "tau_u_pct", "tau_o_pct", "upsilon_pct", "jitter_min", "most",
		},
	}
	for r, row := range o.Rows {
		for c, candidate := range o.Candidates {
			m := o.Row(c, r)
			t.Add(row.Trace, row.Cells, fmt.Sprintf("%.0f", row.Birth.Seconds()), ordering(row.Serial), candidate.Name, m.Slow, m.P99Wait, m.Cost, m.ChangesAHour,
				m.Under, m.Over, m.UnderTime, m.OverTime, m.Unstable, m.Jitter, m.Most)
		}
	}
	return t
}

// Busiest is the table of rows on which a candidate orders most often.
func (o *Outcome) Busiest(candidate, most int) table.Table {
	t := table.Table{Title: "Most changes an hour, week-long rows", Head: []string{"row", "changes/h", "slow %", "cost"}}
	over, worst := 0, []int{}
	for r, row := range o.Rows {
		if row.Hours {
			continue
		}
		if o.Row(candidate, r).ChangesAHour > 12 {
			over++
		}
		at := len(worst)
		for at > 0 && o.Row(candidate, r).ChangesAHour > o.Row(candidate, worst[at-1]).ChangesAHour {
			at--
		}
		worst = append(worst[:at], append([]int{r}, worst[at:]...)...)
	}
	for _, r := range worst[:min(most, len(worst))] {
		m := o.Row(candidate, r)
		t.Add(o.Rows[r].String(), m.ChangesAHour, m.Slow, m.Cost)
	}
	t.Note("%d of the week-long rows have more than 12 changes an hour.", over)
	return t
}
