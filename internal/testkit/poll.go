package testkit

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// pollInterval is the pause between two looks at something that is awaited.
const pollInterval = 20 * time.Millisecond

// Poll calls condition until it returns nil, and returns its last error when
// the limit is over or ctx is done.
func Poll(ctx context.Context, limit time.Duration, condition func(context.Context) error) error {
	return PollEvery(ctx, pollInterval, limit, condition)
}

// PollEvery is Poll with a pause of its own between two looks, for a condition that
// costs much to look at, and that lasts once it has come. A look that was itself cut by
// the end of the time says nothing: then the error is that of the one before.
func PollEvery(ctx context.Context, pause, limit time.Duration, condition func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for {
		now := condition(ctx)
		if now == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = now
		}
		select {
		case <-ctx.Done():
			return errors.Join(last, fmt.Errorf("gave up: %w", context.Cause(ctx)))
		case <-time.After(pause):
		}
	}
}

// Await calls condition until it returns nil and fails the test with its last
// error when the limit is over. The limit is there so that a test ends, not to
// measure: give it several times what an idle machine needs.
func Await(tb testing.TB, limit time.Duration, condition func(context.Context) error) {
	tb.Helper()
	if err := Poll(tb.Context(), limit, condition); err != nil {
		tb.Fatalf("after %s: %v", limit, err)
	}
}
