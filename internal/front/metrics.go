package front

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/callers"
)

// metrics are what a front tells Prometheus.
type metrics struct {
	requests, refusals, retries *prometheus.CounterVec
	ejections                   prometheus.Counter
	answerSeconds               prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, f *Front) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	labels := prometheus.Labels{"service": f.cfg.Service}
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "homeostat", Subsystem: "front", Name: name, Help: help, ConstLabels: labels}
	}
	m := &metrics{
		requests:  prometheus.NewCounterVec(counter("answers_total", "Answers to clients by the class of their status, as in 2xx."), []string{"class"}),
		refusals:  prometheus.NewCounterVec(counter("refusals_total", "Requests that no cell answered, by why: full, no_cell, unreached, slow, failed or gone."), []string{"why"}),
		retries:   prometheus.NewCounterVec(counter("retries_total", "Requests that were sent to another cell, by why: one failed, or refused by 429."), []string{"why"}),
		ejections: prometheus.NewCounter(counter("ejections_total", "Times that a cell was left alone for failing.")),
		answerSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "homeostat", Subsystem: "front", Name: "cell_answer_seconds", ConstLabels: labels,
			Help:    "Time until a cell's answer began, one observation each time a request is sent to one.",
			Buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		}),
	}
	refused := func(bound string, value func(callers.Counts) uint64) prometheus.Collector {
		opts := counter("connections_refused_total", "Connections of clients that were closed at once, by the bound: all or address.")
		opts.ConstLabels = prometheus.Labels{"service": f.cfg.Service, "bound": bound}
		return prometheus.NewCounterFunc(opts, func() float64 { return float64(value(f.conns.Counts())) })
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "homeostat", Subsystem: "front", Name: name, Help: help, ConstLabels: labels,
		}, value)
	}
	reg.MustRegister(m.requests, m.refusals, m.retries, m.ejections, m.answerSeconds,
		refused("all", func(c callers.Counts) uint64 { return c.RefusedInAll }),
		refused("address", func(c callers.Counts) uint64 { return c.RefusedOfOne }),
		gauge("connections", "Connections of clients.", func() float64 { return float64(f.conns.Counts().Open) }),
		gauge("in_flight_requests", "Requests in hand.", func() float64 { return float64(f.inHand.Load()) }),
		gauge("cells", "Members of the service.", func() float64 { n, _ := f.cells.size(); return float64(n) }),
		gauge("healthy_cells", "Members that are passing or warning.", func() float64 { _, n := f.cells.size(); return float64(n) }),
		gauge("members_age_seconds", "Time since Consul told who the members are; grows while it is away.", func() float64 {
			age, told := f.cells.age()
			if !told {
				return -1
			}
			return age.Seconds()
		}),
		gauge("panic", "1 while so few cells are healthy that others are tried, too.", func() (v float64) {
			f.cells.with(func(now time.Time, c *Chooser) {
				if c.Panicking(now) {
					v = 1
				}
			})
			return v
		}))
	return m
}

func (m *metrics) refused(why string) { m.refusals.WithLabelValues(why).Inc() }

// counting counts answers by their status.
type counting struct {
	http.ResponseWriter
	metrics *metrics
	counted bool
	control *http.ResponseController
	silence time.Duration
	sent    *sent // nil for none
	request *http.Request
}

// Write implements http.ResponseWriter. A client that takes nothing is cut; while there
// is nothing to take it may rest.
func (c *counting) Write(p []byte) (int, error) {
	_ = c.control.SetWriteDeadline(time.Now().Add(c.silence)) // a writer of a test may have none
	n, err := c.ResponseWriter.Write(p)
	_ = c.control.SetWriteDeadline(time.Time{}) // as above
	return n, err
}

// WriteHeader implements http.ResponseWriter.
func (c *counting) WriteHeader(status int) {
	if !c.counted && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		c.counted = true
		c.metrics.requests.WithLabelValues(strconv.Itoa(status/100) + "xx").Inc()
	}
	if status >= http.StatusOK {
		c.sent.leave(c.request)
	}
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController flush and hijack.
func (c *counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }
