package sense

import "time"

// Increase is how much a histogram has grown between two scrapes. Unlike
// quantiles, increases of several cells can be added.
type Increase struct {
	// Bounds are the upper bounds of the buckets, rising, the last one (+Inf)
	// left out. They have the unit of what was observed, seconds for latency.
	Bounds []float64 `json:"bounds"`
	// Counts are the observations in each bucket, not cumulative; one more than
	// Bounds, the last for what lies above all bounds.
	Counts []float64 `json:"counts"`
	// Sum is the sum of the values observed.
	Sum float64 `json:"sum"`
	// Span is the time between the two scrapes.
	Span time.Duration `json:"span_ns"`
}
