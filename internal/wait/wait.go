// Package wait waits for a while, as far as a context lets it.
package wait

import (
	"context"
	"time"
)

// For returns nil after d, or the error of a context that ends first. Of a
// context that has ended it returns the error, however short d is.
func For(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
