package traffic

import (
	"cmp"
	"slices"
	"time"
)

// Outcome is what became of the requests of one stream.
type Outcome struct {
	Stream string `json:"stream"`
	// Due is how many should have been sent.
	Due int `json:"due"`
	// Sent is how many were, retries and redirected ones included; Moved is how many
	// were redirected.
	Sent  int `json:"sent"`
	Moved int `json:"moved"`
	// Answered counts by the last status; GivenUp and Failed had no answer.
	Answered map[int]int `json:"answered"`
	GivenUp  int         `json:"given_up"`
	Failed   int         `json:"failed"`
	// Latencies of the answers with status 200, sorted.
	Latencies []time.Duration `json:"latencies"`
	// Over is for how long they were due.
	Over time.Duration `json:"over"`
	// Parts are the same of one span after the other, by when a request was due,
	// where Clients.Every asks for it.
	Parts []Outcome `json:"parts,omitempty"`
}

// Good is how many good answers came within a bound.
func (o Outcome) Good(bound time.Duration) int {
	n, _ := slices.BinarySearch(o.Latencies, bound+1)
	return n
}

// Within is how many good answers a second came within a bound.
func (o Outcome) Within(bound time.Duration) float64 {
	return float64(o.Good(bound)) / o.Over.Seconds()
}

// Share is the part of what was due that had a good answer within a bound; 1 where
// nothing was due.
func (o Outcome) Share(bound time.Duration) float64 {
	if o.Due == 0 {
		return 1
	}
	return float64(o.Good(bound)) / float64(o.Due)
}

// Quantile of the latency of good answers; 0 without any.
func (o Outcome) Quantile(q float64) time.Duration {
	if len(o.Latencies) == 0 {
		return 0
	}
	return o.Latencies[min(int(q*float64(len(o.Latencies))), len(o.Latencies)-1)]
}

// Together is the outcome of several spans as one.
func Together(parts []Outcome) Outcome {
	all := Outcome{Answered: map[int]int{}}
	for _, p := range parts {
		all.Stream = p.Stream
		all.Due += p.Due
		all.Sent += p.Sent
		all.Moved += p.Moved
		all.GivenUp += p.GivenUp
		all.Failed += p.Failed
		all.Over += p.Over
		for status, n := range p.Answered {
			all.Answered[status] += n
		}
		all.Latencies = append(all.Latencies, p.Latencies...)
	}
	all.sort()
	return all
}

func (o *Outcome) sort() { slices.SortFunc(o.Latencies, cmp.Compare[time.Duration]) }

// became is what one request has come to.
type became struct {
	status int
	err    error
	sent   int
	moved  bool
	took   time.Duration
}

func (o *Outcome) count(b became, patience time.Duration) {
	o.Due++
	o.Sent += b.sent
	if b.moved {
		o.Moved++
	}
	switch {
	case b.err != nil && b.took >= patience:
		o.GivenUp++
	case b.err != nil:
		o.Failed++
	default:
		o.Answered[b.status]++
		if b.status == 200 {
			o.Latencies = append(o.Latencies, b.took)
		}
	}
}

// record sorts what became of a stream's requests into its spans, or has only one.
type record struct {
	every time.Duration
	spans []Outcome
}

func newRecord(stream string, over, every time.Duration) *record {
	if every <= 0 {
		every = over
	}
	r := &record{every: every}
	for rest := over; rest > 0; rest -= every {
		r.spans = append(r.spans, Outcome{Stream: stream, Answered: map[int]int{}, Over: min(every, rest)})
	}
	return r
}

// count takes a request that was due so long after what counts began.
func (r *record) count(due time.Duration, b became, patience time.Duration) {
	r.spans[min(int(due/r.every), len(r.spans)-1)].count(b, patience)
}

// outcome is all of it.
func (r *record) outcome() Outcome {
	for i := range r.spans {
		r.spans[i].sort()
	}
	all := Together(r.spans)
	if len(r.spans) > 1 {
		all.Parts = r.spans
	}
	return all
}
