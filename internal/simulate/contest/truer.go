package contest

import (
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/table"
)

// Truth is one way in which the picture is made truer.
type Truth struct {
	Name  string
	Truer simulate.Truer
}

// Truths are what the plain picture leaves out, each alone, and all together.
func Truths() []Truth {
	births := simulate.Truer{FailShare: 0.05, FailWait: 30 * time.Second, LateShare: 0.05, LateFactor: 3}
	all := births
	all.Queueing, all.Pause, all.Drift, all.DriftPeriod, all.FlapBudget = true, 10*time.Second, 0.2, 8*time.Hour, 12
	return []Truth{
		{"plain", simulate.Truer{}},
		{"single requests queue", simulate.Truer{Queueing: true}},
		{"consumers pause 10 s at each landing", simulate.Truer{Pause: 10 * time.Second}},
		{"5 % of births fail, 5 % of orders take 3 times as long", births},
		{"the rate of a cell swings by 20 % in 8 h, ours measures it", simulate.Truer{Drift: 0.2, DriftPeriod: 8 * time.Hour}},
		{"12 changes an hour, then nothing is released", simulate.Truer{FlapBudget: 12}},
		{"all of these", all},
	}
}

// World is a row's picture, made truer.
func (t Truth) World(r Row) simulate.World {
	w := r.World()
	w.Truer = t.Truer
	return w
}

// Costs is the table of what each truth costs the candidates, by their outcomes in
// the order of Truths: week-long rows.
func Costs(truths []Truth, outcomes []*Outcome) table.Table {
	t := table.Table{Title: "The picture made truer: slow % / cost / changes an hour, week-long rows", Head: []string{"what"}}
	for _, c := range outcomes[0].Candidates {
		t.Head = append(t.Head, c.Name)
	}
	for i, truth := range truths {
		row := []any{truth.Name}
		for _, candidate := range outcomes[0].Candidates { // the last outcome has more
			m := outcomes[i].Mean(outcomes[i].candidate(candidate.Name), Week)
			row = append(row, m.spread()+" / "+plusMinus(m.Changes, m.ChangesSpread))
		}
		t.Add(row...)
	}
	return t
}
