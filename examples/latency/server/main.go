// Command server is the program of a cell that gets slow under load, as one
// processor that many requests share: what a request takes grows with the
// number of those in hand. So twice the offered rate is far more than twice the
// time, and another cell brings it back.
//
//	GET    /         the work
//	GET    /metrics  answer_seconds, a histogram, and server_in_flight
//	PUT    /drain    take no new work; DELETE takes that back
//	GET    /healthz
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
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/cell"
)

func main() {
	cost := flag.Duration("cost", 25*time.Millisecond, "time a request takes when it is alone")
	workers := flag.Int("workers", 16, "requests worked on at once; more are refused with 503")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *cost, *workers); err != nil {
		slog.Error("the server has ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, cost time.Duration, workers int) error {
	if cost <= 0 || workers < 1 {
		return errors.New("-cost and -workers must be above zero")
	}
	listener, err := cell.Listen(ctx, os.Getenv)
	if err != nil {
		return err
	}
	slog.Info("serving", "address", listener.Addr().String())
	return cell.Serve(ctx, listener, handler(cost, workers), 10*time.Second)
}

func handler(cost time.Duration, workers int) http.Handler {
	registry := prometheus.NewRegistry()
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "answer_seconds",
		Help:    "Time from taking a request on to its answer.",
		Buckets: prometheus.ExponentialBuckets(0.01, 1.3, 18), // 10 ms to 0.9 s
	})
	registry.MustRegister(seconds)
	gate := cell.NewGate(workers, time.Now)
	gate.Register(registry, "server")
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.Handle("/drain", gate)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if err := gate.Enter(); err != nil {
			w.Header().Set("Retry-After", "1")
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		defer gate.Leave()
		defer prometheus.NewTimer(seconds).ObserveDuration()
		work(r.Context(), cost, gate.InFlight)
	})
	return mux
}

// work does cost of work at a speed that it shares with all in hand.
func work(ctx context.Context, cost time.Duration, inHand func() int) {
	const slice = time.Millisecond
	for left := cost; left > 0; {
		start := time.Now()
		select {
		case <-time.After(slice):
		case <-ctx.Done():
			return // nobody waits for the answer any more
		}
		left -= time.Since(start) / time.Duration(max(1, inHand()))
	}
}
