package main

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/homeostat-io/terraform-provider-homeostat/replyto"
)

// crawler does the work on one URL.
type crawler struct {
	fetcher  *fetcher
	courier  *courier
	pageCost time.Duration
	metrics  *metrics
}

// crawl returns nil once the URL of a message is done with for good: its page
// is stored, or it is none to be crawled.
func (c *crawler) crawl(ctx context.Context, message kafka.Message) error {
	start := time.Now()
	at, ok := c.fetcher.within.address(string(message.Value))
	if !ok {
		slog.Warn("a message is no URL of this crawl", "message", string(message.Value),
			"partition", message.Partition, "offset", message.Offset)
		c.metrics.pages.WithLabelValues("ignored").Inc()
		return nil
	}
	page, err := c.fetcher.fetch(ctx, at)
	if err != nil {
		return err
	}
	// Stands for an analysis that takes its time; see the README.
	select {
	case <-time.After(c.pageCost):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := c.courier.deliver(ctx, replyTo(message), page); err != nil {
		return err
	}
	c.metrics.pages.WithLabelValues(outcome(page.Status)).Inc()
	c.metrics.seconds.Observe(time.Since(start).Seconds())
	return nil
}

// replyTo is the API that a message names, empty for none.
func replyTo(message kafka.Message) string {
	for _, header := range message.Headers {
		if strings.EqualFold(header.Key, replyto.Header) {
			return string(header.Value)
		}
	}
	return ""
}

// outcome sums up a status of HTTP for the metrics.
func outcome(status int) string {
	switch {
	case status == 0:
		return "no answer"
	case status < 300:
		return "ok"
	case status < 400:
		return "redirect"
	case status < 500:
		return "dead link"
	}
	return "server error"
}
