package fleet

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
)

// A server whose index goes backwards and that wakes without a change.
func TestWatchWaitsFromWhereItIs(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	indexes, told := make(chan string, 16), make(chan int, 16)
	answers := []struct{ index, count int }{{7, 1}, {8, 1}, {3, 1}, {4, 2}}
	address := fault(t, func(w http.ResponseWriter, r *http.Request) {
		n := int(asked.Add(1)) - 1
		indexes <- r.URL.Query().Get("index")
		if n >= len(answers) {
			<-r.Context().Done()
			return
		}
		w.Header().Set("X-Consul-Index", strconv.Itoa(answers[n].index))
		text := `[{"Key":"k","ModifyIndex":1,"Value":"` + base64Record(answers[n].count) + `"}]`
		_, _ = w.Write([]byte(text))
	})
	c := newClient(t, quiet(t, address))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.WatchRecord(ctx, "api", func(r *Record) { told <- r.Count }) }()
	for i, want := range []string{"", "7", "8", "", "4"} {
		if got := receive(t, indexes); got != want {
			t.Errorf("request %d waits from %q, want %q", i, got, want)
		}
	}
	if a, b := receive(t, told), receive(t, told); a != 1 || b != 2 || len(told) != 0 {
		t.Errorf("told %d, then %d, and %d more; want 1, 2 and none", a, b, len(told))
	}
	cancel()
	wantError(t, <-ended, context.Canceled)
}

// A server that restarted has dropped the connections that were kept to it.
func TestDroppedConnectionIsMadeAnew(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	address := fault(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write([]byte("true"))
	})
	c := newClient(t, quiet(t, address))
	if err := c.Pin(t.Context(), "api", Pin{Count: 1}); err != nil || asked.Load() != 2 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
}
