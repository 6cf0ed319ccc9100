package contest

import (
	"math"
	"slices"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
)

// Mean is how a law fared over rows and seeds.
type Mean struct {
	// Slow is in percent, Cost a ratio, Changes an hour.
	Slow, Cost, Changes float64
	// SlowSpread, CostSpread and ChangesSpread are standard deviations of the mean
	// over the rows from seed to seed; 0 where there is one seed.
	SlowSpread, CostSpread, ChangesSpread float64
	Rows                                  int
}

// Group is a set of rows that is averaged over.
type Group struct {
	Name string
	In   func(Row) bool
}

// Week are the rows of traces that last a week or two, Hours the others.
var (
	Week  = Group{"week-long", func(r Row) bool { return !r.Hours }}
	Hours = Group{"hours", func(r Row) bool { return r.Hours }}
	All   = Group{"all", func(Row) bool { return true }}
)

// OfTrace are a trace's rows.
func OfTrace(name string) Group {
	return Group{name, func(r Row) bool { return r.Trace == name }}
}

// ordering are those of a group whose orders are serial, or overlap.
func (g Group) ordering(serial bool) Group {
	return Group{g.Name + ", " + ordering(serial), func(r Row) bool { return r.Serial == serial && g.In(r) }}
}

func (g Group) count(rows []Row) int {
	n := 0
	for _, r := range rows {
		if g.In(r) {
			n++
		}
	}
	return n
}

// Mean averages a candidate over a group of rows.
func (o *Outcome) Mean(candidate int, g Group) Mean {
	slow, cost, changes := make([]float64, o.Seeds), make([]float64, o.Seeds), make([]float64, o.Seeds)
	rows := 0
	for r, row := range o.Rows {
		if !g.In(row) {
			continue
		}
		rows++
		for seed, result := range o.Results[candidate][r] {
			slow[seed] += result.Slow
			cost[seed] += result.Cost
			changes[seed] += result.ChangesAHour
		}
	}
	m := Mean{Rows: rows}
	m.Slow, m.SlowSpread = spread(slow, rows)
	m.Cost, m.CostSpread = spread(cost, rows)
	m.Changes, m.ChangesSpread = spread(changes, rows)
	return m
}

// spread returns mean and standard deviation of sums over so many rows.
func spread(sums []float64, rows int) (mean, deviation float64) {
	if rows == 0 || len(sums) == 0 {
		return 0, 0
	}
	for _, s := range sums {
		mean += s / float64(rows) / float64(len(sums))
	}
	if len(sums) == 1 {
		return mean, 0
	}
	for _, s := range sums {
		deviation += (s/float64(rows) - mean) * (s/float64(rows) - mean)
	}
	return mean, math.Sqrt(deviation / float64(len(sums)-1))
}

// Row averages a candidate's results on a row over the seeds.
func (o *Outcome) Row(candidate, row int) simulate.Result {
	var m simulate.Result
	n := float64(o.Seeds)
	for _, r := range o.Results[candidate][row] {
		m.Slow += r.Slow / n
		m.P99Wait += r.P99Wait / n
		m.Cost += r.Cost / n
		m.ChangesAHour += r.ChangesAHour / n
		m.Under += r.Under / n
		m.Over += r.Over / n
		m.UnderTime += r.UnderTime / n
		m.OverTime += r.OverTime / n
		m.Unstable += r.Unstable / n
		m.Jitter += r.Jitter / n
		m.Most = max(m.Most, r.Most)
	}
	return m
}

// better says that a law is lower in slow or cost, and not higher in the other.
func better(a, b simulate.Result) bool {
	return a.Slow <= b.Slow && a.Cost <= b.Cost && (a.Slow < b.Slow || a.Cost < b.Cost)
}

// Loss is a row on which a peer is better.
type Loss struct {
	Row     int
	By      []int // candidates
	Default bool  // one of them is a peer's default
}

// Lost lists the rows of a group on which ours, a candidate, loses: to peers on the
// same row or, if they overlap, on the one where orders do that is else the same.
func (o *Outcome) Lost(ours int, g Group, overlap bool) []Loss {
	var lost []Loss
	for r, row := range o.Rows {
		if !g.In(row) {
			continue
		}
		loss, theirs := Loss{Row: r}, r
		if overlap {
			theirs = o.overlapping(row)
		}
		for c := range o.Candidates {
			if o.Candidates[c].Peer && better(o.Row(c, theirs), o.Row(ours, r)) {
				loss.By = append(loss.By, c)
				loss.Default = loss.Default || o.Candidates[c].Default
			}
		}
		if len(loss.By) > 0 {
			lost = append(lost, loss)
		}
	}
	return lost
}

// overlapping is where the row is that is like another but for orders that overlap.
func (o *Outcome) overlapping(like Row) int {
	like.Serial = false
	return slices.IndexFunc(o.Rows, func(r Row) bool {
		like.Stream = r.Stream
		return r == like
	})
}

// toDefaults counts those lost to a peer's default.
func toDefaults(lost []Loss) int {
	n := 0
	for _, l := range lost {
		if l.Default {
			n++
		}
	}
	return n
}
