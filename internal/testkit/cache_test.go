package testkit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestCacheIsFilledOnceByManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	var fills atomic.Int32
	fill := func(_ context.Context, into string) error {
		fills.Add(1)
		return os.WriteFile(filepath.Join(into, "program"), []byte("whole"), 0o600)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			got, err := cached(t.Context(), dir, "thing", fill)
			if err != nil {
				t.Error(err)
				return
			}
			if text, err := os.ReadFile(filepath.Join(got, "program")); err != nil || string(text) != "whole" {
				t.Errorf("the cache holds %q, %v", text, err)
			}
		})
	}
	wg.Wait()
	if n := fills.Load(); n != 1 {
		t.Errorf("filled %d times, want once", n)
	}
}

func TestCacheForgetsWhatFailedOrWasCut(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("no network")
	if _, err := cached(t.Context(), dir, "thing", func(context.Context, string) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	// A process that was killed while it filled the cache leaves this.
	left := filepath.Join(dir, ".thing.part", "half")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := cached(t.Context(), dir, "thing", func(_ context.Context, into string) error {
		return os.WriteFile(filepath.Join(into, "whole"), nil, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(got)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "whole" {
		t.Errorf("the cache holds %v", entries)
	}
}

func TestCacheWaitsNoLongerThanItsContext(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockFile(t.Context(), filepath.Join(dir, ".thing.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancelCause(t.Context())
	cut := errors.New("cut")
	cancel(cut)
	_, err = cached(ctx, dir, "thing", func(context.Context, string) error { return nil })
	if !errors.Is(err, cut) {
		t.Errorf("error %v, want %v", err, cut)
	}
}
