package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// Register registers a cell with the agent, or renews its registration. It is
// critical until its health is first pushed. An existing check keeps its status.
func (c *Client) Register(ctx context.Context, cell Cell) error {
	return c.register(ctx, cell, Critical)
}

// before is the status a registration begins with ahead of a first push: another
// one, since Consul spreads the push's output only with a change of status.
func before(health Health) Health {
	if health == Critical {
		return Warning
	}
	return Critical
}

func (c *Client) register(ctx context.Context, cell Cell, health Health) error {
	if err := cell.check(); err != nil {
		return fmt.Errorf("register %s: %w", cell.ID(), err)
	}
	first := int(c.home.at.Load())
	err := c.call(ctx, &c.home, "register "+cell.ID(), c.cfg.Timeout, func(ctx context.Context, consul *api.Client) error {
		opts := api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx)
		return consul.Agent().ServiceRegisterOpts(cell.registration(health), opts)
	})
	if err == nil {
		c.moved(cell, first)
	}
	return err
}

// Push tells the agent of a cell's health. Where the agent doesn't know the cell,
// having forgotten it or being another one than before, Push registers it first.
// The status spreads at once; the output alone only every few minutes.
func (c *Client) Push(ctx context.Context, cell Cell, health Health, output string) error {
	if strings.HasPrefix(output, ttlExpired) {
		output = "reported: " + output // Consul's own words for silence.
	}
	err := c.pushHealth(ctx, cell, health, output)
	if answered, ok := errors.AsType[api.StatusError](err); ok && answered.Code == http.StatusNotFound {
		if err := c.register(ctx, cell, before(health)); err != nil {
			return err
		}
		c.log.InfoContext(ctx, "registered in Consul", "cell", cell.ID(), "agent", c.endpoints[c.home.at.Load()].address)
		err = c.pushHealth(ctx, cell, health, output)
	}
	if err == nil {
		c.sweepStrays(ctx, cell)
	}
	return err
}

// Spread pushes as Push does, and has the output seen everywhere at once, also
// where the status is what it was. That is a write of all servers, so it is for
// news that somebody waits for, not for each renewal.
func (c *Client) Spread(ctx context.Context, cell Cell, health Health, output string) error {
	if err := c.Push(ctx, cell, health, output); err != nil {
		return err
	}
	// An agent spreads the whole check when its registration is renewed.
	return c.register(ctx, cell, health)
}

func (c *Client) pushHealth(ctx context.Context, cell Cell, health Health, output string) error {
	return c.call(ctx, &c.home, "push the health of "+cell.ID(), c.cfg.Timeout, func(ctx context.Context, consul *api.Client) error {
		return consul.Agent().UpdateTTLOpts(cell.CheckID(), output, string(health), (&api.QueryOptions{}).WithContext(ctx))
	})
}

// Deregister takes a registration away wherever it is: from each agent that can
// be reached and has it, then from the catalog. An agent that lives but can't be
// reached puts it back within minutes; it drops the cell itself when it was
// critical for half an hour. An id that nobody knows is no error.
func (c *Client) Deregister(ctx context.Context, id string) error {
	if err := checkName("registration", id); err != nil {
		return err
	}
	for at, e := range c.endpoints {
		known, err := c.deregisterAt(ctx, at, id, c.brief())
		if err != nil {
			c.log.DebugContext(ctx, "agent not asked to deregister", "agent", e.address, "id", id, "err", err)
		} else if known {
			c.forget(id)
		}
	}
	if err := c.deregisterCatalog(ctx, id); err != nil {
		return fmt.Errorf("deregister %s: %w", id, err)
	}
	return nil
}

// forget drops what is known of where a cell was registered.
func (c *Client) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.strays, id)
}

// deregisterAt asks one agent, and says whether it had the registration.
func (c *Client) deregisterAt(ctx context.Context, at int, id string, limit time.Duration) (bool, error) {
	err := c.attempt(ctx, at, limit, func(ctx context.Context, consul *api.Client) error {
		return consul.Agent().ServiceDeregisterOpts(id, (&api.QueryOptions{}).WithContext(ctx))
	})
	if answered, ok := errors.AsType[api.StatusError](err); ok && answered.Code == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

// deregisterCatalog removes what agents beyond reach have left in the catalog.
func (c *Client) deregisterCatalog(ctx context.Context, id string) error {
	var services map[string][]string
	err := c.call(ctx, &c.anywhere, "list services", c.cfg.Timeout, func(ctx context.Context, consul *api.Client) (err error) {
		services, _, err = consul.Catalog().Services(query(ctx))
		return err
	})
	if err != nil {
		return err
	}
	for service, tags := range services {
		for _, one := range tags {
			if one == tag {
				err = errors.Join(err, c.deregisterNodes(ctx, service, id))
			}
		}
	}
	return err
}

// deregisterNodes removes a registration of a service from every node that the
// catalog lists it for.
func (c *Client) deregisterNodes(ctx context.Context, service, id string) error {
	var found []*api.CatalogService
	err := c.call(ctx, &c.anywhere, "list "+service, c.cfg.Timeout, func(ctx context.Context, consul *api.Client) (err error) {
		q := query(ctx)
		q.Filter = fmt.Sprintf("ServiceID == %q", id)
		found, _, err = consul.Catalog().Service(service, tag, q)
		return err
	})
	for _, one := range found {
		err = errors.Join(err, c.call(ctx, &c.anywhere, "deregister from node "+one.Node, c.cfg.Timeout, func(ctx context.Context, consul *api.Client) error {
			_, err := consul.Catalog().Deregister(&api.CatalogDeregistration{Node: one.Node, ServiceID: id}, write(ctx))
			return err
		}))
	}
	return err
}
