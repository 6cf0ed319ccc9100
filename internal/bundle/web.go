package bundle

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// web is a place that a web server serves: a folder of the same layout.
type web struct {
	base   *url.URL
	client *http.Client
}

func newWeb(base *url.URL) *web {
	return &web{base: base, client: &http.Client{Transport: newTransport(), CheckRedirect: stayThere}}
}

// newTransport asks for content as it lies there, never packed: a few bytes could
// become any number, and digests are of what lies there.
func newTransport() *http.Transport {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DisableCompression:     true,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  30 * time.Second,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        30 * time.Second,
		MaxIdleConnsPerHost:    abreast,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
	}
	return t
}

var errElsewhere = errors.New("it sends us elsewhere")

// stayThere follows a redirect only to the same server: what a policy names is
// what is asked.
func stayThere(to *http.Request, via []*http.Request) error {
	from := via[0].URL
	if to.URL.Scheme != from.Scheme || to.URL.Host != from.Host {
		return fmt.Errorf("%w, to %s://%s: name that in the policy, if it is right", errElsewhere, to.URL.Scheme, to.URL.Host)
	}
	if len(via) > 3 {
		return fmt.Errorf("%w, again and again", errElsewhere)
	}
	return nil
}

func (w *web) String() string { return w.base.String() }

func (w *web) address() string { return w.String() }

func (w *web) rest() { w.client.CloseIdleConnections() }

func (w *web) put(_ context.Context, _ string, _ int64, _ io.Reader) error { return ErrReadOnly }

func (w *web) size(ctx context.Context, name string) (int64, error) {
	r, err := w.ask(ctx, http.MethodHead, name, 0)
	if err != nil {
		return 0, err
	}
	return r.ContentLength, r.Body.Close()
}

func (w *web) open(ctx context.Context, name string, offset int64) (*piece, error) {
	r, err := w.ask(ctx, http.MethodGet, name, offset)
	if err != nil {
		return nil, err
	}
	if r.StatusCode == http.StatusOK {
		return &piece{ReadCloser: r.Body, total: r.ContentLength}, nil
	}
	p := &piece{ReadCloser: r.Body}
	if p.offset, p.total, err = contentRange(r.Header); err == nil && p.offset != offset {
		err = fmt.Errorf("it begins at byte %d, and %d was asked for", p.offset, offset)
	}
	if err != nil {
		_ = r.Body.Close()
		return nil, fmt.Errorf("read a part of %s: %w", name, err)
	}
	return p, nil
}

// contentRange reads what a partial answer is part of.
func contentRange(h http.Header) (offset, total int64, err error) {
	var last int64
	text := h.Get("Content-Range")
	if strings.HasSuffix(text, "/*") {
		_, err = fmt.Sscanf(text, "bytes %d-%d/*", &offset, &last)
		return offset, -1, err
	}
	if _, err = fmt.Sscanf(text, "bytes %d-%d/%d", &offset, &last, &total); err != nil {
		err = fmt.Errorf("the header Content-Range is %q", text)
	}
	return offset, total, err
}

// ask asks for an object. The answer is one with content.
func (w *web) ask(ctx context.Context, method, name string, offset int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, w.base.JoinPath(name).String(), nil)
	if err != nil {
		return nil, err
	}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	r, err := w.client.Do(req)
	if err != nil {
		var untrusted *tls.CertificateVerificationError
		if errors.Is(err, errElsewhere) || errors.As(err, &untrusted) {
			return nil, err
		}
		return nil, passing(err)
	}
	err = answered(r)
	if err == nil {
		return r, nil
	}
	_ = r.Body.Close()
	if offset > 0 && r.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return w.ask(ctx, method, name, 0)
	}
	return nil, fmt.Errorf("%s %s: %w", strings.ToLower(method), req.URL, err)
}

// answered says what is wrong with an answer.
func answered(r *http.Response) error {
	switch code := r.StatusCode; {
	case code == http.StatusNotFound || code == http.StatusGone:
		return fmt.Errorf("%s: %w", r.Status, fs.ErrNotExist)
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		return passing(errors.New(r.Status))
	case code != http.StatusOK && code != http.StatusPartialContent:
		return errors.New(r.Status)
	}
	if packed := r.Header.Get("Content-Encoding"); packed != "" && packed != "identity" {
		return fmt.Errorf("it is sent packed (%s), which wasn't asked for: have the server send files as they lie there", packed)
	}
	return nil
}
