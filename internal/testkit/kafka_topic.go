package testkit

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
)

// CreateTopic creates a topic with the given number of partitions and returns
// when it can be written to and read from.
func (k *KafkaServer) CreateTopic(ctx context.Context, topic string, partitions int) error {
	client := k.Client()
	if k.options.Transport == nil {
		defer CloseClient(client)
	}
	response, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}},
	})
	if err == nil {
		err = response.Errors[topic]
	}
	if err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	err = Poll(ctx, startLimit, func(ctx context.Context) error {
		return serves(ctx, client, topic, partitions)
	})
	if err != nil {
		return fmt.Errorf("wait for topic %s: %w", topic, err)
	}
	return nil
}

// serves reports nil once the broker acts as leader of the topic. It says in
// its metadata that it is a moment before it does, so it is asked for what only
// a leader answers; it takes all partitions of a new topic over in one step,
// and the first and the last stand for all.
func serves(ctx context.Context, client *kafka.Client, topic string, partitions int) error {
	response, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{topic: {kafka.LastOffsetOf(0), kafka.LastOffsetOf(partitions - 1)}},
	})
	if err != nil {
		return err
	}
	offsets := response.Topics[topic]
	if len(offsets) == 0 {
		return errors.New("no offsets are listed")
	}
	for _, p := range offsets {
		if p.Error != nil {
			return fmt.Errorf("list the offsets of partition %d: %w", p.Partition, p.Error)
		}
	}
	return nil
}
