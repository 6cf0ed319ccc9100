package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// tally collects what became of requests over the last second.
type tally struct {
	mu     sync.Mutex
	times  []time.Duration // of those answered
	failed int
	last   error
}

func newTally() *tally { return &tally{} }

func (t *tally) add(took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failed, t.last = t.failed+1, err
		return
	}
	t.times = append(t.times, took)
}

// report writes a line each second until ctx ends.
func (t *tally) report(ctx context.Context, out io.Writer) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_, _ = fmt.Fprintln(out, t.line())
		}
	}
}

// line sums up and begins anew.
func (t *tally) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := fmt.Sprintf("%d answered, p50 %s, p99 %s, %d failed", len(t.times), quantile(t.times, 0.5), quantile(t.times, 0.99), t.failed)
	if t.last != nil {
		line += fmt.Sprintf(" (%v)", t.last)
	}
	t.times, t.failed, t.last = nil, 0, nil
	return line
}

// quantile is the time within which a share q of the requests was answered.
func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	at := min(len(sorted)-1, int(q*float64(len(sorted))))
	return sorted[at].Round(time.Millisecond)
}
