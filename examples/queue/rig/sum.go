package main

import (
	"fmt"
	"time"
)

// sum is a run in figures.
type sum struct {
	jobs, done, twice  int
	least, most        int // workers that were ready at once
	mean               float64
	ups, downs         int
	half, p99, longest time.Duration // waits
	slow               float64       // share of the jobs that took longer than upper
}

// upper is how long a job may wait, as in the policy.
const upper = 6 * time.Second

func (r *played) sum() sum {
	s := sum{jobs: r.producer.total()}
	s.done, s.twice = r.results.count()
	counts, orders := r.watch.seen()
	for i, c := range counts {
		if i == 0 || c.ready < s.least {
			s.least = c.ready
		}
		s.most = max(s.most, c.ready)
		s.mean += float64(c.ready) / float64(len(counts))
	}
	for _, o := range orders {
		if o.delta > 0 {
			s.ups++
		} else {
			s.downs++
		}
	}
	took := r.results.since(time.Time{})
	s.half, s.p99, s.longest = quantile(took, 0.5), quantile(took, 0.99), quantile(took, 1)
	for _, t := range took {
		if t > upper {
			s.slow += 1 / float64(len(took))
		}
	}
	return s
}

// String is the line to end with.
func (s sum) String() string {
	return fmt.Sprintf("jobs=%d done=%d twice=%d workers_min=%d workers_max=%d workers_mean=%.1f ups=%d downs=%d wait_p50=%.2f wait_p99=%.2f wait_max=%.2f slow=%.4f",
		s.jobs, s.done, s.twice, s.least, s.most, s.mean, s.ups, s.downs, s.half.Seconds(), s.p99.Seconds(), s.longest.Seconds(), s.slow)
}

// inTime is the share of the jobs that the check wants done within upper. Births of
// a busy machine may take so long that some aren't.
const inTime = 0.8

// judge says what is not as it should be, if anything is.
func (s sum) judge() error {
	switch {
	case s.done != s.jobs:
		return fmt.Errorf("%d jobs were put on the queue, and %d done", s.jobs, s.done)
	case s.ups == 0 || s.downs == 0:
		return fmt.Errorf("the workers did not follow the load: %d orders up, %d down", s.ups, s.downs)
	case 1-s.slow < inTime:
		return fmt.Errorf("only %.0f %% of the jobs were done within %s", 100*(1-s.slow), upper)
	}
	return nil
}
