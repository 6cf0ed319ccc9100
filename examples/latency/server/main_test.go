package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Requests that share the server take as many times as long as there are.
func TestWorkIsShared(t *testing.T) {
	for sharers, want := range map[int]time.Duration{1: 20 * time.Millisecond, 4: 80 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			work(t.Context(), 20*time.Millisecond, func() int { return sharers })
			if took := time.Since(start); took != want {
				t.Errorf("with %d in hand it took %s, want %s", sharers, took, want)
			}
		})
	}
}

func TestWorkEndsWithItsClient(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	work(ctx, time.Hour, func() int { return 1 }) // returns
}

func TestServer(t *testing.T) {
	server := httptest.NewServer(handler(time.Millisecond, 2))
	defer server.Close()
	status := func(method, path string) int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode
	}
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			if got := status("GET", "/"); got != 200 {
				t.Errorf("the work: %d", got)
			}
		})
	}
	wait.Wait()
	for _, step := range []struct {
		method, path string
		want         int
	}{{"PUT", "/drain", 204}, {"GET", "/", 503}, {"GET", "/healthz", 200}, {"DELETE", "/drain", 204}, {"GET", "/", 200}, {"GET", "/other", 404}} {
		if got := status(step.method, step.path); got != step.want {
			t.Errorf("%s %s: %d, want %d", step.method, step.path, got, step.want)
		}
	}
	response := httptest.NewRecorder()
	handler(time.Millisecond, 2).ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, name := range []string{"answer_seconds_bucket", "server_in_flight 0"} {
		if !strings.Contains(response.Body.String(), name) {
			t.Errorf("no %s among the metrics", name)
		}
	}
}
