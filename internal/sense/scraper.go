package sense

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	defaultFetchTimeout = 2 * time.Second
	defaultScrapeBytes  = 16 << 20
)

// errTooLarge is the state of a page that exceeds its limit.
var errTooLarge = errors.New("the answer is larger than allowed")

// ScraperConfig says where an application shows its metrics.
type ScraperConfig struct {
	// URL of the metrics page, http or https.
	URL string
	// Timeout bounds a scrape. Default 2 s.
	Timeout time.Duration
	// MaxBytes bounds the page, unpacked. Default 16 MiB.
	MaxBytes int64
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// Scraper reads an application's metrics page.
type Scraper struct {
	cfg    ScraperConfig
	client *http.Client
}

// NewScraper checks the configuration. It connects to nothing.
func NewScraper(cfg ScraperConfig) (*Scraper, error) {
	if err := checkURL(cfg.URL); err != nil {
		return nil, fmt.Errorf("scrape metrics: %w", err)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultFetchTimeout
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = defaultScrapeBytes
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Scraper{cfg: cfg, client: newHTTPClient(1)}, nil
}

// Scrape fetches and parses the page.
func (s *Scraper) Scrape(ctx context.Context) (*Scrape, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	var scrape *Scrape
	err := fetch(ctx, s.client, s.cfg.URL, "text/plain;version=0.0.4", s.cfg.MaxBytes, func(body io.Reader) (err error) {
		scrape, err = ParseScrape(body, s.cfg.Now())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("scrape %s: %w", s.cfg.URL, err)
	}
	return scrape, nil
}

// Close ends idle connections.
func (s *Scraper) Close() { s.client.CloseIdleConnections() }

func checkURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("parse address: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is not an http or https address", raw)
	}
	return nil
}

// newHTTPClient returns a client for neighbours: no proxy, and no redirects,
// which would lead away from the cell that was asked.
func newHTTPClient(idlePerHost int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			MaxIdleConnsPerHost:    idlePerHost,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fetch gets a page and hands its body to read. A body of more than limit bytes
// is an error, whatever read made of its beginning.
func fetch(ctx context.Context, client *http.Client, address, accept string, limit int64, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Accept", accept)
	res, err := client.Do(req)
	if err != nil {
		var wrapped *url.Error // It repeats the address, which the caller names.
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return inTime(ctx, err)
	}
	defer func() { _ = res.Body.Close() }() // Nothing is lost with a body half read.
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answered with status %s", res.Status)
	}
	body := &io.LimitedReader{R: res.Body, N: limit + 1}
	if err = read(body); body.N <= 0 {
		return fmt.Errorf("%w: more than %d bytes", errTooLarge, limit)
	}
	if err != nil {
		return inTime(ctx, err)
	}
	return nil
}
