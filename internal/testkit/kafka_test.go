package testkit

import (
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"
)

// produce writes one message to partition 0 of a topic, acknowledged.
func produce(t *testing.T, k *KafkaServer, topic, value string) {
	t.Helper()
	client := k.Client()
	defer CloseClient(client)
	response, err := client.Produce(t.Context(), &kafka.ProduceRequest{
		Topic:        topic,
		RequiredAcks: kafka.RequireAll,
		Records:      kafka.NewRecordReader(kafka.Record{Value: kafka.NewBytes([]byte(value))}),
	})
	if err == nil {
		err = response.Error
	}
	if err != nil {
		t.Fatalf("produce to %s: %v", topic, err)
	}
}

// first reads the message at offset 0 of partition 0.
func first(t *testing.T, k *KafkaServer, topic string) string {
	t.Helper()
	client := k.Client()
	defer CloseClient(client)
	response, err := client.Fetch(t.Context(), &kafka.FetchRequest{Topic: topic, MinBytes: 1, MaxBytes: 1 << 20})
	if err == nil {
		err = response.Error
	}
	if err != nil {
		t.Fatalf("fetch from %s: %v", topic, err)
	}
	record, err := response.Records.ReadRecord()
	if err != nil {
		t.Fatalf("read a record of %s: %v", topic, err)
	}
	value, err := kafka.ReadAll(record.Value)
	if err != nil {
		t.Fatalf("read the value: %v", err)
	}
	return string(value)
}

func TestKafkaKeepsMessagesThroughKillAndLosesThemWhenWiped(t *testing.T) {
	short(t)
	k := Kafka(t)
	if err := k.CreateTopic(t.Context(), "kept", 3); err != nil {
		t.Fatal(err)
	}
	produce(t, k, "kept", "acknowledged")
	if err := k.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := first(t, k, "kept"); got != "acknowledged" {
		t.Errorf("after kill and start the first message is %q", got)
	}
	if err := k.Wipe(); err != nil {
		t.Fatal(err)
	}
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := k.Client()
	defer CloseClient(client)
	metadata, err := client.Metadata(t.Context(), &kafka.MetadataRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(metadata.Topics) != 0 {
		t.Errorf("after a wipe there are topics: %v", metadata.Topics)
	}
}

func TestKafkaKeepsMessagesThroughAnOrderlyStop(t *testing.T) {
	short(t)
	k := Kafka(t)
	if err := k.CreateTopic(t.Context(), "kept", 1); err != nil {
		t.Fatal(err)
	}
	produce(t, k, "kept", "acknowledged")
	if err := k.Stop(); err != nil {
		t.Fatal(err)
	}
	if k.PID() != 0 {
		t.Error("kafka runs after Stop")
	}
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := first(t, k, "kept"); got != "acknowledged" {
		t.Errorf("after stop and start the first message is %q", got)
	}
}

func TestKafkaTakesPropertiesAndATransport(t *testing.T) {
	short(t)
	login := "org.apache.kafka.common.security.plain.PlainLoginModule required user_tester=\"secret\";"
	k := KafkaWith(t, KafkaOptions{
		Properties: map[string]string{
			"listener.security.protocol.map":                 "PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
			"sasl.enabled.mechanisms":                        "PLAIN",
			"sasl.mechanism.inter.broker.protocol":           "PLAIN",
			"listener.name.plaintext.plain.sasl.jaas.config": login,
		},
		Transport: &kafka.Transport{SASL: plain.Mechanism{Username: "tester", Password: "secret"}},
	})
	if err := k.CreateTopic(t.Context(), "guarded", 1); err != nil {
		t.Fatal(err)
	}
	stranger := &kafka.Client{Addr: kafka.TCP(k.Addr()), Transport: &kafka.Transport{}}
	defer CloseClient(stranger)
	if _, err := stranger.Metadata(t.Context(), &kafka.MetadataRequest{}); err == nil {
		t.Error("a client without a password is let in")
	}
}

func TestKafkaIsSharedByTheTestsOfAProcess(t *testing.T) {
	short(t)
	k := SharedKafka(t)
	if again := SharedKafka(t); again != k {
		t.Error("a second broker was started")
	}
	if err := k.CreateTopic(t.Context(), t.Name(), 2); err != nil {
		t.Fatal(err)
	}
	if err := k.CreateTopic(t.Context(), t.Name(), 2); err == nil {
		t.Error("the same topic was created twice")
	}
}
