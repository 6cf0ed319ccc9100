package peer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// between forwards to a peer and does something to its answers.
func between(tb testing.TB, to string, change func(*http.Response)) string {
	tb.Helper()
	target, err := url.Parse(to)
	if err != nil {
		tb.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	s := httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			change(r)
			return nil
		},
	})
	tb.Cleanup(s.Close)
	return s.URL
}

// body replaces what an answer says.
func body(r *http.Response, change func([]byte) []byte) {
	text, _ := io.ReadAll(r.Body)
	text = change(text)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Length", strconv.Itoa(len(text)))
}

// TestAnswersOnTheWay has somebody between two peers change the answers.
func TestAnswersOnTheWay(t *testing.T) {
	var before []byte // an earlier answer's signature and body
	var mac string
	tests := map[string]struct {
		change func(*http.Response)
		is     error // nil: it is believed
		say    string
	}{
		"left alone": {change: func(*http.Response) {}},
		"forged":     {change: func(r *http.Response) { body(r, func([]byte) []byte { return []byte(`{"in_flight": 0}`) }) }, is: ErrUnsigned, say: "forged"},
		"cut":        {change: func(r *http.Response) { body(r, func(b []byte) []byte { return b[:len(b)-1] }) }, is: ErrUnsigned, say: "cut"},
		"emptied":    {change: func(r *http.Response) { body(r, func([]byte) []byte { return nil }) }, is: ErrUnsigned},
		"doubled":    {change: func(r *http.Response) { body(r, func(b []byte) []byte { return append(b, b...) }) }, is: ErrUnsigned},
		"huge":       {change: func(r *http.Response) { body(r, func([]byte) []byte { return make([]byte, answerLimit+1) }) }, say: "more than"},
		"another status": {
			change: func(r *http.Response) { r.StatusCode = http.StatusAccepted }, is: ErrUnsigned,
		},
		"unsigned":       {change: func(r *http.Response) { r.Header.Del(answerHeader) }, is: ErrUnsigned, say: "needs the key file"},
		"signed twice":   {change: func(r *http.Response) { r.Header.Add(answerHeader, r.Header.Get(answerHeader)) }, is: ErrUnsigned},
		"signature of 0": {change: func(r *http.Response) { r.Header.Set(answerHeader, strings.Repeat("0", 64)) }, is: ErrUnsigned},
		"of an earlier request": {change: func(r *http.Response) {
			body(r, func([]byte) []byte { return before })
			r.Header.Set(answerHeader, mac)
		}, is: ErrUnsigned, say: "another request"},
		"led elsewhere": {change: func(r *http.Response) {
			r.StatusCode = http.StatusFound
			r.Header.Set("Location", "http://192.0.2.1/")
		}, is: ErrUnsigned},
		"refused by a stranger": {change: func(r *http.Response) {
			r.StatusCode = http.StatusUnauthorized
			body(r, func([]byte) []byte { return []byte("no\n\x1b[2J" + strings.Repeat("x", 1000)) })
		}, is: ErrRefused, say: `it says, unsigned: "no\n\x1b[2J`},
	}
	keys := keysOf(t, first)
	peer := guarded(t, keys, time.Now, &echo{})
	earlier := between(t, peer, func(r *http.Response) {
		mac = r.Header.Get(answerHeader)
		body(r, func(b []byte) []byte { before = b; return b })
	})
	if _, _, err := call(t, caller(t, keys), "GET", earlier+"/v1/vitals", ""); err != nil {
		t.Fatal(err)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, text, err := call(t, caller(t, keys), "GET", between(t, peer, tt.change)+"/v1/vitals", "")
			if tt.is == nil && tt.say == "" {
				if err != nil || text == "" {
					t.Errorf("got %q, %v", text, err)
				}
				return
			}
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.say) || len(err.Error()) > 1000 {
				t.Errorf("got %q, %v; want %v, %q", text, err, tt.is, tt.say)
			}
		})
	}
}

// TestStrangers asks servers that are no peers, or none that takes the caller
// for one.
func TestStrangers(t *testing.T) {
	keys := keysOf(t, first)
	// Half a second more, as times are rounded on the way.
	late := func() time.Time { return time.Now().Add(-time.Minute - time.Second/2) }
	plain := httptest.NewServer(&echo{})
	defer plain.Close()
	cutting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = fmt.Fprint(w, "half")
	}))
	defer cutting.Close()
	tests := map[string]struct {
		url string
		is  error
		say string
	}{
		"one without a key":     {plain.URL, ErrUnsigned, "needs the key file"},
		"one with another key":  {guarded(t, keysOf(t, other), time.Now, &echo{}), ErrRefused, "by a key of the peers"},
		"one with another time": {guarded(t, keys, late, &echo{}), ErrRefused, "the clocks of the two machines are 1m0"},
		"one that hangs up":     {cutting.URL, io.ErrUnexpectedEOF, "read the answer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := call(t, caller(t, keys), "GET", tt.url, "")
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("got %v, want %v, %q", err, tt.is, tt.say)
			}
		})
	}
}

func TestWithoutKeysNothingChanges(t *testing.T) {
	var none *Keys
	var v *Verifier
	base, e := &http.Transport{}, &echo{}
	if none.Transport(base) != http.RoundTripper(base) || v.Wrap(e) != http.Handler(e) {
		t.Error("without keys it isn't what was given")
	}
}

func TestRequestTooLargeIsNotSent(t *testing.T) {
	e := &echo{}
	keys := keysOf(t, first)
	_, _, err := call(t, caller(t, keys), "PUT", guarded(t, keys, time.Now, e), strings.Repeat("x", requestLimit+1))
	if err == nil || !strings.Contains(err.Error(), "more than 65536 bytes") || e.asked.Load() != 0 {
		t.Errorf("got %v, asked %d times", err, e.asked.Load())
	}
}
