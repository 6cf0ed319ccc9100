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
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
	"github.com/homeostat-io/terraform-provider-homeostat/replyto"
)

// courier brings pages to the API that a message names, or to another one.
type courier struct {
	sender *replyto.Sender
	first  time.Duration // wait before the second try
}

// newCourier finds APIs by the list that a sidecar or a front has of a service; an
// empty base URL stands for the sidecar beside this program.
func newCourier(service, base string) (*courier, error) {
	cells, err := replyto.NewCells(base)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: 20 * time.Second}
	return &courier{sender: &replyto.Sender{Service: service, Cells: cells, Client: client}, first: 50 * time.Millisecond}, nil
}

// errRefused says that no API will ever take the page as it is.
var errRefused = errors.New("the API refused the page")

// deliver returns nil once the page is stored. It tries until ctx ends, since
// the URLs on the page would be lost with it: a dead API is born again.
func (c *courier) deliver(ctx context.Context, to string, page store.Page) error {
	err := c.retry(ctx, to, page)
	if !errors.Is(err, errRefused) {
		return err
	}
	// The page is to blame. Its address is stored without it, so that the crawl
	// ends and the gap can be seen.
	slog.Error("a page is stored without its text and links", "url", page.URL, "error", err)
	return c.retry(ctx, to, store.Page{URL: page.URL, Status: page.Status, Title: "(refused by the API)"})
}

func (c *courier) retry(ctx context.Context, to string, page store.Page) error {
	body, err := json.Marshal(page)
	if err != nil {
		return fmt.Errorf("write page %s as JSON: %w", page.URL, err)
	}
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = c.first, 2*time.Second
	_, err = backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, c.post(ctx, to, body) },
		backoff.WithBackOff(waits), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, wait time.Duration) {
			slog.Warn("a page is brought again", "url", page.URL, "wait", wait, "error", err)
		}))
	return err
}

// post tries once, which is up to three APIs. The answer's Retry-After is not waited
// for to the letter: another API may have room before that.
func (c *courier) post(ctx context.Context, to string, body []byte) error {
	response, err := c.sender.Send(ctx, to, replyto.Result{
		Path: "/pages", Header: http.Header{"Content-Type": {"application/json"}}, Body: body,
	})
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, 1000)) // only for the message
	switch {
	case response.StatusCode < 300:
		return nil
	case response.StatusCode == http.StatusBadRequest,
		response.StatusCode == http.StatusRequestEntityTooLarge,
		response.StatusCode == http.StatusUnprocessableEntity:
		return backoff.Permanent(fmt.Errorf("%w: %s: %s", errRefused, response.Status, bytes.TrimSpace(answer)))
	}
	return fmt.Errorf("an API answered %s: %s", response.Status, bytes.TrimSpace(answer))
}
