package boot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
)

// Order is what a machine is to become. User data holds it as JSON.
type Order struct {
	Ticket Ticket `json:"ticket"`
	// Consul are the addresses of agents or servers, as the policy has them.
	Consul     []string `json:"consul"`
	Prefix     string   `json:"prefix,omitempty"`
	Datacenter string   `json:"datacenter,omitempty"`
	// ConsulCA is in PEM, for https with a certificate of one's own.
	ConsulCA string `json:"consul_ca,omitempty"`
	// Bundle and Genome are digests of what is published, Store is where, as the
	// policy's bundle has it.
	Bundle string `json:"bundle"`
	Genome string `json:"genome"`
	Store  string `json:"store"`
	// Address is how others reach the cell; where it is empty it is the address from
	// which the machine reaches Consul.
	Address string `json:"address,omitempty"`
	// Environment is the sidecar's, beside who it is. AWS_* count for fetching too.
	// It is no place for secrets.
	Environment map[string]string `json:"environment,omitempty"`
	// Deadline is when a machine that hasn't become its cell ends itself, by its own
	// clock. That may be wrong at a first boot, so Lifetime, in seconds, counts instead
	// from the machine's boot on; 0, or one shorter than the machine runs already, has
	// the deadline count.
	Deadline time.Time `json:"deadline"`
	Lifetime int       `json:"lifetime,omitempty"`
}

// Check returns what is wrong with an order.
func (o Order) Check() error {
	errs := []error{o.Ticket.check(), bundle.CheckDigest(o.Bundle)}
	if o.Genome != "" {
		errs = append(errs, bundle.CheckDigest(o.Genome))
	}
	if len(o.Consul) == 0 {
		errs = append(errs, errors.New("no address of Consul is named"))
	}
	if _, err := bundle.OpenStore(o.Store); err != nil {
		errs = append(errs, err)
	}
	if o.Deadline.IsZero() {
		errs = append(errs, errors.New("no deadline is named"))
	}
	return errors.Join(errs...)
}

// readOrder reads an order's file. Its errors don't show what it holds.
func readOrder(path string) (Order, error) {
	var o Order
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return o, fmt.Errorf("read the order: %w", err)
	}
	if err != nil {
		return o, fmt.Errorf("read the order: %w", err)
	}
	defer clear(text)
	if json.Unmarshal(text, &o) != nil {
		return o, fmt.Errorf("read the order %s: it isn't the JSON of one", path)
	}
	return o, nil
}
