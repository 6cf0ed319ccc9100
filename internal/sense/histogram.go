package sense

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// ErrReset is what an increase is worth between two scrapes of which the later
// one shows less: the application was started again.
var ErrReset = errors.New("the counts went back: the application was started again")

// errNoBuckets is the state of a native histogram in the text format, which
// has no room for its buckets.
var errNoBuckets = errors.New("the histogram has no buckets (the text format does not carry native ones)")

// Histogram is a histogram as an application shows it: everything it has
// observed since its start.
type Histogram struct {
	At time.Time
	// Bounds are the upper bounds of the buckets, rising, +Inf left out.
	Bounds []float64
	// Cumulative counts the observations up to each bound; one more than
	// Bounds, the last being all of them.
	Cumulative []float64
	// Sum of the values observed, in their own unit.
	Sum float64
}

// Count is how many values were observed.
func (h Histogram) Count() float64 {
	if len(h.Cumulative) == 0 {
		return 0
	}
	return h.Cumulative[len(h.Cumulative)-1]
}

// Since returns the increase over an earlier state of the same histogram:
// ErrReset if it went back, another error if its buckets changed or no time
// has passed.
func (h Histogram) Since(old Histogram) (Increase, error) {
	if !h.At.After(old.At) {
		return Increase{}, errors.New("no time has passed between the scrapes")
	}
	if !slices.Equal(h.Bounds, old.Bounds) {
		return Increase{}, errors.New("the histogram's buckets have changed between the scrapes")
	}
	inc := Increase{
		Bounds: h.Bounds,
		Counts: make([]float64, len(h.Cumulative)),
		Sum:    h.Sum - old.Sum,
		Span:   h.At.Sub(old.At),
	}
	var before float64
	for i, c := range h.Cumulative {
		upTo := c - old.Cumulative[i]
		if upTo < 0 {
			return Increase{}, ErrReset
		}
		// A scrape that falls between the updates of two buckets may count an
		// observation in the lower one only.
		inc.Counts[i] = max(0, upTo-before)
		before = max(before, upTo)
	}
	return inc, nil
}

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

// Count is how many values were observed.
func (i Increase) Count() float64 {
	var n float64
	for _, c := range i.Counts {
		n += c
	}
	return n
}

// Quantile returns the value below which a share q (0 to 1) of the observations
// lies, interpolated linearly within its bucket as Prometheus does it
// (histogram_quantile, promql/quantile.go): the lowest bucket begins at 0 if
// its bound is positive. Above the largest bound nothing is known but that:
// the bound comes back, and beyond is true. It is an error to ask of no
// observations.
func (i Increase) Quantile(q float64) (value float64, beyond bool, err error) {
	switch {
	case !(q >= 0 && q <= 1):
		return 0, false, fmt.Errorf("quantile %g is not between 0 and 1", q)
	case len(i.Bounds) == 0:
		return 0, false, errNoBuckets
	}
	n := i.Count()
	if n <= 0 {
		return 0, false, errors.New("nothing was observed")
	}
	rank := q * n
	var below float64
	for b, count := range i.Counts[:len(i.Bounds)] {
		if below+count < rank || count == 0 {
			below += count
			continue
		}
		return i.within(b, (rank-below)/count), false, nil
	}
	return i.Bounds[len(i.Bounds)-1], true, nil
}

// within is the value at a share of the way through a bucket.
func (i Increase) within(bucket int, share float64) float64 {
	upper := i.Bounds[bucket]
	var lower float64
	switch {
	case bucket > 0:
		lower = i.Bounds[bucket-1]
	case upper <= 0:
		return upper
	}
	return lower + (upper-lower)*share
}

// slowest is the same with every observation above the largest bound.
func (i Increase) slowest() *Increase {
	counts := make([]float64, len(i.Counts))
	counts[len(counts)-1] = i.Count()
	i.Counts = counts
	return &i
}

// check says what is wrong with an increase that came from elsewhere.
func (i Increase) check() error {
	if len(i.Counts) != len(i.Bounds)+1 {
		return fmt.Errorf("histogram has %d counts for %d bounds", len(i.Counts), len(i.Bounds))
	}
	for b, bound := range i.Bounds {
		if math.IsNaN(bound) || math.IsInf(bound, 0) || b > 0 && bound <= i.Bounds[b-1] {
			return fmt.Errorf("histogram's bounds do not rise at %g", bound)
		}
	}
	for _, c := range i.Counts {
		if !(c >= 0) || math.IsInf(c, 0) {
			return fmt.Errorf("histogram counts %g observations", c)
		}
	}
	if i.Span <= 0 {
		return fmt.Errorf("histogram spans %v", i.Span)
	}
	return nil
}

// Merge adds the increases of several cells, which must have the same bounds.
// The span of the sum is the longest.
func Merge(increases []Increase) (Increase, error) {
	if len(increases) == 0 {
		return Increase{}, errors.New("there are no histograms to add")
	}
	sum := increases[0]
	sum.Counts = slices.Clone(sum.Counts)
	for _, inc := range increases[1:] {
		if !slices.Equal(inc.Bounds, sum.Bounds) || len(inc.Counts) != len(sum.Counts) {
			return Increase{}, errors.New("the cells' histograms have different buckets")
		}
		for b, c := range inc.Counts {
			sum.Counts[b] += c
		}
		sum.Sum += inc.Sum
		sum.Span = max(sum.Span, inc.Span)
	}
	return sum, nil
}
