package spool

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are what only rises, of one topic.
type counts struct {
	added, lost atomic.Uint64
	mu          sync.Mutex
	byReason    map[string]uint64
}

func (c *counts) refused(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byReason == nil {
		c.byReason = map[string]uint64{}
	}
	c.byReason[reason]++
}

func (c *counts) refusedFor(reason string) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byReason[reason]
}

// timings measure the disk.
type timings struct {
	seconds prometheus.Histogram
	failed  prometheus.Counter
}

func newTimings() *timings {
	return &timings{
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "homeostat_spool_fsync_seconds", Help: "How long one commit took: its write and its fsync.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14),
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "homeostat_spool_commits_failed_total", Help: "Commits that the disk refused.",
		}),
	}
}

func (t *timings) observe(took time.Duration, err error) {
	t.seconds.Observe(took.Seconds())
	if err != nil {
		t.failed.Inc()
	}
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("homeostat_spool_"+name, help, append([]string{"topic"}, labels...), nil)
}

var (
	depthDesc   = describe("depth_messages", "Messages that wait for the queue to confirm them.")
	bytesDesc   = describe("bytes", "Bytes that the spool takes on disk.")
	asideDesc   = describe("damaged_bytes", "Bytes of damaged files that are kept for a person to look at, beside those of the spool.")
	oldestDesc  = describe("oldest_seconds", "How long the oldest message has waited.")
	heldDesc    = describe("held", "1 while messages are held back for clients' latency.")
	addedDesc   = describe("appended_messages_total", "Messages that were acknowledged.")
	sentDesc    = describe("sent_messages_total", "Messages that the queue confirmed; those sent again count again.")
	lostDesc    = describe("lost_messages_total", "Acknowledged messages that the disk gave back damaged.")
	refusedDesc = describe("refused_requests_total", "Requests that were refused, by reason.", "reason")
)

// Describe implements prometheus.Collector.
func (s *Spool) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, out) }

// Collect implements prometheus.Collector.
func (s *Spool) Collect(out chan<- prometheus.Metric) {
	s.fsync.seconds.Collect(out)
	s.fsync.failed.Collect(out)
	for _, t := range s.topics {
		gauge := func(d *prometheus.Desc, v float64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, t.name)
		}
		counter := func(d *prometheus.Desc, v uint64, more ...string) {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), append([]string{t.name}, more...)...)
		}
		now := t.log.stats()
		held := 0.0
		if t.sender.held.Load() {
			held = 1
		}
		gauge(depthDesc, float64(now.depth))
		gauge(bytesDesc, float64(now.bytes))
		gauge(asideDesc, float64(t.log.aside()))
		gauge(oldestDesc, t.age(s.cfg.Now()).Seconds())
		gauge(heldDesc, held)
		counter(addedDesc, t.counts.added.Load())
		counter(sentDesc, t.sender.sent.Load())
		counter(lostDesc, t.counts.lost.Load())
		for _, reason := range refusals {
			counter(refusedDesc, t.counts.refusedFor(reason), reason)
		}
	}
}
