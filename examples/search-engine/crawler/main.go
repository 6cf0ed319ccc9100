// Command crawler is the program of a crawler cell: it takes URLs from the
// queue, fetches and analyses the pages, and brings them to the API that the message
// names, or to another one.
//
//	GET    /healthz   this program works
//	GET    /metrics   for Prometheus and the sidecar
//	PUT    /drain     leave the consumer group once the work in hand is done;
//	                  DELETE takes that back
//
// A URL's offset is committed after its page is stored, so each is crawled at
// least once, whatever dies in between.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/cell"
)

type settings struct {
	brokers  string
	topic    string
	group    string
	api      string
	sidecar  string
	scope    string
	agent    string
	workers  int
	rate     float64
	pageCost time.Duration
	patience time.Duration
	commit   time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.brokers, "brokers", os.Getenv("KAFKA_BROKERS"), "Kafka brokers, host:port, separated by commas")
	flag.StringVar(&s.topic, "topic", "urls", "topic to take URLs from")
	flag.StringVar(&s.group, "group", "crawlers", "consumer group")
	flag.StringVar(&s.api, "api", "api", "service that stores pages")
	flag.StringVar(&s.sidecar, "sidecar", os.Getenv("HOMEOSTAT_SIDECAR"), "base URL of the sidecar, or a front, that lists that service's cells")
	flag.StringVar(&s.scope, "scope", "", "only URLs that begin with this one are crawled, such as http://host/docs/")
	flag.StringVar(&s.agent, "agent", strings.TrimSpace("homeostat-example-crawler "+os.Getenv("HOMEOSTAT_CELL")), "what it calls itself to web servers")
	flag.IntVar(&s.workers, "workers", 4, "pages worked on at once")
	flag.Float64Var(&s.rate, "rate", 100, "requests a second to one host, by this cell")
	flag.DurationVar(&s.pageCost, "page-cost", 50*time.Millisecond, "time that analysing a page takes beside the real work")
	flag.DurationVar(&s.patience, "patience", time.Minute, "how long to retry a page whose server fails or is away")
	flag.DurationVar(&s.commit, "commit", time.Second, "how often offsets are committed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		slog.Error("the crawler has ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	within, err := parseScope(s.scope)
	if err != nil {
		return err
	}
	switch {
	case s.brokers == "":
		return fmt.Errorf("no Kafka brokers: set -brokers or KAFKA_BROKERS to host:port")
	case s.workers < 1 || s.rate <= 0 || s.commit <= 0 || s.patience <= 0:
		return fmt.Errorf("-workers, -rate, -commit and -patience must be above zero")
	case s.pageCost < 0:
		return fmt.Errorf("-page-cost must not be negative")
	}
	courier, err := newCourier(s.api, s.sidecar)
	if err != nil {
		return err
	}
	listener, err := cell.Listen(ctx, os.Getenv)
	if err != nil {
		return err
	}
	crawler := &crawler{
		fetcher:  newFetcher(s.agent, within, s.rate, s.patience),
		courier:  courier,
		pageCost: s.pageCost,
		metrics:  newMetrics(),
	}
	consumer := &consumer{
		brokers: strings.Split(s.brokers, ","),
		topic:   s.topic,
		group:   s.group,
		workers: s.workers,
		commit:  s.commit,
		gate:    cell.NewGate(s.workers, time.Now),
		handle:  crawler.crawl,
	}
	consumer.gate.Register(crawler.metrics.registry, "crawler")
	slog.Info("serving", "address", listener.Addr().String(), "scope", s.scope)

	// The endpoints outlive the crawling, so that the last pages are counted.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	var group errgroup.Group
	group.Go(func() error { return cell.Serve(serving, listener, handler(consumer, crawler), 5*time.Second) })
	group.Go(func() error {
		defer stopServing()
		consumer.run(ctx)
		return nil
	})
	return group.Wait()
}

func handler(consumer *consumer, crawler *crawler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/drain", consumer.gate)
	mux.Handle("GET /metrics", promhttp.HandlerFor(crawler.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "ok")
	})
	return mux
}
