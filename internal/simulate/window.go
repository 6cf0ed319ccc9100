package simulate

import "slices"

// window sums what a law will see at its next decision.
type window struct{ arrived, served, capacity float64 }

func (w *window) add(arrived, served, capacity float64) {
	w.arrived += arrived
	w.served += served
	w.capacity += capacity
}

// take returns the means and begins anew.
func (w *window) take(seconds int) Seen {
	n := float64(seconds)
	seen := Seen{Offered: w.arrived / n, Served: w.served / n}
	if w.capacity > 0 {
		seen.Busy = w.served / w.capacity
	}
	*w = window{}
	return seen
}

// lastBirths is of how many births the median is taken.
const lastBirths = 32

// median is that of the last births.
type median struct {
	first float64 // before there is any
	last  []float64
	now   float64
}

func (m *median) add(seconds float64) {
	m.last = append(m.last, seconds)
	if len(m.last) > lastBirths {
		m.last = m.last[:copy(m.last, m.last[1:])]
	}
	sorted := slices.Sorted(slices.Values(m.last))
	n := len(sorted)
	m.now = (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func (m *median) value() float64 {
	if len(m.last) == 0 {
		return m.first
	}
	return m.now
}
