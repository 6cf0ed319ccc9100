package replyto

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// api is a cell that answers as it is told and counts what it got.
type api struct {
	*httptest.Server
	status atomic.Int64
	to     atomic.Value // where a redirect leads
	got    atomic.Int64
	health string
}

func newAPI(t *testing.T, status int) *api {
	a := &api{health: "passing"}
	a.status.Store(int64(status))
	a.to.Store("")
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.got.Add(1)
		if r.Header.Get(CrawlerHeader) != "1" {
			t.Errorf("a request doesn't say that a crawler sends it: %v", r.Header)
		}
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "result" || r.URL.Path != "/pages" {
			t.Errorf("%s with %q, %v", r.URL.Path, body, err)
		}
		if to, ok := a.to.Load().(string); ok && to != "" {
			w.Header().Set("Location", to)
		}
		w.WriteHeader(int(a.status.Load()))
	}))
	t.Cleanup(a.Close)
	return a
}

// house lists cells.
type house struct {
	*httptest.Server
	mu    sync.Mutex
	cells []*api
	away  bool
	asked int
}

func newHouse(t *testing.T, cells ...*api) (*house, *Sender) {
	h := &house{cells: cells}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.asked++
		if h.away {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		list := []cell{}
		for _, a := range h.cells {
			list = append(list, cell{URL: a.URL, Health: a.health})
		}
		w.Header().Set("Cache-Control", "max-age=5")
		if err := json.NewEncoder(w).Encode(map[string]any{"service": "api", "cells": list}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(h.Close)
	known, err := NewCells(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	return h, &Sender{Service: "api", Cells: known}
}

// send returns the status of the answer, or 0 for none.
func send(t *testing.T, s *Sender, replyTo string) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	answer, err := s.Send(ctx, replyTo, Result{Path: "/pages", Body: []byte("result")})
	if err != nil {
		return 0, err
	}
	defer discard(answer)
	return answer.StatusCode, nil
}

func TestSend(t *testing.T) {
	const elsewhere = "http://192.0.2.1:80"
	tests := []struct {
		name    string
		first   int // what the first of three cells answers
		to      func(a, b *api) string
		replyTo func(a, b *api) string
		want    int
		got     [3]int64
	}{
		{name: "to the one that asked", first: 201, replyTo: func(_, b *api) string { return b.URL }, want: 201, got: [3]int64{0, 1, 0}},
		{name: "to nobody's address", first: 201, replyTo: func(_, _ *api) string { return elsewhere }, want: 201, got: [3]int64{1, 0, 0}},
		{name: "to no address at all", first: 201, replyTo: func(_, _ *api) string { return "javascript:x" }, want: 201, got: [3]int64{1, 0, 0}},
		{name: "refused", first: 429, replyTo: func(a, _ *api) string { return a.URL }, want: 201, got: [3]int64{1, 1, 0}},
		{name: "redirected", first: 307, to: func(_, b *api) string { return b.URL + "/pages" }, want: 201, got: [3]int64{1, 1, 0}},
		{name: "redirected to a stranger", first: 307, to: func(_, _ *api) string { return elsewhere + "/pages" }, want: 201, got: [3]int64{1, 1, 0}},
		{name: "redirected to itself", first: 307, to: func(a, _ *api) string { return a.URL + "/pages" }, want: 201, got: [3]int64{1, 1, 0}},
		{name: "an error of its own", first: 500, want: 500, got: [3]int64{1, 0, 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b, c := newAPI(t, test.first), newAPI(t, 201), newAPI(t, 201)
			_, s := newHouse(t, a, b, c)
			if test.to != nil {
				a.to.Store(test.to(a, b))
			}
			replyTo := ""
			if test.replyTo != nil {
				replyTo = test.replyTo(a, b)
			}
			status, err := send(t, s, replyTo)
			if err != nil || status != test.want {
				t.Errorf("answered %d, %v, want %d", status, err, test.want)
			}
			if got := [3]int64{a.got.Load(), b.got.Load(), c.got.Load()}; got != test.got {
				t.Errorf("the cells got %v, want %v", got, test.got)
			}
		})
	}
}

// A path that would make another host of a cell's address goes nowhere.
func TestPathIsNoHost(t *testing.T) {
	a, elsewhere := newAPI(t, 201), newAPI(t, 201)
	_, s := newHouse(t, a)
	for _, path := range []string{"@" + strings.TrimPrefix(elsewhere.URL, "http://") + "/pages", ".example/pages", ""} {
		answer, err := s.Send(t.Context(), a.URL, Result{Path: path, Body: []byte("result")})
		if err == nil {
			discard(answer)
			t.Errorf("%q was sent", path)
		}
	}
	if a.got.Load()+elsewhere.got.Load() != 0 {
		t.Error("somebody got a result")
	}
}

// Who waits for another's question about the cells waits no longer than it will.
func TestAskingIsBounded(t *testing.T) {
	asked, release := make(chan bool, 1), make(chan bool)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- true
		<-release
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer slow.Close()
	known, err := NewCells(slow.URL)
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan error)
	go func() {
		_, err := known.of(t.Context(), "api")
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := known.of(ctx, "api"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who waited: %v", err)
	}
	close(release)
	if err := <-first; err == nil {
		t.Error("a list, of one who has none")
	}
	// Those who come now are told so without asking again.
	known.now = func() time.Time { return time.Now().Add(-time.Hour) }
	if _, err := known.of(t.Context(), "api"); err == nil || len(asked) != 0 {
		t.Errorf("%d asked again, %v", len(asked), err)
	}
}

// All refuse: the last refusal is the caller's to obey.
func TestAllRefuse(t *testing.T) {
	a, b := newAPI(t, 429), newAPI(t, 503)
	_, s := newHouse(t, a, b)
	if status, err := send(t, s, a.URL); err != nil || status != 503 {
		t.Errorf("answered %d, %v", status, err)
	}
}

func TestHealth(t *testing.T) {
	spared, dead, well := newAPI(t, 201), newAPI(t, 201), newAPI(t, 201)
	spared.health, dead.health = "warning", "critical"
	_, s := newHouse(t, spared, dead, well)
	for _, replyTo := range []string{spared.URL, dead.URL} {
		if status, err := send(t, s, replyTo); err != nil || status != 201 {
			t.Fatalf("answered %d, %v", status, err)
		}
	}
	if well.got.Load() != 2 {
		t.Errorf("the one that is passing got %d of 2", well.got.Load())
	}
	well.Close()
	if status, err := send(t, s, well.URL); err != nil || status != 201 || spared.got.Load() != 1 || dead.got.Load() != 0 {
		t.Errorf("answered %d, %v; the spared one got %d, the dead one %d", status, err, spared.got.Load(), dead.got.Load())
	}
}

// The list is kept for its max-age, and while nobody can be asked.
func TestCells(t *testing.T) {
	a := newAPI(t, 201)
	h, s := newHouse(t, a)
	now := time.Now()
	s.Cells.now = func() time.Time { return now }
	for range 3 {
		if _, err := send(t, s, ""); err != nil {
			t.Fatal(err)
		}
	}
	if h.asked != 1 {
		t.Errorf("asked %d times within max-age", h.asked)
	}
	h.mu.Lock()
	h.away = true
	h.mu.Unlock()
	now = now.Add(10 * time.Minute)
	if status, err := send(t, s, ""); err != nil || status != 201 {
		t.Errorf("while nobody tells: %d, %v", status, err)
	}
	now = now.Add(10 * time.Minute)
	if _, err := send(t, s, ""); err == nil || !strings.Contains(err.Error(), "ask for the cells of api") {
		t.Errorf("a list of 20 minutes: %v", err)
	}
	h.mu.Lock()
	h.away, h.cells = false, nil
	h.mu.Unlock()
	now = now.Add(time.Second)
	if _, err := send(t, s, a.URL); !errors.Is(err, ErrNobody) {
		t.Errorf("without cells: %v", err)
	}
}

func TestNewCells(t *testing.T) {
	t.Setenv("HOMEOSTAT_SIDECAR", "")
	if _, err := NewCells(""); err == nil || !strings.Contains(err.Error(), "is HOMEOSTAT_SIDECAR set") {
		t.Errorf("without a sidecar: %v", err)
	}
	t.Setenv("HOMEOSTAT_SIDECAR", "http://127.0.0.1:1")
	if _, err := NewCells(""); err != nil {
		t.Error(err)
	}
}

func TestOrigin(t *testing.T) {
	for address, want := range map[string]string{
		"http://Example.org/path?q": "http://example.org:80", "https://[::1]:8443": "https://[::1]:8443",
		"http://10.0.0.1:08": "http://10.0.0.1:08", "http://user:word@10.0.0.1": "", "ftp://a": "", "": "", "//a": "",
	} {
		if got := origin(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}
