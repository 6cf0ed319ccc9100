package sense

import "time"

// SpoolMeter turns successive depths of the spools before a topic into a rate. What
// grows there has been produced, though the topic doesn't show it yet; what shrinks
// was counted when it grew. It is not safe for concurrent use.
type SpoolMeter struct {
	cells map[string]spoolDepth
}

type spoolDepth struct {
	at    time.Time
	depth int
}

// spoolsForgotten is after how long a spool that isn't heard of begins anew.
const spoolsForgotten = 10 * time.Minute

// Observe takes the depths at an instant, by cell and life, and returns by how many
// messages a second they have grown; below zero where they shrank. A spool that is
// seen for the first time has no part in it: what it holds may be old. One that
// could not be read for a while gives its mean rate since it last could.
func (m *SpoolMeter) Observe(at time.Time, depths map[string]int) float64 {
	if m.cells == nil {
		m.cells = map[string]spoolDepth{}
	}
	var rate float64
	for cell, depth := range depths {
		last, seen := m.cells[cell]
		if passed := at.Sub(last.at).Seconds(); seen && passed > 0 {
			rate += float64(depth-last.depth) / passed
		}
		m.cells[cell] = spoolDepth{at, depth}
	}
	for cell, last := range m.cells {
		if at.Sub(last.at) > spoolsForgotten {
			delete(m.cells, cell)
		}
	}
	return rate
}
