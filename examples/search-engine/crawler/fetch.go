package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/time/rate"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
)

// maxPage is the most that is read of a page, in bytes; what is larger is
// stored without text and links.
const maxPage = 8 << 20

// fetcher gets pages, no faster from one host than the limit allows.
type fetcher struct {
	client   *http.Client
	agent    string // what it calls itself to web servers
	within   scope
	rate     rate.Limit // requests a second and host
	patience time.Duration

	mu     sync.Mutex
	limits map[string]*rate.Limiter
}

func newFetcher(agent string, within scope, perSecond float64, patience time.Duration) *fetcher {
	return &fetcher{
		client: &http.Client{
			Timeout: 30 * time.Second,
			// A redirect is a page with one link: where it leads is found, queued
			// and fetched once, however many lead there.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		agent:    agent,
		within:   within,
		rate:     rate.Limit(perSecond),
		patience: patience,
		limits:   map[string]*rate.Limiter{},
	}
}

// fetch gets a page. A server that fails is tried again until the patience is
// at its end; then, too, the page is one to store, with the status it had last
// (0 without any answer), so that the crawl comes to an end. An error means
// that ctx has ended.
func (f *fetcher) fetch(ctx context.Context, at *url.URL) (store.Page, error) {
	var last store.Page
	page, err := backoff.Retry(ctx, func() (store.Page, error) {
		page, err := f.try(ctx, at)
		last = page
		return page, err
	}, backoff.WithMaxElapsedTime(f.patience))
	if ctx.Err() != nil {
		return store.Page{}, context.Cause(ctx)
	}
	if err != nil {
		slog.Warn("a page is stored as it is", "url", last.URL, "status", last.Status, "error", err)
		return last, nil
	}
	return page, nil
}

// try gets a page once; an error means that trying again may help.
func (f *fetcher) try(ctx context.Context, at *url.URL) (store.Page, error) {
	page := store.Page{URL: at.String()}
	if err := f.limit(at.Host).Wait(ctx); err != nil {
		return page, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page.URL, nil)
	if err != nil {
		return page, backoff.Permanent(err)
	}
	request.Header.Set("User-Agent", f.agent)
	request.Header.Set("Accept", "text/html, application/xhtml+xml, */*;q=0.1")
	response, err := f.client.Do(request)
	if err != nil {
		return page, err
	}
	defer func() { _ = response.Body.Close() }()
	page.Status = response.StatusCode
	switch {
	case page.Status >= 500, page.Status == http.StatusTooManyRequests, page.Status == http.StatusRequestTimeout:
		return page, fmt.Errorf("the server answered %s", response.Status)
	case page.Status >= 300 && page.Status < 400:
		if to, ok := f.within.resolve(at, response.Header.Get("Location")); ok && response.Header.Get("Location") != "" {
			page.Links = []string{to}
		}
	case page.Status == http.StatusOK && isHTML(response.Header.Get("Content-Type")):
		return f.analyse(page, at, response)
	}
	return page, nil
}

func (f *fetcher) analyse(page store.Page, at *url.URL, response *http.Response) (store.Page, error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPage+1))
	if err != nil {
		return page, fmt.Errorf("read the page: %w", err)
	}
	if len(body) > maxPage {
		page.Title = "(too large to be indexed)"
		return page, nil
	}
	found, err := parse(body, response.Header.Get("Content-Type"), at, f.within)
	if err != nil {
		return page, backoff.Permanent(err)
	}
	page.Title, page.Text, page.Links = found.title, found.text.String(), found.links
	return page, nil
}

func isHTML(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "text/html" || kind == "application/xhtml+xml")
}

// limit returns the politeness limit of a host.
func (f *fetcher) limit(host string) *rate.Limiter {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.limits[host]
	if l == nil {
		l = rate.NewLimiter(f.rate, 1)
		f.limits[host] = l
	}
	return l
}
