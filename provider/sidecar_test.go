package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/cell"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// fakeSidecar answers with the next of its vitals, the last again and again,
// and drains by itself or when it is told to.
type fakeSidecar struct {
	mu       sync.Mutex
	vitals   []sense.Vitals
	calls    []string
	draining bool
	asked    chan struct{} // closed at the third look
	looks    int
}

func (f *fakeSidecar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch r.Method + " " + r.URL.Path {
	case "GET " + sense.VitalsPath:
		v := f.vitals[0]
		v.Draining = v.Draining || f.draining
		if f.draining && len(f.vitals) > 1 {
			f.vitals = f.vitals[1:]
		}
		if f.looks++; f.looks == 3 {
			close(f.asked)
		}
		if v.Cell == "" {
			v.Cell, v.Incarnation = "pod-1", "i1"
		}
		_ = json.NewEncoder(w).Encode(v)
	case "PUT " + cell.DrainPath, "DELETE " + cell.DrainPath:
		f.calls = append(f.calls, r.Method)
		f.draining = r.Method == http.MethodPut
	default:
		http.NotFound(w, r)
	}
}

func TestDrain(t *testing.T) {
	holding := func(n float64) sense.Vitals { return sense.Vitals{InFlight: reading.Of(n, time.Now())} }
	stale, marked, spooling := holding(0), holding(0), holding(0)
	stale.Age = time.Hour
	marked.Draining, marked.Age = true, time.Hour
	spooling.SpoolDepth = reading.Of(3, time.Now())
	unknown := sense.Vitals{InFlight: reading.Unknown("no gauge is configured")}
	cases := map[string]struct {
		vitals []sense.Vitals
		limit  time.Duration
		calls  []string
		want   string // part of the error, empty for idle
	}{
		"idle at once":          {[]sense.Vitals{holding(0)}, time.Minute, []string{"PUT"}, ""},
		"idle in a while":       {[]sense.Vitals{holding(2), holding(2), holding(1), holding(0)}, time.Minute, []string{"PUT"}, ""},
		"idle only before":      {[]sense.Vitals{stale, stale, holding(1), holding(0)}, time.Minute, []string{"PUT"}, ""},
		"spool in a while":      {[]sense.Vitals{spooling, spooling, holding(0)}, time.Minute, []string{"PUT"}, ""},
		"never idle":            {[]sense.Vitals{holding(2)}, 200 * time.Millisecond, []string{"PUT"}, "it was not idle within 200ms"},
		"nobody knows":          {[]sense.Vitals{unknown}, time.Minute, []string{"PUT"}, "what it has in hand isn't known: no gauge is configured"},
		"another cell's port":   {[]sense.Vitals{{Cell: "pod-2", Incarnation: "i9"}}, time.Minute, nil, "the sidecar at URL is that of pod-2.i9, not of pod-1.i1"},
		"drained by its leader": {[]sense.Vitals{marked}, time.Minute, nil, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			fake := &fakeSidecar{vitals: c.vitals, asked: make(chan struct{})}
			server := httptest.NewServer(fake)
			defer server.Close()
			err := newSidecar(server.URL+"/", "pod-1.i1", nil).drain(t.Context(), c.limit)
			if (err == nil) != (c.want == "") || err != nil && strings.ReplaceAll(err.Error(), server.URL, "URL") != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if !slices.Equal(fake.calls, c.calls) {
				t.Errorf("calls %q, want %q", fake.calls, c.calls)
			}
		})
	}
}

func TestDrainInterrupted(t *testing.T) {
	fake := &fakeSidecar{vitals: []sense.Vitals{{InFlight: reading.Of(2, time.Now())}}, asked: make(chan struct{})}
	server := httptest.NewServer(fake)
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-fake.asked
		cancel()
	}()
	if err := newSidecar(server.URL, "pod-1.i1", nil).drain(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	if want := []string{"PUT", "DELETE"}; !slices.Equal(fake.calls, want) {
		t.Errorf("calls %q, want %q", fake.calls, want)
	}
}

func TestSidecarFaults(t *testing.T) {
	cases := map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"an error":  {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not now", http.StatusServiceUnavailable) }, "503 Service Unavailable: not now"},
		"no JSON":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "parse the sidecar's answer"},
		"no answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "ask the sidecar"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			if err := newSidecar(server.URL, "pod-1.i1", nil).drain(t.Context(), time.Minute); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
