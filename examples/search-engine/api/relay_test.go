package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// What the spool refuses is not taken for sent.
func TestSend(t *testing.T) {
	status, got := http.StatusAccepted, ""
	sidecar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/queue/urls" || r.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%s with %s, %v", r.URL.Path, r.Header.Get("Content-Type"), err)
		}
		got = string(body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "the spool says why")
	}))
	defer sidecar.Close()
	relay := newRelay(nil, []string{"127.0.0.1:1"}, settings{sidecar: sidecar.URL + "/", topic: "urls"})
	defer relay.http.CloseIdleConnections()
	if err := relay.send(t.Context(), []string{"http://h/a", `http://h/"b"`}); err != nil {
		t.Fatal(err)
	}
	const want = `{"key":"http://h/a","body":"http://h/a"}` + "\n" + `{"key":"http://h/\"b\"","body":"http://h/\"b\""}` + "\n"
	if got != want {
		t.Errorf("the spool got %s, want %s", got, want)
	}
	for _, status = range []int{http.StatusOK, http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		if err := relay.send(t.Context(), []string{"http://h/a"}); err == nil || !strings.Contains(err.Error(), "the spool says why") {
			t.Errorf("answered %d: %v", status, err)
		}
	}
	sidecar.Close()
	if err := relay.send(t.Context(), []string{"http://h/a"}); err == nil {
		t.Error("sent while the sidecar is away")
	}
}

// halfway is an outbox with two batches and something that stops after the first.
type halfway struct{ tries []error }

func (h *halfway) Queue(ctx context.Context, limit int, _ func(context.Context, []string) error) (int, error) {
	if len(h.tries) == 0 {
		return 0, ctx.Err()
	}
	err := h.tries[0]
	h.tries = h.tries[1:]
	return limit, err
}

func TestDrainStopsAtAnError(t *testing.T) {
	outbox := &halfway{tries: []error{nil, context.DeadlineExceeded, nil}}
	(&relay{store: outbox, every: time.Second}).drain(t.Context())
	if len(outbox.tries) != 1 {
		t.Errorf("%d batches are left, want the one after the error", len(outbox.tries))
	}
}

func TestPartner(t *testing.T) {
	status, asked := http.StatusNotFound, 0
	sidecar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"service":"db","cell":"db-2","address":"127.0.0.1:1","health":"passing"}`)
	}))
	defer sidecar.Close()
	p := &partner{url: sidecar.URL, client: http.DefaultClient}
	for range 2 {
		if got := p.name(); got != "" || asked != 1 {
			t.Errorf("without a partner: %q, asked %d times", got, asked)
		}
	}
	status, p.next = http.StatusOK, time.Time{}
	for range 2 {
		if got := p.name(); got != "db-2" || asked != 2 {
			t.Errorf("the partner is %q, asked %d times", got, asked)
		}
	}
}
