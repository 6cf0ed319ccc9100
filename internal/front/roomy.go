package front

import (
	"cmp"
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
	// rivals is about how many hold a report of the same cell and have clients to send
	// there; who asks is one of them.
	rivals float64
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
		if one.ID == not || rng.Float64() >= c.share(one, now) || r.part(one, now, rng) < 1 {
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
	best.part--
	return best.ID, true
}

// walk looks at all cells.
func (c *Chooser) walk(r *roomy, now time.Time, crawlers bool) {
	r.cells, r.walked = r.cells[:0], now
	r.walks++
	known, full := 0, 0
	for _, one := range c.good {
		if c.known(one, now) {
			if known++; one.full() {
				full++
			}
		}
		if c.hasRoom(one, now, crawlers) {
			r.cells = append(r.cells, one)
		}
	}
	r.rivals = 1
	if known > 0 {
		// A report is held for as long as it counts by those whose probe it answered.
		held := min(c.rule.Probes*c.rule.ReportAge.Seconds(), float64(len(c.good)))
		r.rivals += held * float64(full) / float64(known)
	}
}

// leastAnswer is how long a client is taken to stay at the least, and unknownAnswer where
// the cell has not told, as one that was just born.
const leastAnswer, unknownAnswer = 10 * time.Millisecond, time.Second

// part is how many clients this asker may send a cell now: its part of the room that the
// cell told of, as others hold a report of it, too, and each would fill it. As clients
// are answered there is room again. Of what is less than one client each gets one with
// that chance.
func (r *roomy) part(one *cell, now time.Time, rng *rand.Rand) float64 {
	most := float64(max(one.last.Limit-one.last.InFlight, 0)) / max(r.rivals, 1)
	if one.partAt.Before(one.last.at) {
		one.part = most + rng.Float64()
	} else {
		stay := max(cmp.Or(one.last.Latency, unknownAnswer), leastAnswer)
		one.part = min(most+1, one.part+most*now.Sub(one.partAt).Seconds()/stay.Seconds())
	}
	one.partAt = now
	return one.part
}
