package sense

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// busySlack is how far above 1 a gauge of the busy share may be and still be
// taken for 1: applications round, and measure over their own spans.
const busySlack = 0.05

// busyShare is the share of its time the cell works, by the first source there
// is: the application's own gauge, averaged over the window; then the time
// spent on requests, by the histogram's sum, over that of all workers.
func (m *CellMeter) busyShare(s *Scrape, served growth) (share reading.Reading, source string) {
	gauged, err := m.gaugedBusy(s)
	if err == nil {
		return reading.Of(gauged, s.At), fmt.Sprintf("gauge %s", m.cfg.Busy)
	}
	worked, workedErr := m.workedBusy(served)
	if workedErr == nil {
		return reading.Of(worked, s.At), fmt.Sprintf("sum of histogram %s over %d workers", m.cfg.Histogram, m.cfg.Workers)
	}
	return reading.Reading{Reason: fmt.Sprintf("%v; %v", err, workedErr), At: s.At}, ""
}

// gaugedBusy is the mean of the gauge over the window.
func (m *CellMeter) gaugedBusy(s *Scrape) (float64, error) {
	if m.cfg.Busy == "" {
		return 0, errors.New("no busy gauge is configured")
	}
	v, err := s.Value(m.cfg.Busy, nil)
	if err != nil {
		return 0, err
	}
	if v < 0 || v > 1+busySlack {
		return 0, fmt.Errorf("gauge %q is %g and not a share of 0 to 1", m.cfg.Busy, v)
	}
	m.busy.add(s.At, math.Min(v, 1), m.cfg.Window)
	return mean(&m.busy, s.At, m.cfg.Window), nil
}

// mean of the entries not older than a window.
func mean(h *history[float64], now time.Time, window time.Duration) float64 {
	var sum, n float64
	for _, e := range h.entries {
		if now.Sub(e.at) <= window {
			sum += e.value
			n++
		}
	}
	return sum / n
}

// workedBusy is the time spent on requests over that of all workers. Requests
// that began before the window count whole when they end, so that a short
// window may show more than 1.
func (m *CellMeter) workedBusy(served growth) (float64, error) {
	switch {
	case m.cfg.Workers <= 0:
		return 0, errors.New("the number of workers is not configured")
	case served.err != nil:
		return 0, served.err
	case served.Sum < 0:
		return 0, fmt.Errorf("the sum of histogram %q went back", m.cfg.Histogram)
	}
	return math.Min(1, served.Sum/(float64(m.cfg.Workers)*served.Span.Seconds())), nil
}
