// Command api is the program of an API cell: it stores the pages that crawlers
// bring, puts the URLs found in them on the queue, and answers searches.
//
//	POST   /pages       store a page: {"url", "status", "title", "text", "links"}
//	POST   /seed        make URLs known: {"urls"}
//	GET    /search?q=   full-text search
//	GET    /stats       pages, links, and URLs known, queued and stored
//	GET    /healthz     this program serves (whether or not the database does)
//	GET    /metrics     for Prometheus and the sidecar
//	PUT    /drain       take no new work; DELETE takes that back
//
// It stands behind its sidecar's proxy, which serves clients first, and puts URLs
// on the queue by its sidecar's spool. Pages are written to the database that the
// cell is paired with, searches are answered from all.
//
// A URL that was accepted is never lost and a page stored twice changes
// nothing; see packages store and relay.go. While no database can be used, or the
// cell is full or draining, the answer is 503 with Retry-After.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/cell"
)

type settings struct {
	brokers     string
	topic       string
	partitions  int
	database    string
	sidecar     string
	concurrency int
	workers     int
	searchCost  time.Duration
	sweep       time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.brokers, "brokers", os.Getenv("KAFKA_BROKERS"), "Kafka brokers, host:port, separated by commas")
	flag.StringVar(&s.topic, "topic", "urls", "topic for newly found URLs, made if it does not exist")
	flag.IntVar(&s.partitions, "partitions", 24, "partitions of a topic that is made")
	flag.StringVar(&s.database, "database", "db", "service in Consul, or host:port, of PostgreSQL")
	flag.StringVar(&s.sidecar, "sidecar", os.Getenv("HOMEOSTAT_SIDECAR"), "base URL of the sidecar, whose spool takes URLs for the queue")
	flag.IntVar(&s.concurrency, "concurrency", 256, "requests taken on at once; more are refused with 503")
	flag.IntVar(&s.workers, "workers", 16, "searches worked on at once; more wait")
	flag.DurationVar(&s.searchCost, "search-cost", 0, "time that a search takes beside the real work")
	flag.DurationVar(&s.sweep, "sweep", time.Second, "how often to look for URLs that a crash kept from the queue")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		slog.Error("the API has ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	if s.brokers == "" {
		return fmt.Errorf("no Kafka brokers: set -brokers or KAFKA_BROKERS to host:port")
	}
	if s.sidecar == "" {
		return fmt.Errorf("no sidecar: set -sidecar or HOMEOSTAT_SIDECAR to its base URL")
	}
	if s.concurrency < 1 || s.workers < 1 || s.partitions < 1 || s.sweep <= 0 || s.searchCost < 0 {
		return fmt.Errorf("-concurrency, -workers, -partitions and -sweep must be above zero, and -search-cost not below")
	}
	pages, err := databases(s)
	if err != nil {
		return err
	}
	defer pages.Close()
	listener, err := cell.Listen(ctx, os.Getenv)
	if err != nil {
		return err
	}
	relay := newRelay(pages, strings.Split(s.brokers, ","), s)
	server := newServer(pages, relay, s)
	slog.Info("serving", "address", listener.Addr().String())

	// The relay outlives the server, so that what the last requests found is
	// queued before this cell goes.
	relaying, stopRelay := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRelay()
	var group errgroup.Group
	group.Go(func() error { return relay.run(relaying) })
	group.Go(func() error {
		defer stopRelay()
		return cell.Serve(ctx, listener, server.handler(), 20*time.Second)
	})
	return group.Wait()
}
