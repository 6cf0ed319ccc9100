package sense

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// inTime says in plain words that a time limit has passed, if that is why
// something failed. What reads from a connection may report the limit before
// the context does, and a parser may hide it.
func inTime(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = ctx.Err()
	default:
		return err
	}
	return fmt.Errorf("no answer in time: %w", err)
}
