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
	"net/url"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

// A relay carries URLs from the tables, where the page they were found on put
// them, to the sidecar's spool, which has them on disk when it answers and brings
// them to the queue as the clients' need allows. It is the only way there: what this
// cell has just stored and what a dead cell left behind go alike. A crash between
// the spool's acknowledgement and the mark in the table sends a URL twice, which
// changes nothing stored.
type relay struct {
	store      outbox
	spool      string // URL
	http       *http.Client
	client     *kafka.Client // makes the topic
	transport  *kafka.Transport
	topic      string
	partitions int
	every      time.Duration
	found      chan struct{}
}

// outbox is where URLs wait, see store.Store.Queue.
type outbox interface {
	Queue(ctx context.Context, limit int, send func(context.Context, []string) error) (int, error)
}

// batch is the number of URLs given to the spool in one go, and the most that it takes.
const batch = 1000

func newRelay(pages outbox, brokers []string, s settings) *relay {
	address := kafka.TCP(brokers...)
	// One transport, so that its idle connections can be closed at the end.
	transport := &kafka.Transport{MetadataTopics: []string{s.topic}}
	return &relay{
		store:      pages,
		client:     &kafka.Client{Addr: address, Transport: transport, Timeout: 10 * time.Second},
		transport:  transport,
		spool:      strings.TrimSuffix(s.sidecar, "/") + "/v1/queue/" + url.PathEscape(s.topic),
		http:       &http.Client{Timeout: 10 * time.Second},
		topic:      s.topic,
		partitions: s.partitions,
		every:      s.sweep,
		found:      make(chan struct{}, 1),
	}
}

// nudge tells the relay that there are new URLs.
func (r *relay) nudge() {
	select {
	case r.found <- struct{}{}:
	default: // it will look anyway
	}
}

// run relays until ctx ends, and once more after that.
func (r *relay) run(ctx context.Context) error {
	defer func() {
		r.http.CloseIdleConnections()
		r.transport.CloseIdleConnections()
	}()
	r.makeTopic(ctx)
	sweep := time.NewTicker(r.every)
	defer sweep.Stop()
	for {
		select {
		case <-r.found:
		case <-sweep.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			r.drain(last)
			return nil
		}
		r.drain(ctx)
	}
}

// drain relays until there is nothing left or something is away; the next sweep
// tries again.
func (r *relay) drain(ctx context.Context) {
	for {
		step, cancel := context.WithTimeout(ctx, 20*time.Second)
		sent, err := r.store.Queue(step, batch, r.send)
		cancel()
		if err != nil && ctx.Err() == nil {
			slog.Warn("new URLs wait for the queue", "error", err, "next_try", r.every)
		}
		if err != nil || sent < batch {
			return
		}
	}
}

// message is one of a batch, as the spool takes them.
type message struct {
	Key  string `json:"key"`
	Body string `json:"body"`
}

// send returns once the spool has the URLs on disk. The sidecar adds to each which
// API its page is to go to.
func (r *relay) send(ctx context.Context, urls []string) error {
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines) // ends each with a line feed
	for _, found := range urls {
		if err := encoder.Encode(message{Key: found, Body: found}); err != nil {
			return fmt.Errorf("write a URL as JSON: %w", err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.spool, &lines)
	if err != nil {
		return fmt.Errorf("give URLs to the spool: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	answer, err := r.http.Do(request)
	if err != nil {
		return fmt.Errorf("give URLs to the spool: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 64<<10)) // for the message; and the connection can be used again
	if answer.StatusCode != http.StatusAccepted {
		return fmt.Errorf("give URLs to the spool: it answered %s: %.200s", answer.Status, bytes.TrimSpace(said))
	}
	return nil
}

// makeTopic makes the topic if it is missing, and tries until the queue answers.
func (r *relay) makeTopic(ctx context.Context) {
	for {
		err := r.tryMakeTopic(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		slog.Warn("the topic can't be made", "topic", r.topic, "error", err, "next_try", r.every)
		select {
		case <-time.After(r.every):
		case <-ctx.Done():
		}
	}
}

func (r *relay) tryMakeTopic(ctx context.Context) error {
	answer, err := r.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic:             r.topic,
		NumPartitions:     r.partitions,
		ReplicationFactor: -1, // the brokers' default
	}}})
	if err != nil {
		return fmt.Errorf("ask the brokers %s: %w", r.client.Addr, err)
	}
	if err := answer.Errors[r.topic]; err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
		return err
	}
	return nil
}
