package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
)

// fakeAPI answers with the codes it is given, the last one for ever.
type fakeAPI struct {
	mu    sync.Mutex
	codes []int
	pages []store.Page
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var page store.Page
	if err := json.NewDecoder(r.Body).Decode(&page); err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	f.pages = append(f.pages, page)
	code := f.codes[0]
	if len(f.codes) > 1 {
		f.codes = f.codes[1:]
	}
	w.WriteHeader(code)
}

func TestDeliver(t *testing.T) {
	page := store.Page{URL: "http://h/", Status: 200, Title: "T", Text: "text", Links: []string{"http://h/a"}}
	bare := store.Page{URL: "http://h/", Status: 200, Title: "(refused by the API)"}
	cases := map[string]struct {
		codes []int
		want  []store.Page
	}{
		"stored":                 {[]int{201}, []store.Page{page}},
		"stored before":          {[]int{200}, []store.Page{page}},
		"tried until stored":     {[]int{503, 500, 502, 404, 201}, []store.Page{page, page, page, page, page}},
		"refused, stored barely": {[]int{503, 422, 503, 201}, []store.Page{page, page, bare, bare}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			api := &fakeAPI{codes: c.codes}
			server := httptest.NewServer(api)
			defer server.Close()
			courier, err := newCourier("api", listing(t, server.URL))
			if err != nil {
				t.Fatal(err)
			}
			courier.first = time.Millisecond
			if err := courier.deliver(t.Context(), server.URL, page); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, api.pages); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// listing is a sidecar that knows one API.
func listing(t *testing.T, api string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/services/api" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		_, _ = fmt.Fprintf(w, `{"service":"api","cells":[{"url":%q,"health":"passing"}]}`, api)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestDeliverEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("the generation is over")
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel(over)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer away.Close()
	courier, err := newCourier("api", listing(t, away.URL))
	if err != nil {
		t.Fatal(err)
	}
	if err := courier.deliver(ctx, "", store.Page{}); !errors.Is(err, over) {
		t.Errorf("deliver = %v", err)
	}
}

func TestReplyTo(t *testing.T) {
	const api = "http://10.0.0.7:8080"
	named := kafka.Message{Headers: []kafka.Header{{Key: "other", Value: []byte("x")}, {Key: "homeostat-reply-to", Value: []byte(api)}}}
	if got := replyTo(named); got != api {
		t.Errorf("the message names %q, want %q", got, api)
	}
	if got := replyTo(kafka.Message{}); got != "" {
		t.Errorf("a message without the header names %q", got)
	}
}
