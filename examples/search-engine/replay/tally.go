package replay

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Tally is what became of the queries. The zero value is empty; its methods may be
// called while queries are sent.
type Tally struct {
	mu        sync.Mutex
	began     time.Time
	ended     time.Time // zero while it goes on
	latencies []time.Duration
	inTime    int
	failed    map[string]int // by why
}

// Sum is a tally at one instant.
type Sum struct {
	// Queries are those that have an outcome: an answer or an error.
	Queries int
	// Rate is how many of them there were in a second.
	Rate float64
	// P99 is the latency that 99 of 100 answers did not exceed, 0 without an answer.
	P99 time.Duration
	// InTime is the share of the queries that were answered in time, of 0 to 1.
	InTime float64
	// Errors had no answer, or none that says what was found.
	Errors int
	// Why are the errors by what they say, most frequent first.
	Why []string
}

func (t *Tally) begin(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.began.IsZero() {
		t.began, t.failed = at, map[string]int{}
	}
	t.ended = time.Time{}
}

func (t *Tally) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = time.Now()
}

func (t *Tally) count(took time.Duration, err error, inTime bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err != nil:
		t.failed[err.Error()]++
	default:
		t.latencies = append(t.latencies, took)
		if inTime {
			t.inTime++
		}
	}
}

// Sum sums up.
func (t *Tally) Sum() Sum {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Sum{Queries: len(t.latencies)}
	s.Why = slices.SortedFunc(maps.Keys(t.failed), func(a, b string) int { return t.failed[b] - t.failed[a] })
	for i, why := range s.Why {
		s.Errors += t.failed[why]
		s.Why[i] = fmt.Sprintf("%d: %s", t.failed[why], why)
	}
	s.Queries += s.Errors
	if s.Queries == 0 {
		return s
	}
	end := t.ended
	if end.IsZero() {
		end = time.Now()
	}
	s.Rate = float64(s.Queries) / max(end.Sub(t.began), time.Millisecond).Seconds()
	s.InTime = float64(t.inTime) / float64(s.Queries)
	if n := len(t.latencies); n > 0 {
		sorted := slices.Sorted(slices.Values(t.latencies))
		s.P99 = sorted[min(n-1, n*99/100)]
	}
	return s
}

// String is one line.
func (s Sum) String() string {
	return fmt.Sprintf("queries=%d rate=%.1f/s p99=%s in_time=%.1f%% errors=%d",
		s.Queries, s.Rate, s.P99.Round(time.Millisecond), 100*s.InTime, s.Errors)
}
