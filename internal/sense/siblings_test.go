package sense

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// sidecarOf serves the vitals of a cell.
func sidecarOf(t *testing.T, v Vitals) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != VitalsPath {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, encode(t, v))
	})
}

func TestGather(t *testing.T) {
	well := func(change func(*Vitals)) http.HandlerFunc {
		v := wellVitals()
		change(&v)
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, encode(t, v)) }
	}
	tests := map[string]struct {
		handler http.HandlerFunc
		err     string
		is      error
	}{
		"well":                {handler: well(func(*Vitals) {})},
		"straggler":           {handler: hang, err: "no answer in time", is: context.DeadlineExceeded},
		"another cell":        {handler: well(func(v *Vitals) { v.Cell = "api-2" }), err: "api-2.a1", is: ErrImpostor},
		"another incarnation": {handler: well(func(v *Vitals) { v.Incarnation = "a2" }), err: "api-1.a2", is: ErrImpostor},
		"another service":     {handler: well(func(v *Vitals) { v.Service = "db" }), err: `"db"`, is: ErrImpostor},
		"stale":               {handler: well(func(v *Vitals) { v.Age = time.Minute }), err: "1m0s", is: ErrStale},
		"huge":                {handler: well(func(v *Vitals) { v.Version = strings.Repeat("x", 1<<16) }), err: "16384 bytes", is: errTooLarge},
		"nothing yet":         {handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusServiceUnavailable) }, err: "503"},
		"hostile":             {handler: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{\"cell\": ") }, err: "decode vitals"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			leavesNothing(t)
			timeout := 20 * time.Second
			if errors.Is(tt.is, context.DeadlineExceeded) {
				timeout = 200 * time.Millisecond
			}
			s := NewSiblings(SiblingsConfig{Timeout: timeout, MaxBytes: 1 << 14})
			t.Cleanup(s.Close)
			sib := Sibling{Service: "api", Cell: "api-1", Incarnation: "a1", URL: serve(t, tt.handler) + "/"}
			results := s.Gather(t.Context(), []Sibling{sib})
			if len(results) != 1 || results[0].Sibling != sib {
				t.Fatalf("results = %+v", results)
			}
			r := results[0]
			if tt.err == "" {
				if r.Err != nil || r.Vitals.Offered.Value != 20 {
					t.Errorf("vitals %+v, error %v", r.Vitals, r.Err)
				}
				return
			}
			if r.Err == nil || !strings.Contains(r.Err.Error(), tt.err) || !strings.Contains(r.Err.Error(), "api-1") {
				t.Errorf("error = %v, want %q and the cell", r.Err, tt.err)
			}
			if tt.is != nil && !errors.Is(r.Err, tt.is) {
				t.Errorf("error = %v, want it to be %v", r.Err, tt.is)
			}
			if r.Vitals.Cell != "" {
				t.Error("vitals were kept in spite of the error")
			}
		})
	}
}

func TestGatherAsksManyAFewAtATime(t *testing.T) {
	leavesNothing(t)
	const cells, atOnce = 60, 7
	var now, most atomic.Int32
	v := wellVitals()
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		_, _ = io.WriteString(w, encode(t, v))
	})
	siblings := make([]Sibling, cells)
	for i := range siblings {
		siblings[i] = Sibling{Service: "api", Cell: "api-1", Incarnation: "a1", URL: url}
	}
	siblings[40].URL = "no address"
	siblings[41].Cell = "api-41"
	s := NewSiblings(SiblingsConfig{Concurrency: atOnce, Timeout: 20 * time.Second})
	t.Cleanup(s.Close)
	results := s.Gather(t.Context(), siblings)
	for i, r := range results {
		if (r.Err != nil) != (i == 40 || i == 41) {
			t.Errorf("sibling %d: error %v", i, r.Err)
		}
	}
	if m := most.Load(); m > atOnce {
		t.Errorf("%d were asked at once, at most %d are to be", m, atOnce)
	}
}

func TestGatherEndsWithItsContext(t *testing.T) {
	leavesNothing(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := NewSiblings(SiblingsConfig{Concurrency: 2, Timeout: time.Hour})
	t.Cleanup(s.Close)
	var asked atomic.Int32
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 2 {
			cancel()
		}
		hang(w, r)
	})
	siblings := make([]Sibling, 20)
	for i := range siblings {
		siblings[i] = Sibling{Service: "api", Cell: fmt.Sprintf("api-%d", i), Incarnation: "a1", URL: url}
	}
	for _, r := range s.Gather(ctx, siblings) {
		if !errors.Is(r.Err, context.Canceled) {
			t.Errorf("%s: error %v, want it canceled", r.Cell, r.Err)
		}
	}
}

func TestGatherAndCombine(t *testing.T) {
	slow := wellVitals()
	slow.Cell, slow.Busy = "api-2", reading.Of(0.9, time.Time{})
	slow.Latency = &Increase{Bounds: []float64{0.1, 1}, Counts: []float64{0, 100, 0}, Span: 15 * time.Second}
	s := NewSiblings(SiblingsConfig{Timeout: 20 * time.Second})
	t.Cleanup(s.Close)
	got := Combine(start, s.Gather(t.Context(), []Sibling{
		{Service: "api", Cell: "api-1", Incarnation: "a1", URL: sidecarOf(t, wellVitals())},
		{Service: "api", Cell: "api-2", Incarnation: "a1", URL: sidecarOf(t, slow)},
	}), 0.5)
	wantValue(t, "offered", got.Offered.Value, 40)
	wantValue(t, "busy", got.BusyMax.Value, 0.9)
	// 90 of the 200 requests took up to 0.1 s; the 100th is the 10th of 110 above.
	wantValue(t, "median latency", got.Latency.Value, 0.1+0.9*10/110)
}
