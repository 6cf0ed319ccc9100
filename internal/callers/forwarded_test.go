package callers

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

// What was said before counts if the peer is trusted, whichever way it goes on.
func TestForward(t *testing.T) {
	trusted, err := ParseNetworks([]string{"10.1.2.3/8", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	before := http.Header{
		"X-Forwarded-For": {"192.0.2.1", "192.0.2.2"}, "X-Forwarded-Host": {"search.example"}, "X-Forwarded-Proto": {"https"}, "Forwarded": {"for=192.0.2.1"},
	}
	for name, c := range map[string]struct {
		remote    string
		before    http.Header
		encrypted bool
		want      [4]string // for, host, proto, Forwarded
	}{
		"trusted":               {"10.0.0.9:1", before, false, [4]string{"192.0.2.1, 192.0.2.2, 10.0.0.9", "search.example", "https", `for=192.0.2.1, for=10.0.0.9;host="api.example";proto=http`}},
		"trusted, by IPv6":      {"[2001:db8::1]:1", before, false, [4]string{"192.0.2.1, 192.0.2.2, 2001:db8::1", "search.example", "https", `for=192.0.2.1, for="[2001:db8::1]";host="api.example";proto=http`}},
		"trusted, mapped":       {"[::ffff:10.0.0.9]:1", before, false, [4]string{"192.0.2.1, 192.0.2.2, ::ffff:10.0.0.9", "search.example", "https", `for=192.0.2.1, for="[::ffff:10.0.0.9]";host="api.example";proto=http`}},
		"trusted, says nothing": {"10.0.0.9:1", nil, true, [4]string{"10.0.0.9", "api.example", "https", ""}},
		"a stranger":            {"192.0.2.9:1", before, false, [4]string{"192.0.2.9", "api.example", "http", ""}},
		"no address":            {"@", before, false, [4]string{"@", "api.example", "http", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.example/", nil)
			r.RemoteAddr = c.remote
			if c.encrypted {
				r.TLS = &tls.ConnectionState{}
			}
			check := func(h http.Header) {
				t.Helper()
				if got := [4]string{h.Get("X-Forwarded-For"), h.Get("X-Forwarded-Host"), h.Get("X-Forwarded-Proto"), h.Get("Forwarded")}; got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
			}
			h := c.before.Clone()
			if h == nil {
				h = http.Header{}
			}
			Forward(h, r, trusted, new([3]string))
			check(h)
			if r.Header = c.before.Clone(); r.Header == nil {
				r.Header = http.Header{}
			}
			var behind http.Header
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { behind = r.Header }))
			defer server.Close()
			to, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(to)
				ForwardByReverseProxy(p, trusted)
			}}
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			check(behind)
		})
	}
	if _, err := ParseNetworks([]string{"10.0.0.1"}); err == nil {
		t.Error("an address was taken for a network")
	}
}
