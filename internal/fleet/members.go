package fleet

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"
)

// ttlExpired is how Consul's output begins when a TTL ran out.
const ttlExpired = "TTL expired"

// Members returns the cells of a service, each once, by its newest incarnation,
// in the order of their names. It is a consistent read: a majority of the
// servers stands behind it. Consul out of reach is an error, never an empty
// list. A registration without a check is a member too, critical and silent.
func (c *Client) Members(ctx context.Context, service string) ([]Member, error) {
	members, _, err := c.members(ctx, service, 0)
	return members, err
}

func (c *Client) members(ctx context.Context, service string, index uint64) ([]Member, uint64, error) {
	if err := checkName("service", service); err != nil {
		return nil, 0, err
	}
	var entries []*api.ServiceEntry
	var meta *api.QueryMeta
	err := c.call(ctx, &c.anywhere, "list the cells of "+service, c.limit(index), func(ctx context.Context, consul *api.Client) (err error) {
		entries, meta, err = consul.Health().Service(service, tag, false, waiting(query(ctx), index))
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	all := make([]Member, 0, len(entries))
	for _, e := range entries {
		m, err := memberOf(e)
		if err != nil {
			c.log.WarnContext(ctx, "odd registration in Consul", "service", service, "id", e.Service.ID, "node", e.Node.Node, "err", err)
		}
		all = append(all, m)
	}
	return merge(all), meta.LastIndex, nil
}

// memberOf reads one registration. Its health is the worst of its checks, those
// of its node included: a passing check that nobody keeps up any more because
// the agent failed says nothing.
func memberOf(e *api.ServiceEntry) (Member, error) {
	cell, err := cellOf(e.Service)
	m := Member{Cell: cell, Health: Passing, Node: e.Node.Node, Agent: e.Node.Address, id: e.Service.ID, modified: e.Service.ModifyIndex}
	own := false
	for _, check := range e.Checks {
		own = own || check.CheckID == cell.CheckID() || check.ServiceID == e.Service.ID && check.Type == "ttl"
		health := healthOf(check.Status)
		if severity(health) > severity(m.Health) || m.Output == "" && check.CheckID == cell.CheckID() {
			m.Health, m.Output = health, check.Output
			m.Silent = health == Critical && (strings.HasPrefix(check.Output, ttlExpired) || check.CheckID == "serfHealth")
		}
	}
	if !own {
		m.Health, m.Silent, m.Output = Critical, true, "no health check is registered"
	}
	return m, err
}

// healthOf reads Consul's status; what isn't known is critical, maintenance too.
func healthOf(status string) Health {
	switch h := Health(status); h {
	case Passing, Warning:
		return h
	}
	return Critical
}

func severity(h Health) int {
	switch h {
	case Passing:
		return 0
	case Warning:
		return 1
	}
	return 2
}

// merge keeps of each cell the newest incarnation, and of one incarnation that
// two agents hold the one in better health, or else the one made last: the cell
// pushes to one of them only, and it takes a while until the other is seen.
func merge(all []Member) []Member {
	slices.SortFunc(all, func(a, b Member) int {
		return cmp.Or(
			cmp.Compare(a.Name, b.Name),
			b.BornAt.Compare(a.BornAt),
			cmp.Compare(b.Incarnation, a.Incarnation),
			cmp.Compare(severity(a.Health), severity(b.Health)),
			cmp.Compare(b.modified, a.modified),
			cmp.Compare(a.Node, b.Node),
		)
	})
	merged := []Member{}
	for _, m := range all {
		last := len(merged) - 1
		if last < 0 || merged[last].Name != m.Name {
			merged = append(merged, m)
			continue
		}
		newest := &merged[last]
		if m.id != newest.id && !slices.Contains(newest.Older, m.id) {
			newest.Older = append(newest.Older, m.id)
		}
	}
	return merged
}

// Member returns one cell of a service in its newest incarnation, or
// ErrNotFound.
func (c *Client) Member(ctx context.Context, service, cell string) (*Member, error) {
	members, err := c.Members(ctx, service)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.Name == cell {
			return &m, nil
		}
	}
	return nil, fmt.Errorf("find cell %s among those of %s: %w", cell, service, ErrNotFound)
}
