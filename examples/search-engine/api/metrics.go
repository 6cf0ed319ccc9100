package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are what the sidecar and Prometheus read of this cell.
type metrics struct {
	registry *prometheus.Registry
	arrived  prometheus.Counter
	refused  prometheus.Counter
	stored   prometheus.Counter
	seconds  *prometheus.HistogramVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		arrived: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "api_requests_total",
			Help: "Requests that arrived, refused ones included.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "api_requests_refused_total",
			Help: "Requests refused because the cell was full or draining.",
		}),
		stored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "api_pages_stored_total",
			Help: "Pages stored that were not stored before.",
		}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "api_request_seconds",
			Help:    "Time from taking a request on to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14), // 1 ms to 8 s
		}, []string{"route"}),
	}
	m.registry.MustRegister(m.arrived, m.refused, m.stored, m.seconds,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}
