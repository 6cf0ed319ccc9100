// Command web serves a .jar, a .zip or a folder of HTML over HTTP, for the
// crawlers of the example to crawl.
//
//	web -listen 127.0.0.1:8080 lucene-core-9.11.1-javadoc.jar
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/cell"
	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/archive"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address to serve on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, flag.Args()); err != nil {
		slog.Error("the web has ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen string, args []string) error {
	if len(args) != 1 {
		return errors.New("name one .jar, .zip or folder to serve: web [-listen ADDRESS] PATH")
	}
	files, err := archive.Open(args[0])
	if err != nil {
		return err
	}
	defer func() { _ = files.Close() }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listen for crawlers: %w", err)
	}
	slog.Info("serving", "archive", args[0], "address", "http://"+listener.Addr().String()+"/")
	return cell.Serve(ctx, listener, handler(files), 10*time.Second)
}

// handler serves the archive, and beside it the count of requests.
func handler(files *archive.Archive) http.Handler {
	registry := prometheus.NewRegistry()
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "web_requests_total",
		Help: "Requests for pages, by status code.",
	}, []string{"code"})
	registry.MustRegister(requests, collectors.NewGoCollector())
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	pages := promhttp.InstrumentHandlerCounter(requests, archive.Handler(files, slog.Default()))
	// No ServeMux: it would redirect paths such as /a//b by itself.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			metrics.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})
}
