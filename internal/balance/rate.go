package balance

import "slices"

// mostVersions is of how many versions of the application the rate is kept.
const mostVersions = 8

// versionRate is the rate of a cell that runs a version, per second.
type versionRate struct {
	Version string  `json:"version"`
	PerCell float64 `json:"per_cell"`
}

// rateSample is one beat's worth of work: what was served a second, by how
// many cells, and by how many busy ones. Cells is 0 where a reading is missing.
type rateSample struct {
	Served float64 `json:"served"`
	Cells  float64 `json:"cells"`
	Busy   float64 `json:"busy"`
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
// Law.RateBacklog cells are busy by definition. Nothing is learned while cells
// idle or partitions move, nor for one window after that.
func (m *memory) learnRate(c *Config, o *Observation) {
	if o.Version != m.Version {
		m.Version, m.Samples = o.Version, nil
	}
	if o.Rebalancing {
		m.Samples = nil
		return
	}
	window := c.rateWindow(o)
	m.pushSample(m.sample(c, o), window)
	if len(m.Samples) < window {
		return
	}
	sum, known := rateSample{}, 0
	for _, s := range m.Samples {
		sum.Served += s.Served
		sum.Cells += s.Cells
		sum.Busy += s.Busy
		if s.Cells > 0 {
			known++
		}
	}
	idle := sum.Busy < c.Law.RateBusyMin*sum.Cells
	if 2*known < window || idle || sum.Served <= 0 || sum.Busy <= 0 {
		return
	}
	m.setRate(sum.Served / sum.Busy)
}

// rateWindow is at least two commits long, since what is served shows in
// steps of one.
func (c *Config) rateWindow(o *Observation) int {
	commits := seconds(2 * valueOr(o.CommitInterval, 0))
	return c.beats(max(c.Law.RateWindow, commits))
}

// sample makes what it can of one beat.
func (m *memory) sample(c *Config, o *Observation) rateSample {
	if !o.Served.Known || o.Ready == 0 {
		return rateSample{}
	}
	cells := float64(o.Ready)
	s := rateSample{Served: o.Served.Value, Cells: cells}
	switch {
	case o.Lag.Known && o.Lag.Value > c.Law.RateBacklog.Seconds()*m.servedMean(s.Served):
		s.Busy = cells
	case o.BusyMax.Known:
		s.Busy = cells * o.BusyMax.Value
	default:
		return rateSample{}
	}
	return s
}

// servedMean is the rate served over the window, now included.
func (m *memory) servedMean(now float64) float64 {
	sum, n := now, 1
	for _, s := range m.Samples {
		if s.Cells > 0 {
			sum += s.Served
			n++
		}
	}
	return sum / float64(n)
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
