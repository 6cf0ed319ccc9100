package proxy

import (
	"io"
	"net/http"
	"testing"
)

func TestPassesThrough(t *testing.T) {
	r := start(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Saw", r.Method+" "+r.RequestURI+" "+r.Host)
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
	}))
	for _, path := range []string{"/", "/a%2Fb//c/../d?x=1;2&y=%zz", "/?", "/*"} {
		got := r.do(t, "POST", path, "hello")
		if want := "POST " + path + " " + r.at; got.status != 201 || got.body != "hello" || got.header.Get("X-Saw") != want {
			t.Errorf("%s: %+v, want %q", path, got, want)
		}
	}
}
