package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// results reads what workers say of the jobs that they did.
type results struct {
	client *kgo.Client

	mu    sync.Mutex
	jobs  map[string]bool
	twice int
	waits []wait
}

// wait is how long one job took: from when it was put on the queue until it was done.
type wait struct {
	done time.Time
	took time.Duration
}

func newResults(r *rig) (*results, error) {
	client, err := r.client(kgo.ConsumeTopics(done), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	return &results{client: client, jobs: map[string]bool{}}, nil
}

// run reads until ctx ends.
func (s *results) run(ctx context.Context) error {
	defer s.client.Close()
	for ctx.Err() == nil {
		fetches := s.client.PollFetches(ctx)
		s.mu.Lock()
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			if err := s.note(r); err != nil {
				failed = err
			}
		})
		s.mu.Unlock()
		if failed != nil {
			return failed
		}
	}
	return nil
}

func (s *results) note(r *kgo.Record) error {
	took, err := time.ParseDuration(string(r.Value))
	if err != nil {
		return fmt.Errorf("read what a worker says of %s: %w", r.Key, err)
	}
	if s.jobs[string(r.Key)] {
		s.twice++
		return nil
	}
	s.jobs[string(r.Key)] = true
	s.waits = append(s.waits, wait{done: r.Timestamp, took: took})
	return nil
}

// count is how many jobs were done, and how many of them more than once.
func (s *results) count() (all, twice int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.jobs), s.twice
}

// since gives, in order, how long the jobs took that were done since an instant.
func (s *results) since(at time.Time) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var took []time.Duration
	for _, w := range slices.Backward(s.waits) {
		if w.done.Before(at.Add(-10 * time.Second)) {
			break // workers' results come in a little out of order
		}
		if !w.done.Before(at) {
			took = append(took, w.took)
		}
	}
	slices.Sort(took)
	return took
}

// quantile of sorted durations; 0 of none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
