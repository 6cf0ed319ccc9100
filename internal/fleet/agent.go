package fleet

import (
	"context"
	"time"

	"github.com/hashicorp/consul/api"
)

// Agent is one of a client's addresses, for what is not the cluster's to say but
// one agent's.
type Agent struct {
	c  *Client
	at int
}

// Agents are the client's addresses one by one.
func (c *Client) Agents() []Agent {
	all := make([]Agent, len(c.endpoints))
	for i := range all {
		all[i] = Agent{c: c, at: i}
	}
	return all
}

// Address is the agent's address, as the client was given it.
func (a Agent) Address() string { return a.c.endpoints[a.at].address }

// Ask makes a request of this agent alone, with the connections, credentials and
// limits of the client. While the agent is busy it is asked again, and so the
// request may be made more than once. The error is Consul's own, such as an
// api.StatusError for what isn't found.
func (a Agent) Ask(ctx context.Context, request func(context.Context, *api.Client) error) error {
	return a.c.patiently(ctx, a.c.cfg.Timeout, func(limit time.Duration) error {
		return a.c.attempt(ctx, a.at, limit, request)
	})
}
