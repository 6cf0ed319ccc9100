package sense

import (
	"errors"
	"fmt"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

const (
	// defaultCellWindow is what rates served and busy shares are taken over.
	defaultCellWindow = time.Minute
	// defaultLatencyWindow is long enough for a p99 of some hundred requests,
	// and short enough that a bound left and kept again is seen soon.
	defaultLatencyWindow = 15 * time.Second
)

// CellConfig names the metrics of an application. Each may be empty.
type CellConfig struct {
	// Histogram is that of the time a request or message takes, in seconds,
	// added up over the series that have Labels.
	Histogram string
	Labels    map[string]string
	// Busy is a gauge of the share of its time the cell works, 0 to 1.
	Busy string
	// Workers is how many requests or messages a cell works on at once; it
	// makes a busy share of the histogram's sum. 0: not known.
	Workers int
	// InFlight is a gauge of the requests or messages in hand.
	InFlight string
	// Arrived counts all requests, refused ones included; Refused those.
	Arrived, Refused string
	// Window is what Served and Busy are taken over, default 60 s, and
	// LatencyWindow what Latency is, default 15 s. Right after a start they
	// are taken over what there is.
	Window, LatencyWindow time.Duration
}

// CellMeter turns successive scrapes of one application into its vitals. It is
// not safe for concurrent use.
type CellMeter struct {
	cfg                CellConfig
	histogram, latency history[Histogram]
	busy               history[float64]
	arrived, refused   counter
	// accepted is what arrived and was not refused.
	accepted counter
}

// NewCellMeter returns a meter that has seen nothing yet.
func NewCellMeter(cfg CellConfig) *CellMeter {
	if cfg.Window <= 0 {
		cfg.Window = defaultCellWindow
	}
	if cfg.LatencyWindow <= 0 {
		cfg.LatencyWindow = defaultLatencyWindow
	}
	return &CellMeter{cfg: cfg}
}

// Observe takes the next scrape, or the error there was in its place, and
// returns the vitals it makes known; who the cell is and how it fares is for
// the caller to add. A counter that went back has no rate until the next scrape.
func (m *CellMeter) Observe(at time.Time, s *Scrape, err error) Vitals {
	if err == nil && s == nil {
		err = errors.New("the application's metrics were not scraped")
	}
	if err != nil {
		why := reading.Reading{Reason: err.Error(), At: at}
		return Vitals{
			At: at, InFlight: why, Busy: why, Offered: why, Served: why, Refused: why, SpoolDepth: why,
			LatencyReason: err.Error(),
		}
	}
	v := Vitals{At: s.At, InFlight: m.inFlight(s)}
	served, latency := m.observeHistogram(s)
	v.Busy, v.BusySource = m.busyShare(s, served)
	m.flow(s, served, &v)
	if latency.err != nil {
		v.LatencyReason = latency.err.Error()
	} else {
		v.Latency = &latency.Increase
	}
	v.SpoolDepth = reading.Reading{Reason: "the application's metrics do not tell", At: s.At}
	return v
}

// growth is an increase, or why there is none.
type growth struct {
	Increase
	err error
}

// observeHistogram returns the histogram's increase over the window and over
// the latency window.
func (m *CellMeter) observeHistogram(s *Scrape) (served, latency growth) {
	if m.cfg.Histogram == "" {
		err := errors.New("no histogram is configured")
		return growth{err: err}, growth{err: err}
	}
	h, err := s.Histogram(m.cfg.Histogram, m.cfg.Labels)
	if err != nil {
		return growth{err: err}, growth{err: err}
	}
	served = grown(&m.histogram, h, m.cfg.Window)
	latency = grown(&m.latency, h, m.cfg.LatencyWindow)
	if latency.err == nil && len(latency.Bounds) == 0 {
		latency.err = fmt.Errorf("%q: %w", m.cfg.Histogram, errNoBuckets)
	}
	return served, latency
}

// grown is the increase over a window, which ends with h. After anything that
// can't be compared with what was before, it begins anew.
func grown(past *history[Histogram], h Histogram, window time.Duration) growth {
	last, seen := past.last()
	if !seen {
		past.add(h.At, h, window)
		return growth{err: errors.New("there is no earlier scrape to compare with")}
	}
	if _, err := h.Since(last.value); err != nil {
		past.forget()
		past.add(h.At, h, window)
		return growth{err: err}
	}
	base, _ := past.before(h.At, window)
	past.add(h.At, h, window)
	inc, err := h.Since(base.value)
	return growth{inc, err}
}

func (m *CellMeter) inFlight(s *Scrape) reading.Reading {
	if m.cfg.InFlight == "" {
		return reading.Reading{Reason: "no gauge of what is in flight is configured", At: s.At}
	}
	return gauge(s, m.cfg.InFlight)
}

// gauge reads a metric that can't be negative.
func gauge(s *Scrape, name string) reading.Reading {
	v, err := s.Value(name, nil)
	if err == nil && v < 0 {
		err = fmt.Errorf("metric %q is %g", name, v)
	}
	if err != nil {
		return reading.Reading{Reason: err.Error(), At: s.At}
	}
	return reading.Of(v, s.At)
}

// flow fills in the rates. Where no counter of arrivals is configured, what was
// completed or refused has arrived: true as long as nothing piles up inside the
// application. Where there is no histogram, what was accepted is served.
func (m *CellMeter) flow(s *Scrape, served growth, v *Vitals) {
	arrived, arrivedErr := m.count(s, m.cfg.Arrived, "arrived")
	refused, refusedErr := m.count(s, m.cfg.Refused, "refused")
	v.Offered = m.arrived.rate(s.At, arrived, arrivedErr, 0)
	v.Refused = m.refused.rate(s.At, refused, refusedErr, 0)
	switch {
	case m.cfg.Histogram != "":
		v.Served = perSecond(served, s.At)
	case m.cfg.Arrived != "":
		accepted, err := arrived-refused, arrivedErr
		if m.cfg.Refused != "" && err == nil {
			err = refusedErr
		}
		v.Served = m.accepted.rate(s.At, accepted, err, m.cfg.Window)
	default:
		v.Served = reading.Reading{Reason: "neither a histogram nor a counter of requests is configured", At: s.At}
	}
	if m.cfg.Arrived == "" && m.cfg.Histogram != "" {
		v.Offered = m.completed(s, v.Refused)
	}
}

// completed is the rate of what was completed or refused since the last scrape.
func (m *CellMeter) completed(s *Scrape, refused reading.Reading) reading.Reading {
	h, err := s.Histogram(m.cfg.Histogram, m.cfg.Labels)
	done := m.arrived.rate(s.At, h.Count(), err, 0)
	switch {
	case !done.Known || m.cfg.Refused == "":
		return done
	case !refused.Known:
		return refused
	default:
		return reading.Of(done.Value+refused.Value, s.At)
	}
}

func perSecond(g growth, at time.Time) reading.Reading {
	if g.err != nil {
		return reading.Reading{Reason: g.err.Error(), At: at}
	}
	return reading.Of(g.Count()/g.Span.Seconds(), at)
}

// count reads a counter; its value is 0 where none is configured.
func (m *CellMeter) count(s *Scrape, name, what string) (float64, error) {
	if name == "" {
		return 0, fmt.Errorf("no counter of %s requests is configured", what)
	}
	return s.Value(name, nil)
}

// counter is a number that only rises while the application runs.
type counter struct{ past history[float64] }

// rate is the growth per second over a window; a window of 0 reaches back to
// the last scrape.
func (c *counter) rate(at time.Time, value float64, err error, window time.Duration) reading.Reading {
	last, seen := c.past.last()
	switch {
	case err != nil:
		return reading.Reading{Reason: err.Error(), At: at}
	case !seen:
		err = errors.New("there is no earlier scrape to compare with")
	case !at.After(last.at):
		err = errors.New("no time has passed between the scrapes")
	case value < last.value:
		err = ErrReset
	}
	if err != nil {
		c.past.forget()
		c.past.add(at, value, window)
		return reading.Reading{Reason: err.Error(), At: at}
	}
	base, _ := c.past.before(at, window)
	c.past.add(at, value, window)
	return reading.Of((value-base.value)/at.Sub(base.at).Seconds(), at)
}
