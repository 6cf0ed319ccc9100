// Package discover finds the living cells of a service through Consul.
package discover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// ErrNone says that Consul answers and knows no cell that takes work.
var ErrNone = errors.New("no cell of the service is passing")

// metaCell is where the registration of a cell has its name, which stays when it is
// born again. One that has no sidecar goes by its id.
const metaCell = "homeostat_cell"

// fresh is how long an answer of Consul is used again.
const fresh = time.Second

// Service finds cells of one service. Its methods may be called concurrently.
type Service struct {
	client *api.Client
	name   string

	mu    sync.Mutex
	all   []Cell
	cells []string // addresses of those that take work
	until time.Time
}

// Cell is one cell as Consul has it.
type Cell struct {
	Name    string
	Address string // host:port
	Health  string // passing, warning or critical
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

// All returns the cells that are registered, whatever their health, by name, each
// once: what is left of an earlier life of one is not the cell. While
// Consul is away those known last are returned, if there were any.
func (s *Service) All(ctx context.Context) ([]Cell, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().After(s.until) {
		if err := s.ask(ctx); err != nil && !errors.Is(err, ErrNone) && s.all == nil {
			return nil, err
		}
	}
	return slices.Clone(s.all), nil
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
	s.all = make([]Cell, 0, len(entries))
	for _, entry := range entries {
		host := entry.Service.Address
		if host == "" {
			host = entry.Node.Address
		}
		status := entry.Checks.AggregatedStatus()
		address := net.JoinHostPort(host, strconv.Itoa(entry.Service.Port))
		byStatus[status] = append(byStatus[status], address)
		s.all = append(s.all, Cell{Name: cmp.Or(entry.Service.Meta[metaCell], entry.Service.ID), Address: address, Health: status})
	}
	rank := []string{api.HealthPassing, api.HealthWarning, api.HealthCritical}
	slices.SortFunc(s.all, func(a, b Cell) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(slices.Index(rank, a.Health), slices.Index(rank, b.Health)))
	})
	s.all = slices.CompactFunc(s.all, func(a, b Cell) bool { return a.Name == b.Name })
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
