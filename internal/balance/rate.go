package balance

import "slices"

// mostVersions is of how many versions of the application the rate is kept.
const mostVersions = 8

// leastRate, per second, keeps a count finite: a message in 30 years.
const leastRate = 1e-9

// versionRate is the rate of a cell that runs a version, per second.
type versionRate struct {
	Version string  `json:"version"`
	PerCell float64 `json:"per_cell"`
	// Best is what a cell did when there were Cells of them; it bounds how low the
	// rate is taken while there are more.
	Best  float64 `json:"best,omitempty"`
	Cells float64 `json:"cells,omitempty"`
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
	for i := range m.Rates {
		if m.Rates[i].Version == m.Version {
			return m.Rates[i].PerCell, true
		}
	}
	return 0, false
}

func (m *memory) versionRate() (versionRate, bool) {
	for i := range m.Rates {
		if m.Rates[i].Version == m.Version {
			return m.Rates[i], true
		}
	}
	return versionRate{}, false
}

// learnRate takes one beat into the window and, once the window is full, the
// rate of a cell from it: served / (cells * largest busy share), the true rate
// of DS2 with Flink's largest instead of mean busy share, since one full
// partition holds up the rest (FLINK-30652). With a backlog of more than
// Law.RateBacklog throughout the window, cells are busy by definition. Nothing
// is learned while cells idle or partitions move, nor for one window after, nor
// while a partition is hot: the cell that reads it is busy and the others are not, and
// the more of them there are, the less would one seem to do.
func (m *memory) learnRate(c *Config, o *Observation, hot bool) {
	if o.Version != m.Version {
		m.Version, m.Samples = o.Version, nil
	}
	if o.Rebalancing {
		m.Samples = nil
		return
	}
	if hot {
		return
	}
	window := c.rateWindow(o)
	m.pushSample(rateSample{Ready: max(o.Ready, o.Serving), Backlog: c.backlogged(o)}, window)
	if len(m.Samples) < window || !o.Served.Known || o.Served.Value <= 0 {
		return
	}
	cells, backlog, ok := m.window()
	if !ok {
		return
	}
	if busy, known := c.busy(o, backlog); known {
		believed := backlog || c.Requests || m.Partitions == 0
		if rate := m.rateOf(c, o, cells, busy); rate > 0 {
			m.setRate(max(leastRate, rate), cells, believed)
		}
	}
}

// rateWindow is at least two commits long, since what is served shows in
// steps of one.
func (c *Config) rateWindow(o *Observation) int {
	commits := seconds(2 * valueOr(o.CommitInterval, 0))
	return c.window(max(c.Law.RateWindow, commits))
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

// setRate notes the rate of the version that runs and moves it to the front. A busy
// share that stays where it is while cells are added is that of one cell, whose
// partition the others can't relieve it of: each would seem to do less the more there
// are, and so more would be ordered, without bound. So a rate from a busy share
// doesn't fall below seven tenths of what fewer cells were seen to do, unless it is
// believed: with a backlog all are busy, and what they do is what they can; and where
// no partitions tie work to a cell, cells that do less are slower.
func (m *memory) setRate(perCell, cells float64, believed bool) {
	was, known := m.versionRate()
	now := versionRate{Version: m.Version, PerCell: perCell, Best: perCell, Cells: cells}
	if known && !believed && was.Cells > 0 && cells > was.Cells && perCell < was.Best {
		now.Best, now.Cells = was.Best, was.Cells
		now.PerCell = max(perCell, rateKeep*was.Best)
	}
	m.Rates = slices.DeleteFunc(m.Rates, func(r versionRate) bool { return r.Version == m.Version })
	m.Rates = slices.Insert(m.Rates, 0, now)
	m.Rates = m.Rates[:min(len(m.Rates), mostVersions)]
}

// rateKeep is the part of the rate of a cell that is believed in whatever more cells
// seem to do. Cells that share something behind them do less each, the more there are:
// by three tenths on the word of a busy share, which may be of one partition. So one hot
// partition that isn't seen to be hot costs 1/rateKeep of the cells needed, 1.43 times.
const rateKeep = 0.7
