package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// played is a run of the example: what was produced, what became of the jobs, and
// how many workers there were.
type played struct {
	producer *producer
	results  *results
	watch    *watch
}

// play produces as the plan says and returns when all jobs are done. each is called
// once a second.
func play(ctx context.Context, r *rig, p plan, each func(context.Context, *played)) (*played, error) {
	results, err := newResults(r)
	if err != nil {
		return nil, err
	}
	run := &played{producer: newProducer(r, p), results: results, watch: newWatch(r)}
	looking, stop := context.WithCancel(ctx)
	group, looking := errgroup.WithContext(looking)
	group.Go(func() error { return results.run(looking) })
	group.Go(func() error { run.watch.run(looking); return nil })
	produced := make(chan error, 1)
	go func() { produced <- run.producer.run(looking) }()
	err = run.follow(looking, produced, each)
	stop()
	return run, errors.Join(err, group.Wait())
}

// endLimit is how long the last jobs may take once all are on the queue.
const endLimit = 2 * time.Minute

// follow shows what goes on until all that was produced is done.
func (r *played) follow(ctx context.Context, produced <-chan error, each func(context.Context, *played)) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var ended time.Time
	for {
		select {
		case err := <-produced:
			if err != nil {
				return err
			}
			produced, ended = nil, time.Now()
		case <-ticker.C:
			each(ctx, r)
		case <-ctx.Done():
			return ctx.Err()
		}
		all, _ := r.results.count()
		switch {
		case ended.IsZero():
		case all >= r.producer.total():
			return nil
		case time.Since(ended) > endLimit:
			return fmt.Errorf("%d of %d jobs were not done %s after the last one was put on the queue", r.producer.total()-all, r.producer.total(), endLimit)
		}
	}
}

// waiting is how many jobs the queue has that aren't done.
func (r *played) waiting() int {
	all, _ := r.results.count()
	return max(0, r.producer.total()-all)
}
