package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
)

// fakeStore answers as it is set to; nil fields stand for calls that must not
// happen.
type fakeStore struct {
	PutFunc    func(context.Context, store.Page) (bool, int64, error)
	SeedFunc   func(context.Context, []string) (int64, error)
	SearchFunc func(context.Context, string, int) ([]store.Hit, int, error)
	StatsFunc  func(context.Context) (store.Stats, error)
}

func (f *fakeStore) Put(ctx context.Context, page store.Page) (bool, int64, error) {
	return f.PutFunc(ctx, page)
}
func (f *fakeStore) Seed(ctx context.Context, urls []string) (int64, error) {
	return f.SeedFunc(ctx, urls)
}
func (f *fakeStore) Search(ctx context.Context, query string, limit int) ([]store.Hit, int, error) {
	return f.SearchFunc(ctx, query, limit)
}
func (f *fakeStore) Stats(ctx context.Context) (store.Stats, error) { return f.StatsFunc(ctx) }

// one is a server that does one thing at once.
var one = settings{concurrency: 1, workers: 1}

type fakeRelay struct{ nudged int }

func (f *fakeRelay) nudge() { f.nudged++ }

func call(handler http.Handler, method, path, body string) *httptest.ResponseRecorder {
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, httptest.NewRequest(method, path, strings.NewReader(body)))
	return response
}

func TestPutPage(t *testing.T) {
	const page = `{"url":"http://h/a","status":200,"links":["http://h/b"]}`
	refused := &pgconn.PgError{Code: "54000"}
	starting := &pgconn.PgError{Code: "57P03"}
	cases := map[string]struct {
		body   string
		stored bool
		found  int64
		err    error
		status int
		nudged int
	}{
		"new":                   {page, true, 1, nil, 201, 1},
		"new, nothing found":    {page, true, 0, nil, 201, 0},
		"stored before":         {page, false, 0, nil, 200, 0},
		"not JSON":              {"{", false, 0, nil, 400, 0},
		"no URL":                {`{}`, false, 0, nil, 400, 0},
		"relative link":         {`{"url":"http://h/a","links":["/b"]}`, false, 0, nil, 400, 0},
		"another kind of link":  {`{"url":"http://h/a","links":["ftp://h/b"]}`, false, 0, nil, 400, 0},
		"a link too long":       {`{"url":"http://h/a","links":["http://h/` + strings.Repeat("b", maxURL) + `"]}`, false, 0, nil, 400, 0},
		"database not found":    {page, false, 0, errors.New("no cell of the service is passing"), 503, 0},
		"database starting up":  {page, false, 0, fmt.Errorf("store: %w", starting), 503, 0},
		"database refuses it":   {page, false, 0, fmt.Errorf("store: %w", refused), 422, 0},
		"a fault of ours in it": {page, false, 0, &pgconn.PgError{Code: "42P01"}, 500, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			relay := &fakeRelay{}
			server := newServer(&fakeStore{PutFunc: func(context.Context, store.Page) (bool, int64, error) {
				return c.stored, c.found, c.err
			}}, relay, one)
			response := call(server.handler(), http.MethodPost, "/pages", c.body)
			if response.Code != c.status {
				t.Errorf("status = %d, want %d: %s", response.Code, c.status, response.Body)
			}
			if relay.nudged != c.nudged {
				t.Errorf("the relay was told %d times, want %d", relay.nudged, c.nudged)
			}
			if got := response.Header().Get("Retry-After"); (got != "") != (c.status == 503) {
				t.Errorf("Retry-After = %q with status %d", got, c.status)
			}
		})
	}
}

func TestTooLargeABody(t *testing.T) {
	server := newServer(&fakeStore{}, &fakeRelay{}, one)
	body := `{"url":"http://h/a","text":"` + strings.Repeat("x", maxBody) + `"}`
	if response := call(server.handler(), http.MethodPost, "/pages", body); response.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("status = %d", response.Code)
	}
}

func TestSearch(t *testing.T) {
	var gotQuery string
	var gotLimit, away int
	server := newServer(&fakeStore{SearchFunc: func(_ context.Context, query string, limit int) ([]store.Hit, int, error) {
		gotQuery, gotLimit = query, limit
		return []store.Hit{}, away, nil
	}}, &fakeRelay{}, one)
	for path, status := range map[string]int{
		"/search?q=a+b&limit=7": 200, "/search": 400, "/search?q=a&limit=0": 400, "/search?q=a&limit=101": 400, "/search?q=a&limit=x": 400,
	} {
		if response := call(server.handler(), http.MethodGet, path, ""); response.Code != status {
			t.Errorf("%s: status = %d, want %d", path, response.Code, status)
		}
	}
	if gotQuery != "a b" || gotLimit != 7 {
		t.Errorf("searched for %q, %d", gotQuery, gotLimit)
	}
	if body := call(server.handler(), http.MethodGet, "/search?q=a", "").Body.String(); strings.TrimSpace(body) != "[]" {
		t.Errorf("no hits are %s, want []", body)
	}
	for _, n := range []int{0, 2} {
		away = n
		response := call(server.handler(), http.MethodGet, "/search?q=a", "")
		if got := response.Header().Get("Databases-Away"); response.Code != 200 || got != map[int]string{2: "2"}[n] {
			t.Errorf("with %d databases away: %d, %q", n, response.Code, got)
		}
	}
}

// A search takes its time, at its seat, and gives up with its client.
func TestDesk(t *testing.T) {
	d := newDesk(1, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 { // the seat is free again
		if _, err := d.enter(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("with a client that has gone: %v", err)
		}
	}
	d = newDesk(1, 0)
	leave, err := d.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() {
		leave, err := d.enter(t.Context())
		if err == nil {
			leave()
		}
		waiting <- err
	}()
	if n := d.gate.InFlight(); n != 1 {
		t.Errorf("%d searches at one seat", n)
	}
	leave()
	if err := <-waiting; err != nil || d.gate.InFlight() != 0 {
		t.Errorf("the next one: %v", err)
	}
}

// A full or draining cell refuses work with Retry-After, and counts it as
// demand all the same; its health is not touched.
func TestFullAndDraining(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	server := newServer(&fakeStore{StatsFunc: func(context.Context) (store.Stats, error) {
		entered <- struct{}{}
		<-leave
		return store.Stats{Pages: 3}, nil
	}}, &fakeRelay{}, one)
	handler := server.handler()
	first := make(chan *httptest.ResponseRecorder)
	go func() { first <- call(handler, http.MethodGet, "/stats", "") }()
	<-entered

	refusedWith := func(want string) {
		t.Helper()
		response := call(handler, http.MethodGet, "/stats", "")
		if response.Code != 503 || response.Header().Get("Retry-After") == "" || !strings.Contains(response.Body.String(), want) {
			t.Errorf("%d %q, want 503 with Retry-After and %q", response.Code, response.Body, want)
		}
		if got := call(handler, http.MethodGet, "/healthz", "").Code; got != 200 {
			t.Errorf("healthz = %d", got)
		}
	}
	refusedWith("full")
	call(handler, http.MethodPut, "/drain", "")
	refusedWith("draining")
	if metrics := call(handler, http.MethodGet, "/metrics", "").Body.String(); !strings.Contains(metrics, "api_in_flight 1\n") {
		t.Error("the request in flight is not among the metrics")
	}

	leave <- struct{}{}
	response := <-first
	var stats store.Stats
	if err := json.Unmarshal(response.Body.Bytes(), &stats); err != nil || stats.Pages != 3 || response.Code != 200 {
		t.Errorf("the request in flight was answered %d %s", response.Code, response.Body)
	}
	if n := server.gate.InFlight(); n != 0 {
		t.Errorf("in flight after the last answer: %d", n)
	}
	call(handler, http.MethodDelete, "/drain", "")
	go func() { <-entered; leave <- struct{}{} }()
	if response := call(handler, http.MethodGet, "/stats", ""); response.Code != 200 {
		t.Errorf("after draining was taken back: %d", response.Code)
	}
	if got := testutil.ToFloat64(server.metrics.arrived); got != 4 {
		t.Errorf("arrived = %v, want 4", got)
	}
	if got := testutil.ToFloat64(server.metrics.refused); got != 2 {
		t.Errorf("refused = %v, want 2", got)
	}
}
