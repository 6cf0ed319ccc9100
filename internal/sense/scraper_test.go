package sense

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// serve starts a server for a test. Its handlers are released at the end.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv.URL
}

func newScraper(t *testing.T, cfg ScraperConfig) *Scraper {
	t.Helper()
	s, err := NewScraper(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// hang answers nothing until the asker has gone.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestScraper(t *testing.T) {
	tests := map[string]struct {
		handler http.HandlerFunc
		max     int64
		err     string
		is      error
	}{
		"a page": {handler: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page) }},
		"not up yet": {
			handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "starting", http.StatusServiceUnavailable) },
			err:     "status 503",
		},
		"leads elsewhere": {
			handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) },
			err:     "status 302",
		},
		"never answers": {handler: hang, err: "no answer in time", is: context.DeadlineExceeded},
		"stops in the middle": {
			handler: func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, "busy 1\n")
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
				hang(w, r)
			},
			err: "no answer in time", is: context.DeadlineExceeded,
		},
		"cut in the middle": {
			handler: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "1000")
				fmt.Fprint(w, "busy 1\n")
			},
			err: "unexpected EOF",
		},
		"huge":               {handler: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page) }, max: 100, is: errTooLarge, err: "100 bytes"},
		"huge when unpacked": {handler: bomb, max: 1 << 20, is: errTooLarge, err: "1048576 bytes"},
		"no metrics":         {handler: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, err: "parse prometheus text format"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			leavesNothing(t)
			timeout := 200 * time.Millisecond
			if !errors.Is(tt.is, context.DeadlineExceeded) {
				timeout = 20 * time.Second
			}
			s := newScraper(t, ScraperConfig{URL: serve(t, tt.handler), MaxBytes: tt.max, Timeout: timeout})
			scrape, err := s.Scrape(t.Context())
			if tt.err == "" {
				if err != nil {
					t.Fatal(err)
				}
				if v, err := scrape.Value("busy", nil); err != nil || v != 0.75 {
					t.Errorf("busy = %g, error %v", v, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), s.cfg.URL) {
				t.Fatalf("error = %v, want %q with the address", err, tt.err)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error = %v, want it to be %v", err, tt.is)
			}
		})
	}
}

// bomb packs 64 MiB of comment into a few kilobytes.
func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	line := []byte("#" + strings.Repeat(" ", 1<<16) + "\n")
	for range 1 << 10 {
		if _, err := z.Write(line); err != nil {
			return
		}
	}
	_ = z.Close()
}

func TestScraperNobodyThere(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	_, err := newScraper(t, ScraperConfig{URL: srv.URL}).Scrape(t.Context())
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error = %v, want connection refused", err)
	}
}

func TestNewScraperRefusesAddresses(t *testing.T) {
	for _, bad := range []string{"", "localhost:80", "ftp://x/metrics", "http://", "http://[::1", "/metrics"} {
		if _, err := NewScraper(ScraperConfig{URL: bad}); err == nil {
			t.Errorf("%q was taken for an address", bad)
		}
	}
}
