package front

import (
	"math/rand/v2"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// roomy are the cells that had room when all were last looked at, or told of it since.
// Where nobody has room each client asks whether somebody has: then it is an empty list
// that answers, and not a walk over a thousand cells.
type roomy struct {
	cells  []*cell
	walked time.Time // zero: never since the members changed
	walks  int
}

// roomFor is how long such a walk holds.
const roomFor = 50 * time.Millisecond

// hasRoom reports whether a cell surely has room, by a report that is fresh enough.
func (c *Chooser) hasRoom(one *cell, now time.Time, crawlers bool) bool {
	return !now.Before(one.until) && c.known(one, now) && !one.full() && !c.silent(one, now) && (!crawlers || one.last.Crawlers)
}

// rooms is the list of those with room for clients, or for crawlers.
func (c *Chooser) rooms(crawlers bool) *roomy {
	if crawlers {
		return &c.roomForCrawlers
	}
	return &c.roomForClients
}

// tellsOfRoom has a cell that has just reported be found before the next walk. It may
// be in the list twice, which is no harm; one that isn't short needs no more.
func (c *Chooser) tellsOfRoom(one *cell, now time.Time) {
	for _, crawlers := range []bool{false, true} {
		r := c.rooms(crawlers)
		if !r.walked.IsZero() && len(r.cells) < 2*c.rule.Choices && one.Health == fleet.Passing && c.hasRoom(one, now, crawlers) {
			r.cells = append(r.cells, one)
		}
	}
}

// WithRoom is a cell that surely has room, by a report that is fresh enough: for
// clients, or for crawlers. It is false where none is known to have.
func (c *Chooser) WithRoom(now time.Time, rng *rand.Rand, crawlers bool, not string) (string, bool) {
	r := c.rooms(crawlers)
	if since := now.Sub(r.walked); r.walked.IsZero() || since < 0 || since >= roomFor {
		c.walk(r, now, crawlers)
	}
	var best view
	for left, drawn := len(r.cells), 0; left > 0 && drawn < c.rule.Choices; left-- {
		i, last := rng.IntN(left), len(r.cells)-1
		one := r.cells[i]
		r.cells[i], r.cells[left-1] = r.cells[left-1], one
		if !c.hasRoom(one, now, crawlers) { // It is full by now.
			r.cells[left-1], r.cells = r.cells[last], r.cells[:last]
			continue
		}
		if one.ID == not || rng.Float64() >= c.share(one, now) {
			continue
		}
		drawn++
		if v := c.look(one, now); best.cell == nil || c.better(v, best) {
			best = v
		}
	}
	if best.cell == nil {
		return "", false
	}
	return best.ID, true
}

// walk looks at all cells.
func (c *Chooser) walk(r *roomy, now time.Time, crawlers bool) {
	r.cells, r.walked = r.cells[:0], now
	r.walks++
	for _, one := range c.good {
		if c.hasRoom(one, now, crawlers) {
			r.cells = append(r.cells, one)
		}
	}
}
