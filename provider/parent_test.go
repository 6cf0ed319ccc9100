package main

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestEndWithParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var parent, code atomic.Int64
		parent.Store(10)
		code.Store(-1)
		began := time.Now()
		go endWithParent(t.Context(), 10, func() int { return int(parent.Load()) }, func(c int) { code.Store(int64(c)) })
		time.Sleep(time.Hour)
		synctest.Wait()
		if code.Load() != -1 {
			t.Fatalf("it ended after %v though its parent lives", time.Since(began))
		}
		parent.Store(1)
		time.Sleep(parentEvery + lastWords + time.Millisecond)
		synctest.Wait()
		if code.Load() != 1 {
			t.Errorf("it didn't end after its parent")
		}
	})
}

func TestEndWithParentStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			endWithParent(ctx, 10, func() int { return 10 }, func(int) { t.Error("it ended") })
			close(ended)
		}()
		cancel()
		<-ended
	})
}
