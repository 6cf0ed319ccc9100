package proxy

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// bitsOf is how many bits a positive duration in nanoseconds takes.
func bitsOf(d time.Duration) int { return bits.Len64(uint64(d)) }

// mean is of a value that is sampled at uneven times, weighted so that what lies a
// span back counts 1/e. It is a value; time comes with the samples, and only forward.
type mean struct {
	value float64
	at    time.Time
}

// hold says that the value was v from the last sample on until now.
func (m *mean) hold(at time.Time, v float64, span time.Duration) {
	if past := at.Sub(m.at); past > 0 {
		m.value += (1 - math.Exp(-float64(past)/float64(span))) * (v - m.value)
		m.at = at
	}
}

// rate is how often something happens, per second, by the same weights.
type rate struct {
	value float64
	at    time.Time
}

func (r *rate) now(at time.Time, span time.Duration) float64 {
	if past := at.Sub(r.at); past > 0 {
		r.value *= math.Exp(-float64(past) / float64(span))
		r.at = at
	}
	return r.value
}

func (r *rate) add(at time.Time, span time.Duration) {
	r.value = r.now(at, span) + 1/span.Seconds()
}

const (
	// kept is how many answers are remembered for each number in flight, and lately
	// for how long they say something of the present.
	kept   = 16
	lately = 30 * time.Second
)

// byLoad remembers how long the last answers took by how many requests were in
// flight when they came, in octaves: what a probe of Prequal's answers (see package
// load).
type byLoad [24]struct {
	took [kept]time.Duration
	n    int
	last time.Time
}

func (b *byLoad) add(at time.Time, inFlight int, took time.Duration) {
	o := &b[min(bits.Len(uint(inFlight)), len(b)-1)]
	if at.Sub(o.last) > lately {
		o.n = 0
	}
	o.took[o.n%kept], o.last = took, at
	o.n++
}

// median is that of the answers at the nearest number in flight of which there are
// any; 0 for none.
func (b *byLoad) median(at time.Time, inFlight int) time.Duration {
	want := min(bits.Len(uint(inFlight)), len(b)-1)
	for away := range len(b) {
		for _, i := range []int{want - away, want + away} {
			if i < 0 || i >= len(b) || b[i].n == 0 || at.Sub(b[i].last) > lately {
				continue
			}
			took := slices.Clone(b[i].took[:min(b[i].n, kept)])
			slices.Sort(took)
			return took[len(took)/2]
		}
	}
	return 0
}

// rolling are the counts of the last one to two spans, for a quantile of the present.
type rolling struct {
	now, before counts
	since       time.Time
}

func (r *rolling) turn(at time.Time, span time.Duration) {
	if past := at.Sub(r.since); past >= span {
		r.before, r.now, r.since = r.now, counts{}, at
		if past >= 2*span {
			r.before = counts{}
		}
	}
}

func (r *rolling) add(at time.Time, took, span time.Duration) {
	r.turn(at, span)
	r.now[bucket(took)]++
}

func (r *rolling) quantile(at time.Time, q float64, span time.Duration) float64 {
	r.turn(at, span)
	both := r.now
	for i, n := range r.before {
		both[i] += n
	}
	return both.quantile(q)
}
