package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// deadLimit is how long a cell that its leader has found dead is given to leave by
// itself: the state stays locked meanwhile. Should it live all the same, the order to
// leave is there for it.
const deadLimit = 15 * time.Second

// untilLeft bounds the wait for a cell to leave where the leader that has ordered it
// away found it dead.
func (s *settings) untilLeft(ctx context.Context, service string, cell fleet.Cell) (context.Context, context.CancelFunc, error) {
	record, _, err := s.fleet.Record(ctx, service)
	switch {
	case errors.Is(err, fleet.ErrNoRecord): // no leader has ordered anything
		return ctx, func() {}, nil
	case err != nil:
		return ctx, func() {}, err
	}
	dead := slices.ContainsFunc(record.Orders, func(o fleet.Order) bool { return slices.Contains(o.Dead, cell.ID()) })
	if !dead {
		return ctx, func() {}, nil
	}
	bounded, cancel := context.WithTimeoutCause(ctx, deadLimit, fmt.Errorf("its leader has found it dead, so it was given %v", deadLimit))
	return bounded, cancel, nil
}
