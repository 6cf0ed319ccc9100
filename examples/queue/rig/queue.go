package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// startQueue starts a broker of Kafka's protocol within this program, unless
// there is a Kafka to use.
func (r *rig) startQueue() error {
	if r.brokers != "" {
		return nil
	}
	port, err := testkit.StartPort()
	if err != nil {
		return err
	}
	r.brokers = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if r.queue, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port)); err != nil {
		return fmt.Errorf("start the queue: %w", err)
	}
	return nil
}

// client makes a client of the queue.
func (r *rig) client(options ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(strings.Split(r.brokers, ",")...))...)
	if err != nil {
		return nil, fmt.Errorf("reach the queue: %w", err)
	}
	return client, nil
}

// makeTopics makes the topics. One that is there already is somebody else's.
func (r *rig) makeTopics(ctx context.Context) error {
	client, err := r.client()
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = 30_000
	for topic, n := range map[string]int32{jobs: partitions, done: 1} {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = topic, n, 1
		request.Topics = append(request.Topics, t)
	}
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("make the topics: %w", err)
	}
	for _, t := range answer.Topics {
		err = errors.Join(err, kerr.ErrorForCode(t.ErrorCode))
	}
	if err != nil {
		return fmt.Errorf("make the topics %s and %s: %w", jobs, done, err)
	}
	r.topics = true
	return nil
}

// stopQueue stops the broker, or removes the topics from a Kafka of the user's own.
func (r *rig) stopQueue(ctx context.Context) error {
	if r.queue != nil {
		r.queue.Close()
		return nil
	}
	if !r.topics {
		return nil
	}
	client, err := r.client()
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewPtrDeleteTopicsRequest()
	request.TimeoutMillis = 30_000
	for _, name := range []string{jobs, done} {
		topic := kmsg.NewDeleteTopicsRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		request.Topics, request.TopicNames = append(request.Topics, topic), append(request.TopicNames, name)
	}
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("remove the topics: %w", err)
	}
	for _, t := range answer.Topics {
		err = errors.Join(err, kerr.ErrorForCode(t.ErrorCode))
	}
	return err
}
