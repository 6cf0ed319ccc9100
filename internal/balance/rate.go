package balance

import "slices"

// mostVersions is of how many versions of the application the rate is kept.
const mostVersions = 8

// leastRate keeps a count finite: a message in 30 years.
const leastRate = 1e-9

// versionRate is the rate of a cell that runs a version, per second.
type versionRate struct {
	Version string  `json:"version"`
	PerCell float64 `json:"per_cell"`
}

// rateSample is what one beat says of the cells that served: how many, 0 if
// that beat was missed, and whether a backlog kept them wholly busy.
type rateSample struct {
	Ready   int  `json:"ready"`
	Backlog bool `json:"backlog,omitempty"`
}

// rate returns what one wholly busy cell does a second, and whether that is
// known for the version that runs.
func (m *memory) rate() (float64, bool) {
	for _, r := range m.Rates {
		if r.Version == m.Version {
			return r.PerCell, true
		}
	}
	return 0, false
}

// learnRate takes one beat into the window and, once the window is full, the
// rate of a cell from it: served / (cells * largest busy share), the true rate
// of DS2 with Flink's largest instead of mean busy share, since one full
// partition holds up the rest (FLINK-30652). With a backlog of more than
// Law.RateBacklog throughout the window, cells are busy by definition. Nothing
// is learned while cells idle or partitions move, nor for one window after.
func (m *memory) learnRate(c *Config, o *Observation) {
	if o.Version != m.Version {
		m.Version, m.Samples = o.Version, nil
	}
	if o.Rebalancing {
		m.Samples = nil
		return
	}
	window := c.rateWindow(o)
	m.pushSample(rateSample{Ready: o.Ready, Backlog: c.backlogged(o)}, window)
	if len(m.Samples) < window || !o.Served.Known || o.Served.Value <= 0 {
		return
	}
	cells, backlog, ok := m.window()
	if !ok {
		return
	}
	if busy, known := c.busy(o, backlog); known {
		m.setRate(max(leastRate, o.Served.Value/(cells*busy)))
	}
}

// rateWindow is at least two commits long, since what is served shows in
// steps of one.
func (c *Config) rateWindow(o *Observation) int {
	commits := seconds(2 * valueOr(o.CommitInterval, 0))
	return c.beats(max(c.Law.RateWindow, commits))
}

func (c *Config) backlogged(o *Observation) bool {
	return o.Lag.Known && o.Served.Known && o.Lag.Value > c.Law.RateBacklog.Seconds()*o.Served.Value
}

// busy is the busy share to reckon with, unless it is unknown or too small to
// tell anything.
func (c *Config) busy(o *Observation, backlog bool) (share float64, known bool) {
	switch {
	case backlog:
		return 1, true
	case !o.BusyMax.Known || o.BusyMax.Value < c.Law.RateBusyMin:
		return 0, false
	default:
		return o.BusyMax.Value, true
	}
}

// window returns the mean number of ready cells over the window and whether
// there was a backlog all along. It is not ok when half of it is missing.
func (m *memory) window() (cells float64, backlog, ok bool) {
	known, sum := 0, 0
	backlog = true
	for _, s := range m.Samples {
		backlog = backlog && s.Backlog
		if s.Ready > 0 {
			known++
			sum += s.Ready
		}
	}
	if 2*known < len(m.Samples) || known == 0 {
		return 0, false, false
	}
	return float64(sum) / float64(known), backlog, true
}

func (m *memory) pushSample(s rateSample, limit int) {
	m.Samples = append(m.Samples, s)
	if extra := len(m.Samples) - limit; extra > 0 {
		m.Samples = m.Samples[:copy(m.Samples, m.Samples[extra:])]
	}
}

// setRate notes the rate of the version that runs and moves it to the front.
func (m *memory) setRate(perCell float64) {
	m.Rates = slices.DeleteFunc(m.Rates, func(r versionRate) bool { return r.Version == m.Version })
	m.Rates = slices.Insert(m.Rates, 0, versionRate{Version: m.Version, PerCell: perCell})
	m.Rates = m.Rates[:min(len(m.Rates), mostVersions)]
}
