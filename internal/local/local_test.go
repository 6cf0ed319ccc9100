package local

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves a handler that answers everything with 204, and returns the URL.
func start(t *testing.T) string {
	t.Helper()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Handle("/v1/thing", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	served := make(chan error, 1)
	go func() { served <- l.Serve() }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.URL()
}

func TestWhoIsLetIn(t *testing.T) {
	url := start(t)
	for _, c := range []struct {
		name, host, origin, site string
		want                     int
	}{
		{name: "the application", want: http.StatusNoContent},
		{name: "by name", host: "localhost:1234", want: http.StatusNoContent},
		{name: "by another address of loopback", host: "127.0.0.2", want: http.StatusNoContent},
		{name: "by version 6", host: "[::1]:80", want: http.StatusNoContent},
		{name: "a name pointed here", host: "evil.example:80", want: http.StatusForbidden},
		{name: "a name that begins like loopback", host: "127.0.0.1.evil.example", want: http.StatusForbidden},
		{name: "another address", host: "192.0.2.1:80", want: http.StatusForbidden},
		{name: "a page of another origin", origin: "https://evil.example", want: http.StatusForbidden},
		{name: "a page of another site", site: "cross-site", want: http.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/thing", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = c.host
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			if c.site != "" {
				r.Header.Set("Sec-Fetch-Site", c.site)
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != c.want {
				text, _ := io.ReadAll(answer.Body)
				t.Errorf("answered %d %s, want %d", answer.StatusCode, text, c.want)
			}
		})
	}
}

func TestOtherHostsAreRefused(t *testing.T) {
	h := onlyLoopback(http.NotFoundHandler())
	for address, want := range map[string]int{
		"192.0.2.1:4711": http.StatusForbidden, "nonsense": http.StatusForbidden,
		"127.0.0.1:4711": http.StatusNotFound, "[::ffff:127.0.0.1]:4711": http.StatusNotFound, "[::1]:4711": http.StatusNotFound,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/", nil)
		r.RemoteAddr = address
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s was answered %d, want %d", address, w.Code, want)
		}
	}
}

func TestOnlyLoopbackIsListenedOn(t *testing.T) {
	l, err := Listen(t.Context(), "0.0.0.0:0")
	if err == nil {
		_ = l.Close()
		t.Fatal("listens on every address")
	}
	if !strings.Contains(err.Error(), "127.0.0.1:0") {
		t.Errorf("%v doesn't say what to do", err)
	}
}
