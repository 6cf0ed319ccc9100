package proxy

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var rule = Rule{Initial: 20, Min: 4, Max: 500, Tolerance: 1.5, Smoothing: 0.2, Probe: 15 * time.Second, ProbeShare: 0.75}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// drive has an application that does at most `workers` at once, each for service
// seconds, work under a limit that is always used, and returns the mean of the limit
// over the last half.
func drive(l *Limit, from time.Time, windows int, workers, service float64) (time.Time, float64) {
	var sum float64
	for i := range windows {
		from = from.Add(100 * time.Millisecond)
		n := l.InFlight()
		l.Observe(from, Window{Latency: service * max(1, float64(n)/workers), InFlight: n})
		if i >= windows/2 {
			sum += float64(n)
		}
	}
	return from, sum / float64(windows-windows/2)
}

func TestLimitFindsTheApplication(t *testing.T) {
	for _, workers := range []float64{8, 32, 200} {
		l := NewLimit(rule)
		at, mean := drive(&l, epoch, 1200, workers, 0.02)
		if mean < workers || mean > 2.5*workers {
			t.Errorf("%g workers: mean limit %.0f", workers, mean)
		}
		if base := l.Base(Client); math.Abs(base-0.02) > 0.002 {
			t.Errorf("%g workers: base %.4f, want 0.02", workers, base)
		}
		// It becomes twice as slow, and fast again.
		if at, mean = drive(&l, at, 1200, workers, 0.04); mean < 0.9*workers || mean > 2.5*workers {
			t.Errorf("%g workers, slow: mean limit %.0f", workers, mean)
		}
		if _, mean = drive(&l, at, 1200, workers, 0.02); mean < workers || mean > 2.5*workers {
			t.Errorf("%g workers, fast again: mean limit %.0f", workers, mean)
		}
	}
}

// queued is an application that does so many requests at once, each for service
// seconds, with what waits in it; who asks is many more than it can do. Its answers
// tell of the queue as it was when they came, long after the limit was lowered.
type queued struct {
	workers, service float64
	inFlight         []float64 // at the end of each step
}

const queuedStep = 0.01 // seconds

// next is one step on: the median latency of what leaves.
func (q *queued) next(limit int) float64 {
	now := 0.0
	if n := len(q.inFlight); n > 0 {
		now = q.inFlight[n-1]
	}
	left := min(now, q.workers) / q.service * queuedStep
	q.inFlight = append(q.inFlight, max(float64(limit), now-left))
	took := q.service
	for i := range q.inFlight {
		if came := q.service * max(1, q.inFlight[i]/q.workers); float64(i)*queuedStep+came <= float64(len(q.inFlight))*queuedStep {
			took = came
		} else {
			break
		}
	}
	return took
}

// Under lasting overload the latency without load is learned, not that of the queue
// which the limit allows for, however long that is beside a window.
func TestLimitDoesNotDrift(t *testing.T) {
	for _, service := range []float64{0.02, 0.1, 0.5} {
		l, q, at := NewLimit(rule), queued{workers: 32, service: service}, epoch
		most := 0
		for i := range 6000 {
			for range 10 {
				at = at.Add(10 * time.Millisecond)
				took := q.next(l.InFlight())
				if len(q.inFlight)%10 == 0 {
					l.Observe(at, Window{Latency: took, InFlight: int(q.inFlight[len(q.inFlight)-1])})
				}
			}
			if len(q.inFlight) > 2000 { // twenty seconds are as long ago as it matters
				q.inFlight = q.inFlight[1000:]
			}
			if i > 600 {
				most = max(most, l.Found())
			}
		}
		if most > 80 {
			t.Errorf("work of %g s: a limit of %d for 32 workers, base %.3f", service, most, l.Base(Client))
		}
	}
}

// A limit that isn't used isn't changed, and what it takes without load is learned.
func TestLimitUnused(t *testing.T) {
	l := NewLimit(rule)
	for i := range 200 {
		l.Observe(epoch.Add(time.Duration(i)*time.Second), Window{Latency: 0.05, InFlight: 3})
	}
	if l.InFlight() != 20 || math.Abs(l.Base(Client)-0.05) > 0.001 {
		t.Errorf("limit %d, base %.3f", l.InFlight(), l.Base(Client))
	}
}

func TestLimitProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, at := NewLimit(rule), epoch
		for range rapid.IntRange(1, 300).Draw(t, "windows") {
			at = at.Add(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond)
			before, probing := l.Found(), l.Probing()
			w := Window{
				Class:    Class(rapid.IntRange(0, 1).Draw(t, "class")),
				Latency:  rapid.OneOf(rapid.Float64(), rapid.Float64Range(0, 10)).Draw(t, "latency"),
				InFlight: rapid.IntRange(0, 1000).Draw(t, "in flight"),
			}
			l.Observe(at, w)
			switch n := l.Found(); {
			case n < rule.Min || n > rule.Max || l.InFlight() < rule.Min || l.InFlight() > rule.Max:
				t.Fatalf("limit %d, %d", n, l.InFlight())
			case float64(n) < 0.9*float64(before)-1:
				t.Fatalf("from %d to %d at once", before, n)
			case (probing || 2*w.InFlight < before) && n != before:
				t.Fatalf("from %d to %d by a window that tells nothing of it: %+v", before, n, w)
			case math.IsNaN(l.Base(Client)) || l.Base(Client) < 0 || math.IsInf(l.Base(Client), 0):
				t.Fatalf("base %g", l.Base(Client))
			}
		}
	})
}

func TestBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(200*time.Second)).Draw(t, "d"))
		i := bucket(d)
		if i < len(bounds) && d.Seconds() > bounds[i] || i > 0 && d.Seconds() <= bounds[i-1] {
			t.Fatalf("%v is in bucket %d", d, i)
		}
	})
}

func TestQuantile(t *testing.T) {
	var c counts
	for i := range 1000 {
		c[bucket(time.Duration(i+1)*time.Millisecond)]++
	}
	for q, want := range map[float64]float64{0.5: 0.5, 0.99: 0.99, 0.01: 0.01} {
		if got := c.quantile(q); math.Abs(got-want) > 0.1*want {
			t.Errorf("quantile %g: %g, want %g", q, got, want)
		}
	}
	if got := new(counts).quantile(0.5); got != 0 {
		t.Errorf("of nothing: %g", got)
	}
	var b byLoad
	for i := range 40 {
		b.add(epoch, 3, time.Duration(i)*time.Millisecond)
		b.add(epoch, 100, time.Second)
	}
	if got := b.median(epoch, 2); got != 32*time.Millisecond {
		t.Errorf("median at 2 in flight: %v", got)
	}
	if got := b.median(epoch.Add(time.Minute), 2); got != 0 {
		t.Errorf("a minute later: %v", got)
	}
}
