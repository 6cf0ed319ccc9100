// Command web is the application of the example: it says which cell it is.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/cell"
)

// atOnce is how many requests are answered at the same time.
const atOnce = 100

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	listener, err := cell.Listen(ctx, os.Getenv)
	if err != nil {
		return err
	}
	return cell.Serve(ctx, listener, handler(cell.NewGate(atOnce, time.Now)), 5*time.Second)
}

func handler(gate *cell.Gate) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/drain", gate)
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "well") })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		if err := gate.Enter(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		defer gate.Leave()
		fmt.Fprintf(w, "%s, release %s\n", os.Getenv("HOMEOSTAT_CELL_ID"), os.Getenv("RELEASE"))
	})
	return mux
}
