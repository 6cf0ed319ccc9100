// Command worker is the program of a worker cell: it takes jobs from a queue, does
// each for a set time, by waiting, and says on another topic that it is done.
//
//	GET    /healthz   it has joined the consumer group
//	GET    /metrics   for Prometheus and the sidecar
//	PUT    /drain     leave the consumer group after the job in hand; DELETE takes
//	                  that back
//
// A job's offset is committed after its end is on the other topic, so each is done
// at least once, whatever dies in between.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/cell"
)

type settings struct {
	brokers, topic, group, done string
	rate                        float64
	start, commit               time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.brokers, "brokers", os.Getenv("KAFKA_BROKERS"), "Kafka brokers, host:port, separated by commas")
	flag.StringVar(&s.topic, "topic", "jobs", "topic to take jobs from")
	flag.StringVar(&s.group, "group", "workers", "consumer group")
	flag.StringVar(&s.done, "done", "done", "topic that is told of each job's end")
	flag.Float64Var(&s.rate, "rate", 25, "jobs a second that this worker does, one after the other")
	flag.DurationVar(&s.start, "start", 0, "time that it takes to get ready, as programs do that load much")
	flag.DurationVar(&s.commit, "commit", 500*time.Millisecond, "how often offsets are committed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		slog.Error("the worker has ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	switch {
	case s.brokers == "":
		return errors.New("no Kafka brokers: set -brokers or KAFKA_BROKERS to host:port")
	case s.rate <= 0 || s.commit < minCommit || s.start < 0:
		return fmt.Errorf("-rate must be above zero, -commit at least %s, -start not negative", minCommit)
	}
	listener, err := cell.Listen(ctx, os.Getenv)
	if err != nil {
		return err
	}
	worker := &worker{
		settings: s,
		brokers:  strings.Split(s.brokers, ","),
		gate:     cell.NewGate(1, time.Now),
		mine:     map[int32]bool{},
	}
	registry := prometheus.NewRegistry()
	worker.gate.Register(registry, "worker")
	slog.Info("serving", "address", listener.Addr().String(), "rate", s.rate)

	// The endpoints outlive the work, so that the sidecar sees its end.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	var group errgroup.Group
	group.Go(func() error { return cell.Serve(serving, listener, worker.handler(registry), 5*time.Second) })
	group.Go(func() error {
		defer stopServing()
		return worker.run(ctx)
	})
	return group.Wait()
}

func (w *worker) handler(registry prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/drain", w.gate)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) {
		if !w.ready.Load() {
			http.Error(rw, "not a member of the consumer group yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(rw, "ok")
	})
	return mux
}
