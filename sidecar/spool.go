package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool"
)

// spooling is the cell's spool, and the queue that it sends to.
type spooling struct {
	queue *spool.Kafka
	*spool.Spool
}

// claimExtra is for how long, beside one request to the broker, another process may
// take to give the cell's spool back.
const claimExtra = 15 * time.Second

// openSpool opens the cell's spool, where the policy gives it one. It sends at once
// what an earlier life of the cell has left.
func (n *node) openSpool(ctx context.Context) error {
	p := n.own.Spool
	if p == nil {
		return nil
	}
	n.spool = &spooling{}
	var err error
	if n.spool.queue, err = spoolKafka(n.began.Kafka, p.Topics); err != nil {
		return err
	}
	own := n.cell.Identity.Name
	n.spool.Spool, err = spool.Claim(ctx, n.spoolConfig(n.spoolDir(own), p.Topics), n.began.Kafka.Timeout+claimExtra)
	if err != nil {
		return err
	}
	n.cell.Spool = n.spool
	n.adopter = &adopter{
		service: n.own.Name, cell: own, places: n.spoolPlaces(own), topics: p.Topics,
		members: n.leading.fleet.Members, record: n.leading.fleet.Record, config: n.spoolConfig, log: n.leading.log,
		sending: map[string]*spool.Spool{}, told: map[string]bool{},
	}
	n.cell.Adopted = n.adopter.depths
	return n.registry.Register(n.spool)
}

func (n *node) spoolConfig(dir string, topics []string) spool.Config {
	p := n.own.Spool
	return spool.Config{
		Dir: dir, Topics: topics,
		Pace:     spool.PacerConfig{Hold: p.Hold, Spread: p.Spread},
		MaxBytes: int64(p.MaxBytes), MaxAge: p.MaxAge, SegmentBytes: int64(p.SegmentBytes),
		MaxMessageBytes: p.MaxMessageBytes, MaxBatch: p.MaxBatch, MaxRequestBytes: int64(p.MaxRequestBytes),
		Broker: n.spool.queue, Timeout: n.began.Kafka.Timeout,
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

// spoolPlaces are where cells of this machine have their spools: side by side, or each in
// its data directory where these lie side by side, named after the cells.
func (n *node) spoolPlaces(own string) []spoolPlace {
	places := []spoolPlace{{root: n.spoolDir("")}}
	data, below := os.Getenv("HOMEOSTAT_DATA_DIRECTORY"), n.own.Spool.Dir
	if !filepath.IsAbs(below) && filepath.Base(data) == own {
		places = append(places, spoolPlace{root: filepath.Dir(data), within: below})
	}
	return places
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
	if n.spool == nil {
		return
	}
	if n.spool.Spool != nil {
		if err := n.spool.Close(); err != nil {
			n.leading.log.Error("close the spool", "error", err)
		}
	}
	if n.spool.queue != nil {
		n.spool.queue.Close()
	}
}
