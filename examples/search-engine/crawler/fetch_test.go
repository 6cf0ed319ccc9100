package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
)

// fetchFrom fetches one path of a server.
func fetchFrom(t *testing.T, server *httptest.Server, path string, patience time.Duration) store.Page {
	t.Helper()
	within, err := parseScope(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	page, err := newFetcher("test", within, 1000, patience).fetch(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	page.URL = strings.TrimPrefix(page.URL, server.URL)
	for i, link := range page.Links {
		page.Links[i] = strings.TrimPrefix(link, server.URL)
	}
	return page
}

func TestFetch(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprint(w, `<title>T</title><a href="/next">x</a>`)
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/page", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
	})
	mux.HandleFunc("/nowhere", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) })
	mux.HandleFunc("/picture", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = fmt.Fprint(w, `<a href="/no">`)
	})
	mux.HandleFunc("/empty", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/html") })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, `<a href="/no">`, strings.Repeat(" ", maxPage))
	})
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	server := httptest.NewServer(mux)
	defer server.Close()
	cases := []store.Page{
		{URL: "/page", Status: 200, Title: "T", Text: "x ", Links: []string{"/next"}},
		{URL: "/moved", Status: 302, Links: []string{"/page"}},
		{URL: "/away", Status: 302},
		{URL: "/nowhere", Status: 302},
		{URL: "/picture", Status: 200},
		{URL: "/empty", Status: 200},
		{URL: "/huge", Status: 200, Title: "(too large to be indexed)"},
		{URL: "/dead", Status: 404},
		{URL: "/broken", Status: 500},
	}
	for _, want := range cases {
		t.Run(want.URL, func(t *testing.T) {
			if diff := cmp.Diff(want, fetchFrom(t, server, want.URL, time.Millisecond)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFetchTriesAgain(t *testing.T) {
	var tries atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch tries.Add(1) {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2: // cut short: what is missing may hold links
			w.Header().Set("Content-Length", "1000")
			_, _ = fmt.Fprint(w, `<title>half`)
		default:
			_, _ = fmt.Fprint(w, `<title>whole</title>`)
		}
	}))
	defer server.Close()
	page := fetchFrom(t, server, "/", time.Minute)
	if page.Title != "whole" || tries.Load() != 3 {
		t.Errorf("title %q after %d tries", page.Title, tries.Load())
	}
}

func TestFetchWithoutAnswerIsStatus0(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	if page := fetchFrom(t, server, "/x", time.Millisecond); page.Status != 0 || page.URL != "/x" {
		t.Errorf("page = %+v", page)
	}
}

func TestEachHostHasItsOwnLimit(t *testing.T) {
	f := newFetcher("test", scope{}, 2, time.Second)
	first := f.limit("a")
	if f.limit("a") != first || f.limit("b") == first {
		t.Error("limits are not one for each host")
	}
	if got := f.limit("a").Limit(); got != 2 {
		t.Errorf("limit = %v requests a second, want 2", got)
	}
}
