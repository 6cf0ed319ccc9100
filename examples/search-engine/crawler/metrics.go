package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are what the sidecar and Prometheus read of this cell, beside what
// its gate publishes.
type metrics struct {
	registry *prometheus.Registry
	pages    *prometheus.CounterVec
	seconds  prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		pages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "crawler_pages_total",
			Help: "URLs done with, by outcome.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "page_seconds",
			Help:    "Time from taking a URL in hand until its page is stored.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 13), // 10 ms to 41 s
		}),
	}
	m.registry.MustRegister(m.pages, m.seconds,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}
