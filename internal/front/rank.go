package front

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// Standing is a cell in a list, with what is known of its load.
type Standing struct {
	ID string
	// Room is the share of its limit that is free, 0 to 1; nil where the cell
	// doesn't report.
	Room *float64
	// Hot says that it is over its bound; Warning that it is to be spared.
	Hot, Warning bool
	// Age is how old its report is; zero where there is none.
	Age time.Duration
	// alike says that it is about as good as the first of its list.
	alike bool
}

// Rank lists up to most cells, best first. As in Choose each place goes to the best of
// a few by chance, so lists differ and not everybody goes to the one best cell. Who is
// first is behind others like it in the next lists, but choosing doesn't go by that:
// whoever asks for lists and goes nowhere would have cells at rest pass for full ones.
func (c *Chooser) Rank(now time.Time, rng *rand.Rand, most int) []Standing {
	all := make([]Standing, 0, min(most, len(c.cells)))
	panicking := c.Panicking(now)
	seen := map[*cell]view{}
	for _, among := range [][]*cell{c.good, c.spare, c.unsure(panicking)} {
		rest := slices.Clone(among)
		for len(all) < most && len(rest) > 0 {
			i := c.placed(now, rng, rest, seen, len(all), panicking)
			one, last := rest[i], len(rest)-1
			rest[i], rest = rest[last], rest[:last]
			if panicking || !now.Before(one.until) {
				all = append(all, c.standing(one, now))
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Standing) int { return severity(a) - severity(b) })
	if len(all) > 0 {
		c.cells[all[0].ID].listed++
		for i := range all[:min(len(all), chosenPlaces)] {
			all[i].alike = c.alike(all[i], all[0], now)
		}
	}
	return all
}

// alike reports whether the choice between two is by no more than a few requests.
func (c *Chooser) alike(a, b Standing, now time.Time) bool {
	v, w := c.view(c.cells[a.ID], now), c.view(c.cells[b.ID], now)
	near := 1 + c.rule.LatencyTolerance
	return severity(a) == severity(b) && v.heat == w.heat && v.wait() <= near*w.wait() && w.wait() <= near*v.wait() && v.crowd() <= 1.25*w.crowd()
}

// chosenPlaces is how many places of a list are chosen for as for a client; those behind
// go to the better of two, as few will ever go there.
const chosenPlaces = 10

// placed is where the best of a few stands that are drawn from the rest; where none is
// drawn, since few are left or all are newcomers, that of any.
func (c *Chooser) placed(now time.Time, rng *rand.Rand, rest []*cell, seen map[*cell]view, place int, panicking bool) int {
	choices := c.rule.Choices
	if place >= chosenPlaces {
		choices = min(choices, 2)
	}
	best, found := 0, view{}
	for tries, drawn := 0, 0; tries < 4*choices+8 && drawn < choices; tries++ {
		i := rng.IntN(len(rest))
		one := rest[i]
		if !panicking && now.Before(one.until) || rng.Float64() >= c.share(one, now) {
			continue
		}
		drawn++
		v, known := seen[one]
		if !known {
			v = c.view(one, now)
			v.inFlight += float64(one.listed)
			seen[one] = v
		}
		if found.cell == nil || c.better(v, found) {
			best, found = i, v
		}
	}
	if found.cell == nil {
		return rng.IntN(len(rest))
	}
	return best
}

func severity(s Standing) int {
	switch {
	case s.Warning:
		return 2
	case s.Hot:
		return 1
	}
	return 0
}

func (c *Chooser) standing(one *cell, now time.Time) Standing {
	s := Standing{ID: one.ID, Warning: one.Health != fleet.Passing}
	if !c.known(one, now) {
		return s
	}
	room := math.Round(one.told().Room()*1000) / 1000
	s.Room, s.Age, s.Hot = &room, now.Sub(one.last.at), one.full()
	return s
}
