package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/discover"
	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
)

// courier brings pages to an API.
type courier struct {
	client *http.Client
	pick   func(context.Context) (string, error) // host:port of an API
	forget func()
	first  time.Duration // wait before the second try
}

// newCourier finds APIs at a fixed host:port or through Consul.
func newCourier(api string) (*courier, error) {
	c := &courier{client: &http.Client{Timeout: 20 * time.Second}, first: 50 * time.Millisecond}
	if strings.Contains(api, ":") {
		c.pick = func(context.Context) (string, error) { return api, nil }
		c.forget = func() {}
		return c, nil
	}
	service, err := discover.New(api)
	if err != nil {
		return nil, err
	}
	c.pick, c.forget = service.Pick, service.Forget
	return c, nil
}

// errRefused says that no API will ever take the page as it is.
var errRefused = errors.New("the API refused the page")

// deliver returns nil once the page is stored. It tries until ctx ends, since
// the URLs on the page would be lost with it: a dead API is born again.
func (c *courier) deliver(ctx context.Context, page store.Page) error {
	err := c.retry(ctx, page)
	if !errors.Is(err, errRefused) {
		return err
	}
	// The page is to blame. Its address is stored without it, so that the crawl
	// ends and the gap can be seen.
	slog.Error("a page is stored without its text and links", "url", page.URL, "error", err)
	return c.retry(ctx, store.Page{URL: page.URL, Status: page.Status, Title: "(refused by the API)"})
}

func (c *courier) retry(ctx context.Context, page store.Page) error {
	body, err := json.Marshal(page)
	if err != nil {
		return fmt.Errorf("write page %s as JSON: %w", page.URL, err)
	}
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = c.first, 2*time.Second
	_, err = backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, c.post(ctx, body) },
		backoff.WithBackOff(waits), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, wait time.Duration) {
			slog.Warn("a page is brought again", "url", page.URL, "wait", wait, "error", err)
		}))
	return err
}

// post tries once. The answer's Retry-After is not waited for to the letter:
// another API may have room before that.
func (c *courier) post(ctx context.Context, body []byte) error {
	address, err := c.pick(ctx)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/pages", bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		c.forget()
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, 1000)) // only for the message
	switch {
	case response.StatusCode < 300:
		return nil
	case response.StatusCode == http.StatusServiceUnavailable:
		c.forget()
	case response.StatusCode == http.StatusBadRequest,
		response.StatusCode == http.StatusRequestEntityTooLarge,
		response.StatusCode == http.StatusUnprocessableEntity:
		return backoff.Permanent(fmt.Errorf("%w: %s: %s", errRefused, response.Status, bytes.TrimSpace(answer)))
	}
	return fmt.Errorf("API %s answered %s: %s", address, response.Status, bytes.TrimSpace(answer))
}
