// Command clients asks the search engine as a trace of client queries says,
// compressed in time, and prints rate, latency and errors.
//
//	clients -url http://127.0.0.1:8080 -speed 300 -rate 30
//	clients -url http://127.0.0.1:8080 -trace requests.csv -from 12h -to 18h
//
// A trace is a CSV of a time and a count of requests a line. Without one a day of a
// real load balancer is replayed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/replay"
)

func main() {
	var c replay.Clients
	flag.StringVar(&c.URL, "url", "", "base URL of a front, or of an API")
	path := flag.String("trace", "", "CSV of counts per interval (default a day of a real load balancer, 288 times five minutes)")
	from := flag.Duration("from", 0, "where in the trace to begin")
	to := flag.Duration("to", 1000*time.Hour, "where in the trace to end")
	flag.Float64Var(&c.Speed, "speed", 300, "how many times as fast the trace is played")
	flag.Float64Var(&c.Rate, "rate", 30, "queries a second on average")
	flag.DurationVar(&c.InTime, "in-time", time.Second, "how soon an answer must be there")
	flag.DurationVar(&c.Patience, "patience", 5*time.Second, "when a client gives up")
	flag.Uint64Var(&c.Seed, "seed", 1, "of the random instants and queries")
	every := flag.Duration("every", 5*time.Second, "how often to print")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	trace, err := read(*path)
	if err == nil {
		c.Trace = trace.Part(*from, *to)
		err = run(ctx, c, *every)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(1)
	}
}

func read(path string) (replay.Trace, error) {
	if path == "" {
		return replay.Default()
	}
	file, err := os.Open(path)
	if err != nil {
		return replay.Trace{}, err
	}
	defer func() { _ = file.Close() }() // only read
	return replay.Read(file)
}

func run(ctx context.Context, c replay.Clients, every time.Duration) error {
	if every <= 0 {
		return errors.New("-every must be above zero")
	}
	var tally replay.Tally
	ended := make(chan error, 1)
	go func() { ended <- c.Replay(ctx, &tally) }()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Println(tally.Sum())
		case err := <-ended:
			sum := tally.Sum()
			fmt.Println(sum)
			for _, why := range sum.Why {
				fmt.Println("  ", why)
			}
			return err
		}
	}
}
