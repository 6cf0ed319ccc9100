package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/discover"
	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
)

// databases finds the databases through Consul, or one at a fixed host:port.
func databases(s settings) (*store.Databases, error) {
	// A quarter of the searches waits for a database at any instant; each connection
	// is a process there.
	connections := max(4, s.workers/2)
	if strings.Contains(s.database, ":") {
		only := []store.Place{{Name: s.database, Address: s.database, Writable: true}}
		list := func(context.Context) ([]store.Place, error) { return only, nil }
		return store.NewDatabases(list, func() string { return s.database }, connections), nil
	}
	service, err := discover.New(s.database)
	if err != nil {
		return nil, err
	}
	p := &partner{url: strings.TrimSuffix(s.sidecar, "/") + "/v1/partner", client: &http.Client{Timeout: time.Second}}
	return store.NewDatabases(store.Places(service.All), p.name, connections), nil
}

// partner is the database that this cell is paired with, for life.
type partner struct {
	url    string
	client *http.Client

	mu   sync.Mutex
	cell string
	next time.Time // when to ask again
}

// name is the cell's, empty while the sidecar doesn't say it. Any database may then
// be written to.
func (p *partner) name() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cell == "" && time.Now().After(p.next) {
		p.next = time.Now().Add(10 * time.Second)
		p.ask()
	}
	return p.cell
}

func (p *partner) ask() {
	answer, err := p.client.Get(p.url)
	if err != nil {
		slog.Warn("the sidecar doesn't name this cell's database", "error", err)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	var told struct {
		Cell string `json:"cell"`
	}
	// Where the policy pairs this service with none, there is no such page.
	if answer.StatusCode == http.StatusOK && json.NewDecoder(answer.Body).Decode(&told) == nil && told.Cell != "" {
		slog.Info("pages are written to one database", "database", told.Cell)
		p.cell = told.Cell
	}
}
