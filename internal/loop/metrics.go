package loop

import (
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// Metrics are what a sidecar tells Prometheus about the services it leads.
// They are named by the Prometheus conventions: base units, one label for the
// service, totals for what only rises.
type Metrics struct {
	leader                             *prometheus.GaugeVec
	desired, ordered, ready, min, max  *prometheus.GaugeVec
	mutants                            *prometheus.GaugeVec
	decisions, births, applies         *prometheus.CounterVec
	refusals, replacements, heldSilent *prometheus.CounterVec
	birthSeconds, applySeconds         *prometheus.HistogramVec
	plansAhead, ordersPlanned, aheadOf *prometheus.CounterVec
	readings                           *readingCollector
}

// NewMetrics registers the metrics with the registerer given. now is the clock
// that ages of readings are told by.
func NewMetrics(reg prometheus.Registerer, now func() time.Time) *Metrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "homeostat", Name: name, Help: help}, []string{"service"})
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "homeostat", Name: name, Help: help}, append([]string{"service"}, labels...))
	}
	seconds := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "homeostat", Name: name, Help: help,
			Buckets: []float64{0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200},
		}, append([]string{"service"}, labels...))
	}
	m := &Metrics{
		leader:       gauge("leader", "1 while this sidecar leads the service, else 0."),
		desired:      gauge("desired_cells", "Cells that the last decision wants."),
		ordered:      gauge("ordered_cells", "Cells that the record orders, those that leave not counted."),
		ready:        gauge("ready_cells", "Cells that take work."),
		mutants:      gauge("mutant_cells", "Cells of another genome than the one published."),
		min:          gauge("min_cells", "Fewest cells that the policy allows."),
		max:          gauge("max_cells", "Most cells that the policy allows."),
		decisions:    counter("decisions_total", "Decisions by the code of their reason.", "code"),
		births:       counter("births_total", "Births by result: born or failed.", "result"),
		applies:      counter("applies_total", "Orders carried out by result: applied, refused, locked or failed.", "result"),
		refusals:     counter("plan_refusals_total", "Changes that the guard refused to make."),
		replacements: counter("replacements_total", "Cells declared dead and replaced."),
		heldSilent:   counter("silent_cell_beats_total", "Beats in which a silent cell was left alone, one for each cell."),
		birthSeconds: seconds("birth_seconds", "Time from order to passing, one observation a birth."),
		applySeconds: seconds("apply_seconds", "Time from plan to the end of apply.", "result"),
		readings:     newReadingCollector(now),

		plansAhead:    counter("plans_ahead_total", "Plans made before their order, by what became of them: used, or why they were thrown away.", "fate"),
		ordersPlanned: counter("orders_planned_total", "Orders carried out by where their plan came from: ahead or anew.", "plan"),
		aheadOf:       counter("plans_ahead_cpu_seconds_total", "Processor time of Terraform and its providers for plans made before their order."),
	}
	reg.MustRegister(m.leader, m.desired, m.ordered, m.ready, m.mutants, m.min, m.max, m.decisions, m.births,
		m.applies, m.refusals, m.replacements, m.heldSilent, m.birthSeconds, m.applySeconds, m.readings,
		m.plansAhead, m.ordersPlanned, m.aheadOf)
	return m
}

// aheadCPU adds to what a service's plans ahead have cost.
func (m *Metrics) aheadCPU(service string) func(time.Duration) {
	return func(d time.Duration) { m.aheadOf.WithLabelValues(service).Add(max(0, d.Seconds())) }
}

// forget drops the gauges of a service that this sidecar no longer leads, so
// that nobody reads an old leader's numbers. Totals stay.
func (m *Metrics) forget(service string) {
	m.leader.WithLabelValues(service).Set(0)
	for _, g := range []*prometheus.GaugeVec{m.desired, m.ordered, m.ready, m.mutants, m.min, m.max} {
		g.DeleteLabelValues(service)
	}
	m.readings.forget(service)
}

// readingCollector shows the last known value of each reading and its age at
// the time of the scrape. A reading that is unknown keeps its last value, and
// its age tells that it is old; one that never was known isn't shown.
type readingCollector struct {
	now        func() time.Time
	value, age *prometheus.Desc

	mu   sync.Mutex
	last map[string]map[string]reading.Reading // service, then name of the reading
}

func newReadingCollector(now func() time.Time) *readingCollector {
	labels := []string{"service", "reading"}
	return &readingCollector{
		now:   now,
		value: prometheus.NewDesc("homeostat_reading", "Last known value of a reading, in the unit its name says.", labels, nil),
		age:   prometheus.NewDesc("homeostat_reading_age_seconds", "Age of the last known value of a reading.", labels, nil),
		last:  map[string]map[string]reading.Reading{},
	}
}

// Describe implements prometheus.Collector.
func (c *readingCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.value; ch <- c.age }

// Collect implements prometheus.Collector.
func (c *readingCollector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for service, readings := range c.last {
		for name, r := range readings {
			age := c.now().Sub(r.At).Seconds()
			ch <- prometheus.MustNewConstMetric(c.value, prometheus.GaugeValue, r.Value, service, name)
			ch <- prometheus.MustNewConstMetric(c.age, prometheus.GaugeValue, age, service, name)
		}
	}
}

func (c *readingCollector) set(service string, readings map[string]reading.Reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := maps.Clone(c.last[service])
	if known == nil {
		known = map[string]reading.Reading{}
	}
	for name, r := range readings {
		if r.Known {
			known[name] = r
		}
	}
	c.last[service] = known
}

func (c *readingCollector) forget(service string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.last, service)
}
