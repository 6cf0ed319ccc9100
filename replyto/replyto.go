// Package replyto is the crawlers' side of reply-to: a message on the queue names the
// API that its result is to go to, and the result goes there, but only to a registered
// healthy cell of the service that is expected, never to an address that a message
// made up.
//
// An API that can take no more from crawlers has its sidecar name a sibling with room
// in new messages, so crawlers move before they are refused. A crawler that is
// redirected follows once, and one whose API is gone or refuses falls back to any
// healthy one.
//
// What who writes in another language has to do is in docs/spool.md.
package replyto

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// Header is that of a message on the queue; its value is the base URL of an API,
	// such as "http://10.0.0.7:8080".
	Header = "Homeostat-Reply-To"
	// CrawlerHeader marks a request as a crawler's, so that clients go before it. It is
	// the default of the policy's proxy.crawlers.header.
	CrawlerHeader = "Homeostat-Crawler"
)

// tries is how many cells are asked for one result, redirects not counted.
const tries = 3

// ErrNobody says that no healthy cell of the service is known.
var ErrNobody = errors.New("no healthy cell is known")

// Sender brings results to the cells of one service. It is safe for concurrent use.
type Sender struct {
	// Service is the name of the service that results go to.
	Service string
	// Cells lists its cells.
	Cells *Cells
	// Client sends; nil for one with a limit of 30 s for a request.
	Client *http.Client
}

// Result is what is sent.
type Result struct {
	// Method is POST where it is empty; Path is the path and query at the API
	// and begins with a slash.
	Method, Path string
	// Header is sent besides CrawlerHeader.
	Header http.Header
	Body   []byte
}

// Send sends a result to the cell that a message's reply-to names, or to another one.
// It returns the first answer that is neither a refusal (429, 503) nor a redirect, or
// the last refusal, whose body the caller closes; or why there is no answer at all. A
// cell that went away in the middle may have taken the result, so it must do no harm
// if it comes twice.
func (s *Sender) Send(ctx context.Context, replyTo string, r Result) (*http.Response, error) {
	if !strings.HasPrefix(r.Path, "/") {
		// Behind a cell's address, "@elsewhere" would be another host.
		return nil, fmt.Errorf("send a result to %s: path %q doesn't begin with /", s.Service, r.Path)
	}
	cells, err := s.Cells.of(ctx, s.Service)
	if err != nil {
		return nil, err
	}
	order := candidates(cells, replyTo)
	if len(order) == 0 {
		return nil, fmt.Errorf("send a result to %s: %w", s.Service, ErrNobody)
	}
	var (
		refused *http.Response
		failed  error
	)
	for _, base := range order[:min(tries, len(order))] {
		answer, err := s.follow(ctx, base, r, cells)
		if err != nil {
			failed = errors.Join(failed, err)
			s.Cells.doubt(s.Service)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		if refused != nil {
			discard(refused)
		}
		if !refusal(answer.StatusCode) {
			return answer, nil
		}
		refused = answer
	}
	if refused != nil {
		return refused, nil
	}
	return nil, fmt.Errorf("send a result to %s: %w", s.Service, failed)
}

// candidates are base URLs of cells: the one replied to if it is passing, then the
// other passing ones, then those to be spared.
func candidates(cells []cell, replyTo string) []string {
	first := origin(replyTo)
	var order, spared []string
	for _, c := range cells {
		switch {
		case c.Health != "passing":
			spared = append(spared, c.URL)
		case c.URL == first:
			order = slices.Insert(order, 0, c.URL)
		default:
			order = append(order, c.URL)
		}
	}
	return append(order, spared...)
}

// origin is scheme, host and port of an address in one form; empty for what is none.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return u.Scheme + "://" + host + ":" + port
}

// follow sends to one cell, and once more to where it says, if that is a cell too.
func (s *Sender) follow(ctx context.Context, base string, r Result, cells []cell) (*http.Response, error) {
	answer, err := s.post(ctx, base+r.Path, r)
	if err != nil || answer.StatusCode != http.StatusTemporaryRedirect && answer.StatusCode != http.StatusPermanentRedirect {
		return answer, err
	}
	location, err := answer.Location()
	discard(answer)
	if err != nil {
		return nil, fmt.Errorf("%s redirects: %w", base, err)
	}
	to := origin(location.String())
	if !slices.ContainsFunc(cells, func(c cell) bool { return c.URL == to && c.URL != base }) {
		return nil, fmt.Errorf("%s redirects to %s, which is no healthy cell of %s", base, location.Redacted(), s.Service)
	}
	answer, err = s.post(ctx, location.String(), r)
	if err == nil && answer.StatusCode >= 300 && answer.StatusCode < 400 {
		discard(answer)
		return nil, fmt.Errorf("%s redirects to %s, which redirects again", base, to)
	}
	return answer, err
}

// usual is the client of those who don't bring one.
var usual = &http.Client{Timeout: 30 * time.Second}

func (s *Sender) post(ctx context.Context, address string, r Result) (*http.Response, error) {
	method := r.Method
	if method == "" {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		request.Header[name] = slices.Clone(values)
	}
	request.Header.Set(CrawlerHeader, "1")
	client := *usual
	if s.Client != nil {
		client = *s.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client.Do(request)
}

func refusal(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// discard reads what is left of an answer, so that its connection can be used again.
func discard(answer *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // nobody wants it
	_ = answer.Body.Close()
}
