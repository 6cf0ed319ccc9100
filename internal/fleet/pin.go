package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// Pin is a person's count for a service; it stands until it is taken away.
type Pin struct {
	Count int `json:"count"`
	// By is who pinned it, Reason why. Since is filled in.
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
}

func (p *Pin) check() error {
	if p.Since.IsZero() {
		return errors.New("it does not say since when")
	}
	if p.Count < 0 {
		return fmt.Errorf("the count %d is negative", p.Count)
	}
	return nil
}

// Pin sets the count of a service by hand.
func (c *Client) Pin(ctx context.Context, service string, p Pin) error {
	p.Since = c.cfg.Now().UTC()
	if err := errors.Join(checkName("service", service), p.check()); err != nil {
		return fmt.Errorf("pin %s: %w", service, err)
	}
	return c.put(ctx, c.key(service, keyPin), p)
}

// Unpin gives the count back; a service that isn't pinned is no error.
func (c *Client) Unpin(ctx context.Context, service string) error {
	if err := checkName("service", service); err != nil {
		return err
	}
	return c.remove(ctx, c.key(service, keyPin))
}

// Pinned returns the pin of a service, nil when it has none.
func (c *Client) Pinned(ctx context.Context, service string) (*Pin, error) {
	p, _, err := get[Pin](ctx, c, c.key(service, keyPin))
	return p, err
}

// Pins returns the pins of all services that have one, by service.
func (c *Client) Pins(ctx context.Context) (map[string]Pin, error) {
	services, err := c.Services(ctx)
	if err != nil {
		return nil, err
	}
	pins := map[string]Pin{}
	for _, service := range services {
		p, err := c.Pinned(ctx, service)
		if err != nil {
			return nil, err
		}
		if p != nil {
			pins[service] = *p
		}
	}
	return pins, nil
}

// Services returns the names of all services that have anything written down. What
// is kept for all of them lies in folders with a dot in their names.
func (c *Client) Services(ctx context.Context) ([]string, error) {
	prefix := c.allKey("")
	var keys []string
	err := c.call(ctx, &c.anywhere, "list the services", c.cfg.Timeout, func(ctx context.Context, consul *api.Client) (err error) {
		keys, _, err = consul.KV().Keys(prefix, "/", query(ctx))
		return err
	})
	if err != nil {
		return nil, err
	}
	var services []string
	for _, key := range keys {
		if name, ok := strings.CutSuffix(strings.TrimPrefix(key, prefix), "/"); ok && !strings.Contains(name, ".") {
			services = append(services, name)
		}
	}
	slices.Sort(services)
	return services, nil
}
