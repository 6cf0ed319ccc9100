package pairing

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Path is where an application asks for its partner.
const Path = "/v1/partner"

// Variable is the environment variable by which an application is told of its
// partner of a service.
func Variable(service string) string {
	return "HOMEOSTAT_PARTNER_" + strings.ToUpper(strings.ReplaceAll(service, "-", "_"))
}

// Told is what the application is told.
type Told struct {
	Service string `json:"service"`
	Cell    string `json:"cell"`
	// Address is host:port, where the partner is now; where it was last while
	// it is gone.
	Address string `json:"address"`
	// Health is passing, warning, critical, gone or unknown.
	Health string    `json:"health"`
	Since  time.Time `json:"since"` // when they were paired
}

// Told is what is known of the partner at this moment.
func (p *Partner) Told() (Told, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pair == nil {
		return Told{}, errUnpaired
	}
	t := Told{Service: p.With, Cell: p.pair.Partner, Address: p.pair.Address, Health: p.health(), Since: p.pair.At}
	if p.member != nil && p.member.Port != 0 {
		t.Address = addressOf(*p.member)
	}
	return t, nil
}

// ServeHTTP answers GET /v1/partner.
func (p *Partner) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	told, err := p.Told()
	if err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(told) // a reader that has gone away is no concern
}
