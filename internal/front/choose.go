package front

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// Choose is the cell to send a new client to; none of those in not, which were
// tried or are asked from. It is false when nobody is left.
func (c *Chooser) Choose(now time.Time, rng *rand.Rand, not ...string) (string, bool) {
	panicking := c.Panicking(now)
	for _, among := range [][]*cell{c.good, c.spare, c.unsure(panicking)} {
		if best := c.best(now, rng, among, panicking, not); best != nil {
			return best.ID, true
		}
	}
	return "", false
}

// unsure are those that Consul has lost sight of. It may be Consul that is sick.
func (c *Chooser) unsure(panicking bool) []*cell {
	if panicking {
		return c.lost
	}
	return nil
}

// Panicking reports whether so few cells are healthy that the rest is tried, too.
func (c *Chooser) Panicking(now time.Time) bool {
	healthy := len(c.good) + len(c.spare)
	for _, one := range c.ejected {
		if one.Health != fleet.Critical && now.Before(one.until) {
			healthy--
		}
	}
	return float64(healthy) < c.rule.Panic*float64(len(c.cells))
}

// best draws some of them and weighs those.
func (c *Chooser) best(now time.Time, rng *rand.Rand, among []*cell, panicking bool, not []string) *cell {
	if len(among) == 0 {
		return nil
	}
	usable := func(one *cell) bool {
		return (panicking || !now.Before(one.until)) && !slices.Contains(not, one.ID)
	}
	var best view
	drawn := make([]*cell, 0, 32)
	for tries := 0; tries < 4*c.rule.Choices+8 && len(drawn) < c.rule.Choices; tries++ {
		one := among[rng.IntN(len(among))]
		if slices.Contains(drawn, one) || !usable(one) || rng.Float64() >= c.share(one, now) {
			continue
		}
		drawn = append(drawn, one)
		if v := c.look(one, now); best.cell == nil || c.better(v, best) {
			best = v
		}
	}
	if best.cell != nil {
		return best.cell
	}
	// Few are left, or all are newcomers: then it is any of them.
	first := rng.IntN(len(among))
	for i := range among {
		if one := among[(first+i)%len(among)]; usable(one) {
			return one
		}
	}
	return nil
}

// share is how likely a cell is looked at when it is drawn: all of it for one
// that is grown, and less for a newcomer.
func (c *Chooser) share(one *cell, now time.Time) float64 {
	age := now.Sub(one.since)
	if age >= c.rule.SlowStart {
		return 1
	}
	return max(age.Seconds()/c.rule.SlowStart.Seconds(), c.rule.SlowStartMin)
}

// Keeps reports whether a client of this cell's stays there: it is healthy and
// not warned, wasn't left alone, and is neither much fuller than the others nor errs
// much more.
func (c *Chooser) Keeps(now time.Time, id string) bool {
	one := c.cells[id]
	if one == nil || one.Health != fleet.Passing || now.Before(one.until) {
		return false
	}
	v := c.view(one, now)
	// One more than the threshold: at rest it is none in flight.
	most := c.rule.StickyExcess * (c.flight.quantile(c.rule.HotQuantile) + 1)
	return v.heat < overfull && v.inFlight <= most && !c.tooManyErrors(v)
}

// Home is the cell of a client that is known only by a number made of its
// address or of a header: rendezvous hashing (Thaler and Ravishankar, 1998), so
// that members that come and go move few clients.
func (c *Chooser) Home(client uint64) (string, bool) {
	var home *cell
	var most uint64
	for _, one := range c.good {
		if weight := mix(one.hash ^ client); home == nil || weight > most {
			home, most = one, weight
		}
	}
	if home == nil {
		return "", false
	}
	return home.ID, true
}

// mix spreads a number's bits (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hashOf is FNV-1a of a text, mixed.
func hashOf(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return mix(h)
}
