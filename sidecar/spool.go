package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool"
)

// openSpool opens the cell's spool, where the policy gives it one. It sends at once
// what an earlier life of the cell has left.
func (n *node) openSpool(ctx context.Context) error {
	p := n.own.Spool
	if p == nil {
		return nil
	}
	kafka, err := spoolKafka(n.began.Kafka, p.Topics)
	if err != nil {
		return err
	}
	n.queue = kafka
	n.spool, err = spool.Open(ctx, n.spoolConfig(n.spoolDir(n.cell.Identity.Name), p.Topics))
	if err != nil {
		return err
	}
	n.cell.Spool = n.spool
	return n.registry.Register(n.spool)
}

func (n *node) spoolConfig(dir string, topics []string) spool.Config {
	p := n.own.Spool
	return spool.Config{
		Dir: dir, Topics: topics,
		Pace:     spool.PacerConfig{Hold: p.Hold, Spread: p.Spread},
		MaxBytes: int64(p.MaxBytes), MaxAge: p.MaxAge, SegmentBytes: int64(p.SegmentBytes),
		MaxMessageBytes: p.MaxMessageBytes, MaxBatch: p.MaxBatch, MaxRequestBytes: int64(p.MaxRequestBytes),
		Broker: n.queue, Timeout: n.began.Kafka.Timeout,
		Pressure: n.pressure(), Header: n.replyTo, Log: n.leading.log,
	}
}

// spoolDir is a folder of the cell's own: in its data directory where it has one,
// else beside the policy.
func (n *node) spoolDir(cell string) string {
	dir := n.own.Spool.Dir
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(cmp.Or(os.Getenv("HOMEOSTAT_DATA_DIRECTORY"), n.leading.home), dir)
	}
	return filepath.Join(dir, cell)
}

func spoolKafka(k *policy.Kafka, topics []string) (*spool.Kafka, error) {
	secure, err := kafkaTLS(k.TLS)
	if err != nil {
		return nil, fmt.Errorf("kafka.tls: %w", err)
	}
	mechanism, err := kafkaSASL(k.SASL)
	if err != nil {
		return nil, fmt.Errorf("kafka.sasl: %w", err)
	}
	return spool.NewKafka(spool.KafkaConfig{Brokers: k.Brokers, Timeout: k.Timeout, TLS: secure, SASL: mechanism}, topics), nil
}

// closeSpool leaves on disk what has not been sent.
func (n *node) closeSpool() {
	if n.spool != nil {
		if err := n.spool.Close(); err != nil {
			n.leading.log.Error("close the spool", "error", err)
		}
	}
	if n.queue != nil {
		n.queue.Close()
	}
}
