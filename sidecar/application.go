package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/supervise"
)

// application is the program beside the sidecar: started and watched by
// package supervise, scraped and drained over its own port.
type application struct {
	*supervise.Application
	scraper *sense.Scraper
	// drain is where PUT begins and DELETE takes back a drain; empty for none.
	drain  string
	client *http.Client
}

// newApplication picks the application's port, where it has one, and fills it
// into the cell's identity. The application finds its sidecar at the URL beside.
func newApplication(s *policy.Service, identity *fleet.Cell, proxy *ownProxy, o runOptions, beside string, out io.Writer, log *slog.Logger) (*application, error) {
	host, port := identity.Address, 0
	switch {
	case proxy != nil:
		host, port = loopback, proxy.appPort
	case needsPort(s) || o.port != 0:
		var err error
		if port, err = choosePort(o); err != nil {
			return nil, err
		}
		identity.Port = port
	case s.Postgres != nil:
		identity.Port = s.Postgres.Port // where others reach the database
	}
	environment := environment(*identity, host, port, beside)
	if proxy != nil {
		environment = append(environment, "HOMEOSTAT_PUBLIC="+proxy.public)
	}
	h := s.Health
	cfg := supervise.Config{
		Command: o.command, Environment: environment, Output: out,
		Host: host, Port: port,
		Health: supervise.Health{HTTP: h.HTTP, TCP: h.TCP, Interval: h.Interval, Timeout: h.Timeout, Grace: h.Grace, Failures: h.Failures},
		Log:    log,
	}
	app, err := supervise.New(cfg)
	if err != nil {
		return nil, err
	}
	a := &application{Application: app, client: &http.Client{Timeout: h.Timeout}}
	base := "http://" + net.JoinHostPort(host, strconv.Itoa(port))
	if s.Drain.Path != "" {
		a.drain = base + s.Drain.Path
	}
	if wantsMetrics(s) {
		if s.Metrics.Port != 0 {
			base = "http://" + net.JoinHostPort(host, strconv.Itoa(s.Metrics.Port))
		}
		a.scraper, err = sense.NewScraper(sense.ScraperConfig{URL: base + s.Metrics.Path, Timeout: s.Metrics.Timeout})
	}
	return a, err
}

// needsPort reports whether the policy reaches for the application over the
// network.
func needsPort(s *policy.Service) bool {
	return s.Health.HTTP != "" || s.Health.TCP || s.Drain.Path != "" || wantsMetrics(s) || s.Postgres != nil && s.Postgres.Port == 0
}

func wantsMetrics(s *policy.Service) bool {
	return s.Latency != nil && s.Latency.Histogram != "" || s.Requests != nil || s.Metrics.Busy != "" || s.Metrics.InFlight != ""
}

// choosePort takes the port that was asked for, or a free one. Beside an
// application that somebody else starts, the port is in use and must be known.
func choosePort(o runOptions) (int, error) {
	if len(o.command) > 0 {
		return supervise.FreePort(o.port)
	}
	if o.port == 0 {
		return 0, fmt.Errorf("without a command the application's port must be given: -port or HOMEOSTAT_PORT")
	}
	return o.port, nil
}

// environment is the sidecar's own, and what the application is told of itself: host
// and number are where it is to listen, beside is where its sidecar listens for it.
func environment(c fleet.Cell, host string, number int, beside string) []string {
	port := strconv.Itoa(number)
	return append(os.Environ(),
		"HOMEOSTAT_SERVICE="+c.Service, "HOMEOSTAT_CELL="+c.Name, "HOMEOSTAT_INCARNATION="+c.Incarnation,
		"HOMEOSTAT_CELL_ID="+c.ID(), "HOMEOSTAT_ADDRESS="+host, "HOMEOSTAT_PORT="+port, "PORT="+port, "HOMEOSTAT_SIDECAR="+beside)
}

// Well implements loop.Application.
func (a *application) Well() (bool, string) {
	s := a.State()
	return s.Healthy, s.Why
}

// Scrape implements loop.Application.
func (a *application) Scrape(ctx context.Context) (*sense.Scrape, error) {
	if a.scraper == nil {
		return nil, fmt.Errorf("the policy names no metric of the application")
	}
	return a.scraper.Scrape(ctx)
}

// Drain implements loop.Application.
func (a *application) Drain(ctx context.Context, begin bool) error {
	if a.drain == "" {
		return nil
	}
	method := http.MethodDelete
	if begin {
		method = http.MethodPut
	}
	request, err := http.NewRequestWithContext(ctx, method, a.drain, nil)
	if err != nil {
		return err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask the application: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // nothing is read from it
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("%s %s: %s", method, a.drain, response.Status)
	}
	return nil
}
