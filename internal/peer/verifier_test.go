package peer

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// noon is when a test begins whose clock stands.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// echo answers with what it was asked, and counts how often.
type echo struct{ asked atomic.Int32 }

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.asked.Add(1)
	body, _ := io.ReadAll(r.Body)
	if r.URL.Path == "/none" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	if r.URL.Path == "/conflict" {
		w.WriteHeader(http.StatusConflict)
	}
	_, _ = fmt.Fprintf(w, "%s %s %q", r.Method, r.URL.RequestURI(), body)
}

// guarded serves a handler behind a verifier.
func guarded(tb testing.TB, keys *Keys, now func() time.Time, h http.Handler) string {
	tb.Helper()
	s := httptest.NewServer(NewVerifier(keys, now).Wrap(h))
	tb.Cleanup(s.Close)
	return s.URL
}

// caller is a client that signs; its connections end with the test.
func caller(tb testing.TB, keys *Keys) *http.Client {
	tb.Helper()
	c := &http.Client{Transport: keys.Transport(&http.Transport{}), Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	tb.Cleanup(c.CloseIdleConnections)
	return c
}

// call makes a request and returns status and body.
func call(tb testing.TB, c *http.Client, method, url, body string) (int, string, error) {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	return send(tb, c, r)
}

func send(tb testing.TB, c *http.Client, r *http.Request) (int, string, error) {
	tb.Helper()
	resp, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(text), nil
}

func TestPeersReachEachOther(t *testing.T) {
	tests := map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"read":              {"GET", "/v1/vitals", "", 200, `GET /v1/vitals ""`},
		"no method":         {"", "/v1/vitals", "", 200, `GET /v1/vitals ""`},
		"query":             {"PUT", "/v1/drain?cell=api-1.x", "", 200, `PUT /v1/drain?cell=api-1.x ""`},
		"odd query":         {"PUT", "/a%2Fb/%41?x=%zz&y=a+b&;", "", 200, `PUT /a%2Fb/%41?x=%zz&y=a+b&; ""`},
		"empty query":       {"GET", "/?", "", 200, `GET /? ""`},
		"no path":           {"GET", "", "", 200, `GET / ""`},
		"body":              {"POST", "/", "some\nbody", 200, `POST / "some\nbody"`},
		"error of its own":  {"GET", "/conflict", "", 409, `GET /conflict ""`},
		"nothing to answer": {"DELETE", "/none", "", 204, ""},
		"head":              {"HEAD", "/v1/vitals", "", 200, ""},
	}
	keys := keysOf(t, first)
	url := guarded(t, keys, time.Now, &echo{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			status, text, err := call(t, caller(t, keys), tt.method, url+tt.path, tt.body)
			if err != nil || status != tt.status || text != tt.want {
				t.Errorf("got %d %q, %v", status, text, err)
			}
		})
	}
}

func TestKeysAreChangedWithoutAGap(t *testing.T) {
	steps := [][]string{{first}, {first, second}, {second, first}, {second}}
	for i := range steps {
		for _, j := range []int{i - 1, i, i + 1} { // Others may be a step behind or ahead.
			if j < 0 || j >= len(steps) {
				continue
			}
			url := guarded(t, keysOf(t, steps[i]...), time.Now, &echo{})
			if status, _, err := call(t, caller(t, keysOf(t, steps[j]...)), "PUT", url, ""); err != nil || status != http.StatusOK {
				t.Errorf("server at step %d, client at %d: %d, %v", i, j, status, err)
			}
		}
	}
}

// signed is a request as a peer would have signed it then.
func signed(tb testing.TB, key, method, url, body string, at time.Time) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	s := stamp{at: at, nonce: newNonce()}
	s.mac = code([]byte(key), requestText(method, r.URL.RequestURI(), []byte(body), s))
	r.Header.Set("Authorization", s.header())
	return r
}

func TestRefusals(t *testing.T) {
	header := func(change func(http.Header)) func(*http.Request) { return func(r *http.Request) { change(r.Header) } }
	field := func(n int, text string) func(*http.Request) {
		return header(func(h http.Header) {
			fields := strings.Split(h.Get("Authorization"), " ")
			fields[n] = text
			h.Set("Authorization", strings.Join(fields, " "))
		})
	}
	tests := map[string]struct {
		key    string
		at     time.Time
		change func(*http.Request)
		want   string // nothing: it is let through
		signed bool   // the refusal is
	}{
		"as it is":           {},
		"29 s late":          {at: noon.Add(-29 * time.Second)},
		"29 s early":         {at: noon.Add(29 * time.Second)},
		"31 s late":          {at: noon.Add(-31 * time.Second), want: "signed at 2026-03-01T11:59:29.000Z and here it is 2026-03-01T12:00:00.000Z: the clocks of the two machines are 31s apart", signed: true},
		"31 s early":         {at: noon.Add(31 * time.Second), want: "31s apart", signed: true},
		"an age ago":         {at: time.Unix(0, -1<<63), want: "apart", signed: true},
		"not signed":         {change: header(func(h http.Header) { h.Del("Authorization") }), want: "the request isn't signed"},
		"with a password":    {change: func(r *http.Request) { r.SetBasicAuth("a", "b") }, want: "isn't one"},
		"of another scheme":  {change: field(0, "Homeostat2"), want: "isn't one"},
		"another's key":      {key: other, want: "isn't that of this request by a key of the peers"},
		"another method":     {change: func(r *http.Request) { r.Method = "DELETE" }, want: "isn't that of this request"},
		"another path":       {change: func(r *http.Request) { r.URL.Path = "/v1/vitals" }, want: "isn't that of this request"},
		"another query":      {change: func(r *http.Request) { r.URL.RawQuery = "cell=api-2.x" }, want: "isn't that of this request"},
		"a query more":       {change: func(r *http.Request) { r.URL.RawQuery += "&x" }, want: "isn't that of this request"},
		"path as it unfolds": {change: func(r *http.Request) { r.URL.RawPath = "/v1%2Fdrain" }, want: "isn't that of this request"},
		"another body":       {change: func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("Body")), 4 }, want: "isn't that of this request"},
		"a body more":        {change: func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("bodybody")), 8 }, want: "isn't that of this request"},
		"another host":       {change: func(r *http.Request) { r.Host = "elsewhere:80" }},
		"another header":     {change: header(func(h http.Header) { h.Set("X-Odd", "1") })},
		"another time":       {change: field(1, fmt.Sprint(noon.UnixNano()+1)), want: "isn't that of this request"},
		"no time":            {change: field(1, "now"), want: "isn't a number"},
		"time with a sign":   {change: field(1, fmt.Sprintf("+%d", noon.UnixNano())), want: "isn't written as it is to be"},
		"another nonce":      {change: field(2, strings.Repeat("ab", 16)), want: "isn't that of this request"},
		"long nonce":         {change: field(2, strings.Repeat("ab", 17)), want: "isn't 16 bytes"},
		"nonce in capitals":  {change: field(2, strings.Repeat("AB", 16)), want: "isn't written as it is to be"},
		"no MAC":             {change: field(3, ""), want: "isn't one"},
		"cut MAC":            {change: field(3, "00"), want: "isn't that of this request"},
		"two headers":        {change: header(func(h http.Header) { h.Add("Authorization", h.Get("Authorization")) }), want: "isn't one"},
		"huge body": {change: func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat("x", requestLimit+1))), -1
		}, want: "read the request"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := &echo{}
			began := false // The verifier began an hour ago, and now it is noon.
			url := guarded(t, keysOf(t, first), func() time.Time {
				if !began {
					began = true
					return noon.Add(-time.Hour)
				}
				return noon
			}, e)
			key, at := tt.key, tt.at
			if key == "" {
				key = first
			}
			if at.IsZero() {
				at = noon
			}
			r := signed(t, key, "PUT", url+"/v1/drain?cell=api-1.x", "body", at)
			if tt.change != nil {
				tt.change(r)
			}
			plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := plain.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			if through := tt.want == ""; through != (resp.StatusCode == http.StatusOK) || through != (e.asked.Load() == 1) {
				t.Fatalf("status %d, asked %d times: %s", resp.StatusCode, e.asked.Load(), text)
			}
			if !strings.Contains(string(text), tt.want) {
				t.Errorf("said %q, want %q", text, tt.want)
			}
			if has := resp.Header.Get(answerHeader) != ""; has != (tt.signed || tt.want == "") {
				t.Errorf("the answer is signed: %v", has)
			}
		})
	}
}

func TestReplaysAreRefused(t *testing.T) {
	e, now := &echo{}, noon
	url := guarded(t, keysOf(t, first), func() time.Time { return now }, e)
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r := signed(t, first, "GET", url, "", noon.Add(Window)) // Its clock runs ahead.
	again := func(want int, say string) {
		t.Helper()
		status, text, err := send(t, plain, r.Clone(t.Context()))
		if err != nil || status != want || !strings.Contains(text, say) {
			t.Errorf("got %d %q, %v; want %d %q", status, text, err, want, say)
		}
	}
	again(200, "GET")
	again(401, "sent again")
	for _, later := range []time.Duration{time.Second, 59 * time.Second, 60 * time.Second} {
		now = noon.Add(later) // Just as long as the time would be taken.
		again(401, "sent again")
	}
	now = noon.Add(61 * time.Second)
	again(401, "apart")
	if e.asked.Load() != 1 {
		t.Errorf("it was let through %d times", e.asked.Load())
	}
}

func TestNewSidecarTakesNoOldOrders(t *testing.T) {
	now := noon
	url := guarded(t, keysOf(t, first), func() time.Time { return now }, &echo{})
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, tt := range []struct {
		method string
		at     time.Duration
		want   int
	}{{"PUT", -time.Second, 401}, {"DELETE", -time.Second, 401}, {"GET", -time.Second, 200}, {"PUT", time.Second, 200}} {
		status, text, err := send(t, plain, signed(t, first, tt.method, url, "", noon.Add(tt.at)))
		if err != nil || status != tt.want || status == 401 && !strings.Contains(text, "before this sidecar began") {
			t.Errorf("%s %v: got %d %q, %v", tt.method, tt.at, status, text, err)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := memory{limit: 3}
	now := noon
	for i := range 20 {
		if err := m.add(nonce{byte(i)}, now); (err == nil) != (i < 3) || err != nil && !errors.Is(err, errFull) {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if err := m.add(nonce{1}, now); !errors.Is(err, errReplayed) {
		t.Errorf("full, it says %v of one that it knows", err)
	}
	for i := range 10 { // It is emptied in time, and never holds more than twice the limit.
		now = now.Add(generation + time.Nanosecond)
		for j := range 5 {
			_ = m.add(nonce{byte(i), byte(j), 1}, now)
		}
		if len(m.now) != 3 || len(m.before) != 3 {
			t.Fatalf("it holds %d and %d", len(m.now), len(m.before))
		}
	}
}

// TestAnyChangeIsRefused signs anything, changes anything, and tries both.
func TestAnyChangeIsRefused(t *testing.T) {
	keys := keysOf(t, first, second)
	rapid.Check(t, func(t *rapid.T) {
		v := NewVerifier(keys, func() time.Time { return noon })
		token := rapid.StringMatching(`[A-Z]{1,8}`)
		uri := rapid.StringMatching(`/[a-zA-Z0-9/?&=%._;-]{0,40}`)
		body := rapid.SliceOfN(rapid.Byte(), 0, 50)
		key := rapid.SampledFrom([]string{first, second}).Draw(t, "key")
		method, target, text := token.Draw(t, "method"), uri.Draw(t, "uri"), body.Draw(t, "body")
		s := stamp{at: noon.Add(time.Duration(rapid.Int64Range(-int64(Window), int64(Window)).Draw(t, "off"))), nonce: newNonce()}
		s.mac = code([]byte(key), requestText(method, target, text, s))
		as := func(method, target string, body []byte, s stamp) bool {
			r := &http.Request{Method: method, RequestURI: target, Header: http.Header{"Authorization": {s.header()}}}
			_, key, err := v.author(r, body)
			return err == nil && key != nil
		}
		if !as(method, target, text, s) {
			t.Fatal("a signed request is refused")
		}
		m2, t2, b2, s2 := method, target, text, s
		switch rapid.IntRange(0, 5).Draw(t, "change") {
		case 0:
			m2 = token.Draw(t, "method'")
		case 1:
			t2 = uri.Draw(t, "uri'")
		case 2:
			b2 = body.Draw(t, "body'")
		case 3:
			s2.at = s.at.Add(time.Duration(rapid.Int64Range(-1000, 1000).Draw(t, "at'")))
		case 4:
			s2.nonce[rapid.IntRange(0, nonceBytes-1).Draw(t, "which")] ^= rapid.Byte().Draw(t, "bits")
		case 5:
			mac := []byte(s.mac)
			mac[rapid.IntRange(0, len(mac)-1).Draw(t, "which")] ^= rapid.ByteRange(0, 15).Draw(t, "bits")
			s2.mac = string(mac)
		}
		same := m2 == method && t2 == target && string(b2) == string(text) && s2 == s
		if as(m2, t2, b2, s2) != same {
			t.Fatalf("changed to %q %q %q %+v: taken %v, want %v", m2, t2, b2, s2, !same, same)
		}
	})
}

// FuzzVerifier feeds anything as a signature. None of it may be let through, as
// the fuzzer doesn't have the key, and none may break the verifier.
func FuzzVerifier(f *testing.F) {
	keys := keysOf(f, first)
	good := signed(f, other, "PUT", "http://x/v1/drain?cell=a", "body", noon).Header.Get("Authorization")
	for _, header := range []string{good, "", scheme, scheme + " 1 2 3", "Basic YTpi", good + " ", strings.Repeat(" ", 9)} {
		f.Add("PUT", "/v1/drain?cell=a", header, []byte("body"))
	}
	f.Fuzz(func(t *testing.T, method, uri, header string, body []byte) {
		v := NewVerifier(keys, func() time.Time { return noon })
		r := &http.Request{Method: method, RequestURI: uri, Header: http.Header{"Authorization": {header}}, Body: io.NopCloser(strings.NewReader(string(body)))}
		w := httptest.NewRecorder()
		v.serve(w, r, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Errorf("let through: %q", header) }))
		if w.Code < 400 || w.Header().Get(answerHeader) != "" || w.Body.Len() == 0 {
			t.Errorf("answered %d %v %q", w.Code, w.Header(), w.Body)
		}
		if s, err := parseStamp(r.Header); err == nil && s.header() != header {
			t.Errorf("%q is read as %q", header, s.header())
		}
	})
}
