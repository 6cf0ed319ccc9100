// Package discover finds the living cells of a service through Consul.
package discover

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// ErrNone says that Consul answers and knows no cell that takes work.
var ErrNone = errors.New("no cell of the service is passing")

// fresh is how long an answer of Consul is used again.
const fresh = time.Second

// Service finds cells of one service. Its methods may be called concurrently.
type Service struct {
	client *api.Client
	name   string

	mu    sync.Mutex
	cells []string
	until time.Time
}

// New returns a Service that asks the Consul at CONSUL_HTTP_ADDR, with the
// usual CONSUL_HTTP_* beside it.
func New(name string) (*Service, error) {
	client, err := api.NewClient(api.DefaultConfig())
	if err != nil {
		return nil, fmt.Errorf("make a client of Consul: %w", err)
	}
	return &Service{client: client, name: name}, nil
}

// Pick returns host:port of one cell, drawn at random among those that pass.
// Those in the state "warning" ask to be spared, and are drawn from only when
// none passes.
func (s *Service) Pick(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().After(s.until) {
		// A Consul that is away is no reason to stop: the cells known are used.
		if err := s.ask(ctx); err != nil && len(s.cells) == 0 {
			return "", err
		}
	}
	return s.cells[rand.IntN(len(s.cells))], nil
}

// Forget makes the next Pick ask Consul anew: a cell that Pick returned did
// not answer.
func (s *Service) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = time.Time{}
}

func (s *Service) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	entries, _, err := s.client.Health().Service(s.name, "", false, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return fmt.Errorf("ask Consul for %s: %w", s.name, err)
	}
	byStatus := map[string][]string{}
	for _, entry := range entries {
		host := entry.Service.Address
		if host == "" {
			host = entry.Node.Address
		}
		status := entry.Checks.AggregatedStatus()
		byStatus[status] = append(byStatus[status], net.JoinHostPort(host, strconv.Itoa(entry.Service.Port)))
	}
	s.cells = byStatus[api.HealthPassing]
	if len(s.cells) == 0 {
		s.cells = byStatus[api.HealthWarning]
	}
	if len(s.cells) == 0 {
		return fmt.Errorf("%w: %s", ErrNone, s.name)
	}
	s.until = time.Now().Add(fresh)
	return nil
}
