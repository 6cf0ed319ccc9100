package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
)

// A relay carries URLs from the table, where the page they were found on put
// them, to the queue. It is the only way there: what this cell has just stored
// and what a dead cell left behind go alike. A crash between the queue's
// acknowledgement and the mark in the table sends a URL twice, which changes
// nothing stored.
type relay struct {
	store      *store.Store
	client     *kafka.Client
	transport  *kafka.Transport
	writer     *kafka.Writer
	partitions int
	every      time.Duration
	found      chan struct{}
}

// batch is the number of URLs sent to the queue in one go.
const batch = 1000

func newRelay(pages *store.Store, brokers []string, s settings) *relay {
	address := kafka.TCP(brokers...)
	// One transport, so that its idle connections can be closed at the end.
	transport := &kafka.Transport{MetadataTopics: []string{s.topic}}
	return &relay{
		store:      pages,
		client:     &kafka.Client{Addr: address, Transport: transport, Timeout: 10 * time.Second},
		transport:  transport,
		partitions: s.partitions,
		every:      s.sweep,
		found:      make(chan struct{}, 1),
		writer: &kafka.Writer{
			Addr:         address,
			Topic:        s.topic,
			Balancer:     &kafka.Hash{},
			RequiredAcks: kafka.RequireAll,
			BatchTimeout: 5 * time.Millisecond,
			Transport:    transport,
		},
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
		_ = r.writer.Close()
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

func (r *relay) send(ctx context.Context, urls []string) error {
	messages := make([]kafka.Message, len(urls))
	for i, url := range urls {
		messages[i] = kafka.Message{Key: []byte(url), Value: []byte(url)}
	}
	if err := r.writer.WriteMessages(ctx, messages...); err != nil {
		return fmt.Errorf("write to topic %s: %w", r.writer.Topic, err)
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
		slog.Warn("the topic can't be made", "topic", r.writer.Topic, "error", err, "next_try", r.every)
		select {
		case <-time.After(r.every):
		case <-ctx.Done():
		}
	}
}

func (r *relay) tryMakeTopic(ctx context.Context) error {
	answer, err := r.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic:             r.writer.Topic,
		NumPartitions:     r.partitions,
		ReplicationFactor: -1, // the brokers' default
	}}})
	if err != nil {
		return fmt.Errorf("ask the brokers %s: %w", r.client.Addr, err)
	}
	if err := answer.Errors[r.writer.Topic]; err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
		return err
	}
	return nil
}
