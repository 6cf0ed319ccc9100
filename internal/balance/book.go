package balance

import (
	"cmp"
	"slices"
	"time"
)

// landing is an order's change of the count, seconds from now.
type landing struct {
	after float64
	delta int
}

// landings lists when each order in flight will change the number of ready
// cells. An overdue order is taken to land now; one overdue by more than
// Law.Overdue births is not counted on at all.
func landings(c *Config, o *Observation, t timing) []landing {
	list := make([]landing, 0, len(o.InFlight))
	for _, order := range o.InFlight {
		after := order.Expected.Sub(o.At).Seconds()
		if -after > c.Law.Overdue*t.birth {
			continue
		}
		list = append(list, landing{max(0, after), clamp(order.Delta, -mostCells, mostCells)})
	}
	slices.SortStableFunc(list, func(a, b landing) int { return cmp.Compare(a.after, b.after) })
	return list
}

// rollForward returns the backlog at the time an order placed now would land,
// if load keeps coming at the rate of the need, and the orders in flight land
// as the book says. This is the Smith predictor of Dellkrantz et al. (2015)
// for whole cells: what is ordered is known, so it needn't be ordered again.
//
// Each landing moves partitions, and while they move nothing is read: moved is what
// arrives meanwhile.
func rollForward(lag, need, perCell float64, ready int, list []landing, horizon, moved float64) float64 {
	cells, now := ready, 0.0
	roll := func(until float64) {
		lag = max(0, lag+(need-perCell*float64(cells))*(until-now))
		now = until
	}
	for _, l := range list {
		if l.after > horizon {
			break
		}
		roll(l.after)
		cells = max(0, cells+l.delta)
		lag += moved
	}
	roll(horizon)
	return lag
}

// growing says that an upward order is in flight.
func (o *Observation) growing() bool {
	return slices.ContainsFunc(o.InFlight, func(order Order) bool { return order.Delta > 0 })
}

// nextUp returns when the next upward order is expected.
func (o *Observation) nextUp() time.Duration {
	next := time.Duration(1<<63 - 1)
	for _, order := range o.InFlight {
		if order.Delta > 0 {
			next = min(next, order.Expected.Sub(o.At))
		}
	}
	return next
}

// allowance is the lag that n cells may have without it being a backlog: a
// moment's work, what was done since the last commit, and what is being done.
func allowance(c *Config, o *Observation, perCell float64, n int) float64 {
	moment := c.Law.LagAllowance.Seconds() * perCell * float64(n)
	uncommitted := valueOr(o.Served, 0) * valueOr(o.CommitInterval, 0)
	return moment + uncommitted + valueOr(o.InFlightMessages, 0)
}
