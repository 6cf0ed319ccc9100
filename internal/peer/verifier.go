package peer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Verifier lets only requests of peers through, each once, and signs what is
// answered to them.
type Verifier struct {
	keys  *Keys
	now   func() time.Time
	began time.Time
	seen  memory
}

// NewVerifier begins with an empty memory of what it has let through. What
// changes anything is therefore taken only if it was signed after this instant.
// now is the clock, whose readings have the monotonic part, as time.Now's.
func NewVerifier(keys *Keys, now func() time.Time) *Verifier {
	return &Verifier{keys: keys, now: now, began: now(), seen: memory{limit: memoryLimit}}
}

// Wrap guards a handler. An answer is held back until it is whole, so it is not
// for one that streams. Without a verifier it is the handler itself.
func (v *Verifier) Wrap(next http.Handler) http.Handler {
	if v == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { v.serve(w, r, next) })
}

func (v *Verifier) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestLimit))
	if err != nil {
		http.Error(w, "read the request: "+err.Error(), http.StatusBadRequest)
		return
	}
	s, key, err := v.author(r, body)
	if err != nil {
		w.Header().Set("WWW-Authenticate", scheme)
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	a := &answer{header: w.Header(), status: http.StatusOK}
	if err := v.admit(r.Method, s); err != nil {
		a.header.Set("WWW-Authenticate", scheme)
		http.Error(a, err.Error(), http.StatusUnauthorized)
	} else {
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(a, r)
	}
	a.send(w, r.Method, key, s.nonce)
}

// author says with which key a request was signed.
func (v *Verifier) author(r *http.Request, body []byte) (stamp, []byte, error) {
	s, err := parseStamp(r.Header)
	if err != nil {
		return s, nil, err
	}
	key := v.keys.signer(requestText(r.Method, r.RequestURI, body, s), s.mac)
	if key == nil {
		return s, nil, errors.New("the signature isn't that of this request by a key of the peers")
	}
	return s, key, nil
}

// admit says why a request that a peer has signed isn't taken.
func (v *Verifier) admit(method string, s stamp) error {
	now := v.now()
	if off := now.Sub(s.at).Abs(); off > Window {
		return fmt.Errorf("the request was signed at %s and here it is %s: the clocks of the two machines are %v apart, or it was held up or sent again; "+
			"at most %v are allowed, so set both clocks by NTP", clock(s.at), clock(now), off.Round(time.Millisecond), Window)
	}
	// By the clock as it is now: it may have been set since the beginning.
	began := now.Add(-now.Sub(v.began))
	if safe := method == http.MethodGet || method == http.MethodHead; !safe && s.at.Before(began) {
		return fmt.Errorf("the request was signed at %s, before this sidecar began at %s: it may have been taken already; send it anew",
			clock(s.at), clock(began))
	}
	return v.seen.add(s.nonce, now)
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// answer holds an answer back until all of it can be signed.
type answer struct {
	header  http.Header
	status  int
	written bool
	body    bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter; the first status counts.
func (a *answer) WriteHeader(status int) {
	if !a.written {
		a.status, a.written = status, true
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	a.written = true
	return a.body.Write(b)
}

// send signs the answer with the key of the request, which the caller surely
// has.
func (a *answer) send(w http.ResponseWriter, method string, key []byte, n nonce) {
	body := a.body.Bytes()
	if method == http.MethodHead || a.status == http.StatusNoContent || a.status == http.StatusNotModified {
		body = nil // None travels.
	}
	w.Header().Set(answerHeader, code(key, answerText(n, a.status, body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // A caller that has gone away is no concern of the cell's.
}
