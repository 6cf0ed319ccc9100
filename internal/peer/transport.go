package peer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

var (
	// ErrRefused says that the other side didn't take the request's signature.
	ErrRefused = errors.New("the request's signature was refused")
	// ErrUnsigned says that the answer isn't proven to be a peer's. Nothing of
	// it may be believed.
	ErrUnsigned = errors.New("the answer isn't signed with a key of the peers")
)

// transport implements http.RoundTripper.
type transport struct {
	keys *Keys
	base http.RoundTripper
}

// RoundTrip implements http.RoundTripper. It hands out an answer once it has
// all of it and has proven that it answers this very request.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := readOut(r)
	if err != nil {
		return nil, fmt.Errorf("read the request to sign it: %w", err)
	}
	s := stamp{at: time.Now(), nonce: newNonce()}
	s.mac = t.keys.Sign(requestText(method(r), r.URL.RequestURI(), body, s))
	signed := r.Clone(r.Context())
	signed.Header.Set("Authorization", s.header())
	signed.Header.Set("Accept-Encoding", "identity") // What is signed is what travels.
	signed.Body, signed.GetBody, signed.ContentLength = http.NoBody, nil, int64(len(body))
	if len(body) > 0 {
		signed.Body = io.NopCloser(bytes.NewReader(body))
	}
	answer, err := t.base.RoundTrip(signed)
	if err != nil {
		return nil, err
	}
	return t.prove(answer, method(r), s.nonce)
}

// CloseIdleConnections lets an http.Client close those of the base.
func (t *transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// prove reads an answer and checks that it is a peer's to the request of that
// nonce.
func (t *transport) prove(answer *http.Response, method string, n nonce) (*http.Response, error) {
	body, err := io.ReadAll(io.LimitReader(answer.Body, answerLimit+1))
	_ = answer.Body.Close() // All that is wanted of it was read.
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > answerLimit {
		return nil, fmt.Errorf("read the answer: it has more than %d bytes", answerLimit)
	}
	macs := answer.Header.Values(answerHeader)
	proven := len(macs) == 1 && t.keys.Signed(answerText(n, answer.StatusCode, body), macs[0])
	switch {
	case proven && answer.StatusCode == http.StatusUnauthorized:
		return nil, fmt.Errorf("%w: %s", ErrRefused, bytes.TrimSpace(body))
	case answer.StatusCode == http.StatusUnauthorized:
		// One without our key can't sign why it refuses.
		return nil, fmt.Errorf("%w; it says, unsigned: %q", ErrRefused, bytes.TrimSpace(body[:min(len(body), 200)]))
	case len(macs) == 0:
		return nil, fmt.Errorf("%w: it has no signature; if it is a sidecar's, that one needs the key file, too", ErrUnsigned)
	case !proven:
		return nil, fmt.Errorf("%w: it is forged, cut, the answer to another request, or signed with another key than those of %s",
			ErrUnsigned, t.keys.path)
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	if method != http.MethodHead { // There the length is of what GET would get.
		answer.ContentLength = int64(len(body))
	}
	return answer, nil
}

// readOut reads a request's body and closes it.
func readOut(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, requestLimit+1))
	if err := errors.Join(err, r.Body.Close()); err != nil {
		return nil, err
	}
	if len(body) > requestLimit {
		return nil, fmt.Errorf("it has more than %d bytes", requestLimit)
	}
	return body, nil
}

// method is that of a request; net/http takes none for GET.
func method(r *http.Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}
