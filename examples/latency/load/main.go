// Command load sends requests to the cells of a service and writes each second
// what became of them. They come as those of many people do: independent of one
// another (a Poisson process), at a rate that does not wait for answers. What is
// outstanding is bounded all the same.
//
//	load -rate 16 -for 30s -then 32
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/discover"
)

// outstanding is the most requests that wait for an answer at once; more are
// dropped and counted.
const outstanding = 1000

func main() {
	service := flag.String("service", "server", "service to send to, found through the Consul at CONSUL_HTTP_ADDR")
	rate := flag.Float64("rate", 16, "requests a second, on the mean")
	change := flag.Duration("for", 0, "how long to send at that rate; 0 for always")
	then := flag.Float64("then", 32, "requests a second after that")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *service, *rate, *change, *then); err != nil {
		slog.Error("no load", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, service string, rate float64, change time.Duration, then float64) error {
	if rate <= 0 || then <= 0 || change < 0 {
		return errors.New("-rate and -then must be above zero, and -for not below it")
	}
	cells, err := discover.New(service)
	if err != nil {
		return err
	}
	results := newTally()
	go results.report(ctx, os.Stdout)
	sender := sender{cells: cells, results: results, places: make(chan struct{}, outstanding),
		client: &http.Client{Timeout: 10 * time.Second}}
	first := ctx
	if change > 0 {
		var cancel context.CancelFunc
		first, cancel = context.WithTimeout(ctx, change)
		defer cancel()
	}
	sender.send(ctx, first, rate)
	sender.send(ctx, ctx, then)
	return nil
}

// sender sends requests.
type sender struct {
	cells   *discover.Service
	results *tally
	places  chan struct{}
	client  *http.Client
}

// send sends at a mean rate until the phase is over. Requests live as long as
// ctx.
func (s *sender) send(ctx, phase context.Context, rate float64) {
	next := time.Now()
	for {
		next = next.Add(time.Duration(rand.ExpFloat64() / rate * float64(time.Second)))
		select {
		case <-phase.Done():
			return
		case <-time.After(time.Until(next)):
		}
		select {
		case s.places <- struct{}{}:
			go func() {
				defer func() { <-s.places }()
				s.one(ctx)
			}()
		default:
			s.results.add(0, errors.New("too many are outstanding"))
		}
	}
}

func (s *sender) one(ctx context.Context) {
	start := time.Now()
	err := s.get(ctx)
	if ctx.Err() == nil {
		s.results.add(time.Since(start), err)
	}
}

func (s *sender) get(ctx context.Context) error {
	address, err := s.cells.Pick(ctx)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		s.cells.Forget()
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", address, response.Status)
	}
	return nil
}
