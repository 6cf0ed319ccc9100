package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A mark that was put on is taken off again, and leaves path and query as they were.
func FuzzMark(f *testing.F) {
	for _, uri := range []string{"/", "/?", "/a%2Fb?x=1;2&y=%zz", "//x?homeostat-moved", "/?&&", "*"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		before, err := url.ParseRequestURI(uri)
		if err != nil || before.Host != "" || before.Opaque != "" || !strings.HasPrefix(uri, "/") {
			return
		}
		r := &http.Request{URL: before, Header: http.Header{}}
		unmark(r)
		want := r.URL.RequestURI()
		text, ok := strings.CutPrefix(movedTo("http://192.0.2.1:80/", r, Crawler), "http://192.0.2.1:80")
		if !ok {
			t.Fatalf("%q leads to another host: %q", uri, text)
		}
		after, err := url.ParseRequestURI(text)
		if err != nil {
			t.Fatalf("%q becomes %q: %v", uri, text, err)
		}
		moved := &http.Request{URL: after, Header: http.Header{}}
		if marked, crawler := unmark(moved); !marked || !crawler || strings.TrimSuffix(moved.URL.RequestURI(), "?") != strings.TrimSuffix(want, "?") {
			t.Fatalf("%q becomes %q, want %q", uri, moved.URL.RequestURI(), want)
		}
	})
}
