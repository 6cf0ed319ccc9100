package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

func TestRoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		away := errors.New("away")
		var broken atomic.Bool
		r := newRoll(func(ctx context.Context, service string) ([]fleet.Member, error) {
			asked.Add(1)
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if broken.Load() {
				return nil, away
			}
			return []fleet.Member{{Cell: fleet.Cell{Name: service + "-1"}}}, nil
		})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if m, err := r.member(t.Context(), "a", "a-1"); err != nil || m.Name != "a-1" {
					t.Errorf("got %v, %v", m, err)
				}
			})
		}
		all.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times for 50, want once", n)
		}
		if _, err := r.member(t.Context(), "a", "a-2"); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		if m, err := r.member(t.Context(), "b", "b-1"); err != nil || m.Name != "b-1" {
			t.Errorf("another service: %v, %v", m, err)
		}
		time.Sleep(rollFresh + time.Millisecond)
		broken.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.member(ctx, "a", "a-1"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if _, err := r.member(t.Context(), "a", "a-1"); !errors.Is(err, away) {
			t.Errorf("got %v", err)
		}
	})
}
