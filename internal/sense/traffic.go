package sense

import (
	"errors"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// Traffic is what a proxy before the application has seen since its start.
type Traffic struct {
	At time.Time
	// Latency is that of the clients' requests, waiting included, in seconds.
	Latency Histogram
	// Offered, Served and Refused are how many requests there were, of clients and
	// crawlers. Refused ones are offered too.
	Offered, Served, Refused float64
	// Clients is how many of those offered were clients', ClientsInHand how many of
	// theirs are in flight or wait now.
	Clients       float64
	ClientsInHand int
	// InFlight is how many there are now, those that wait included.
	InFlight int
	// Capacity is the rate of answers at the limit of what the application takes, per
	// second; 0 while it hasn't been reached.
	Capacity float64
}

// TrafficMeter turns successive looks at a proxy's traffic into vitals. It is not safe
// for concurrent use.
type TrafficMeter struct {
	window                   time.Duration
	gauge                    bool // the application counts what it has in hand itself
	latency                  history[Histogram]
	offered, served, refused counter
	clients                  counter
}

// NewTrafficMeter returns a meter that takes the rate served over a window; 0 for 60 s.
// Gauge says that the application counts itself what it has in hand: it may have more
// than what the proxy sees.
func NewTrafficMeter(window time.Duration, gauge bool) *TrafficMeter {
	if window <= 0 {
		window = defaultCellWindow
	}
	return &TrafficMeter{window: window, gauge: gauge}
}

// Observe puts what the proxy has seen in the place of what the application says of the
// same. The busy share stays the application's own, where it has one.
func (m *TrafficMeter) Observe(t Traffic, v *Vitals) {
	v.At = t.At
	switch {
	case !m.gauge:
		v.InFlight = reading.Of(float64(t.InFlight), t.At)
	case v.InFlight.Known:
		v.InFlight = reading.Of(max(float64(t.InFlight), v.InFlight.Value), t.At)
	}
	v.Offered = m.offered.rate(t.At, t.Offered, nil, 0)
	v.Refused = m.refused.rate(t.At, t.Refused, nil, 0)
	v.Served = m.served.rate(t.At, t.Served, nil, m.window)
	v.Latency, v.LatencyReason = nil, ""
	h := t.Latency
	h.At = t.At
	if inc := grown(&m.latency, h, defaultLatencyWindow); inc.err != nil {
		v.LatencyReason = inc.err.Error()
	} else {
		v.Latency = &inc.Increase
	}
	clients := m.clients.rate(t.At, t.Clients, nil, defaultLatencyWindow)
	v.Quiet = clients.Known && clients.Value == 0 && t.ClientsInHand == 0
	if !v.Busy.Known {
		v.Busy, v.BusySource = busyOf(t, v.Served)
	}
}

// busyOf is the rate served over the most that the application was seen to serve.
func busyOf(t Traffic, served reading.Reading) (share reading.Reading, source string) {
	var err error
	switch {
	case !served.Known:
		err = errors.New(served.Reason)
	case t.Capacity <= 0:
		err = errors.New("the proxy has not yet seen all that the application can do")
	default:
		return reading.Of(min(1, served.Value/t.Capacity), t.At), "rate served over that at the proxy's limit"
	}
	return reading.Reading{Reason: err.Error(), At: t.At}, ""
}
