package proxy

import (
	"math"
	"sync/atomic"
	"time"
)

// The buckets of a sketch are the same everywhere, since those of several cells are
// added: a quarter of an octave each, from 250 µs to 64 s. Quantiles interpolated
// within them are off by a tenth at most.
const (
	perOctave   = 4
	octaves     = 18
	lowestBound = 250 * time.Microsecond
)

// bounds are the upper bounds of the buckets, in seconds; what is above the last one
// is in one more bucket.
var bounds = func() (b [octaves*perOctave + 1]float64) {
	for i := range b {
		b[i] = lowestBound.Seconds() * math.Exp2(float64(i)/perOctave)
	}
	return b
}()

// starts are the buckets in which octaves of nanoseconds begin, by the number of bits.
var starts = func() (s [65]int) {
	for bits := range s {
		least := math.Exp2(float64(bits-1)) / 1e9
		for s[bits] < len(bounds) && bounds[s[bits]] < least {
			s[bits]++
		}
	}
	return s
}()

// bucket is the one that a duration falls into.
func bucket(d time.Duration) int {
	if d <= lowestBound {
		return 0
	}
	i, seconds := starts[bitsOf(d)], d.Seconds()
	for i < len(bounds) && bounds[i] < seconds {
		i++
	}
	return i
}

// counts is how many durations fell into each bucket.
type counts [len(bounds) + 1]uint64

// quantile is the value below which a share q of them lies, in seconds, interpolated
// within its bucket; 0 of none.
func (c *counts) quantile(q float64) float64 {
	var all uint64
	for _, n := range c {
		all += n
	}
	rank, below := q*float64(all), 0.0
	for i, n := range c {
		if n == 0 || below+float64(n) < rank {
			below += float64(n)
			continue
		}
		if i == len(bounds) {
			return bounds[i-1]
		}
		low := 0.0
		if i > 0 {
			low = bounds[i-1]
		}
		return low + (bounds[i]-low)*(rank-below)/float64(n)
	}
	return 0
}

// sketch counts durations since its start. It is safe for concurrent use.
type sketch struct {
	counts [len(bounds) + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

func (s *sketch) add(d time.Duration) {
	s.counts[bucket(d)].Add(1)
	s.sum.Add(int64(d))
}

// cumulative counts the durations up to each bound, and all of them last.
func (s *sketch) cumulative() []float64 {
	c := make([]float64, len(s.counts))
	var sum uint64
	for i := range s.counts {
		sum += s.counts[i].Load()
		c[i] = float64(sum)
	}
	return c
}

func (s *sketch) seconds() float64 { return time.Duration(s.sum.Load()).Seconds() }
