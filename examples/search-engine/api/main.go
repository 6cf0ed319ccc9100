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
// A URL that was accepted is never lost and a page stored twice changes
// nothing; see packages store and relay.go. While the database is away, or the
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
	"github.com/homeostat-io/terraform-provider-homeostat/examples/discover"
	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
)

type settings struct {
	brokers     string
	topic       string
	partitions  int
	database    string
	concurrency int
	sweep       time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.brokers, "brokers", os.Getenv("KAFKA_BROKERS"), "Kafka brokers, host:port, separated by commas")
	flag.StringVar(&s.topic, "topic", "urls", "topic for newly found URLs, made if it does not exist")
	flag.IntVar(&s.partitions, "partitions", 24, "partitions of a topic that is made")
	flag.StringVar(&s.database, "database", "db", "service in Consul, or host:port, of PostgreSQL")
	flag.IntVar(&s.concurrency, "concurrency", 32, "requests worked on at once; more are refused with 503")
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
	locate, err := locator(s.database)
	if err != nil {
		return err
	}
	if s.brokers == "" {
		return fmt.Errorf("no Kafka brokers: set -brokers or KAFKA_BROKERS to host:port")
	}
	if s.concurrency < 1 || s.partitions < 1 || s.sweep <= 0 {
		return fmt.Errorf("-concurrency, -partitions and -sweep must be above zero")
	}
	// A quarter of the requests waits for the database at any instant; each
	// connection is a process there.
	pages, err := store.Open(ctx, locate, max(4, s.concurrency/4))
	if err != nil {
		return err
	}
	defer pages.Close()
	listener, err := cell.Listen(ctx, os.Getenv)
	if err != nil {
		return err
	}
	relay := newRelay(pages, strings.Split(s.brokers, ","), s)
	server := newServer(pages, relay, s.concurrency)
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

// locator finds the database at a fixed host:port or through Consul.
func locator(database string) (store.Locate, error) {
	if strings.Contains(database, ":") {
		return func(context.Context) (string, error) { return database, nil }, nil
	}
	service, err := discover.New(database)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (string, error) {
		service.Forget() // a new connection is rare, and due because the old place failed
		return service.Pick(ctx)
	}, nil
}
