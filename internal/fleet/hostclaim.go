package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// PoolUsedUpError says that no host of a pool is free, and what has become of each.
type PoolUsedUpError struct{ Hosts []Host }

func (e *PoolUsedUpError) Error() string {
	var all []string
	for _, h := range e.Hosts {
		line := fmt.Sprintf("%s is %s by %s/%s", h.Address, h.State, h.Service, h.Cell)
		if h.Reason != "" {
			line += ": " + h.Reason
		}
		all = append(all, line)
	}
	return fmt.Sprintf("the pool of %d hosts is used up: %s", len(e.Hosts), strings.Join(all, "; "))
}

// HostOf returns the host that is held for a cell, whatever its incarnation; nil
// where there is none.
func (c *Client) HostOf(ctx context.Context, service, cell string) (*Host, error) {
	hosts, err := c.Hosts(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the host of %s/%s: %w", service, cell, err)
	}
	i := slices.IndexFunc(hosts, func(h Host) bool { return h.State == HostHeld && h.Service == service && h.Cell == cell })
	if i < 0 {
		return nil, nil
	}
	return &hosts[i], nil
}

// ClaimHost claims a free host of the pool for a cell. A cell that has one keeps
// it, whatever its incarnation: a birth that was cut goes on where it was. Where
// none is free, one is taken in which a birth has failed, the longest ago first.
func (c *Client) ClaimHost(ctx context.Context, pool []string, cell Cell) (Host, error) {
	h, err := c.claimHost(ctx, pool, cell)
	var used *PoolUsedUpError
	if err != nil && !errors.As(err, &used) {
		err = fmt.Errorf("claim a host for %s: %w", cell.ID(), err)
	}
	return h, err
}

func (c *Client) claimHost(ctx context.Context, pool []string, cell Cell) (Host, error) {
	taken, err := c.Hosts(ctx)
	if err != nil {
		return Host{}, err
	}
	if own := slices.IndexFunc(taken, func(h Host) bool {
		return h.State == HostHeld && h.Service == cell.Service && h.Cell == cell.Name
	}); own >= 0 {
		return c.renewHost(ctx, pool, taken[own], cell)
	}
	used := &PoolUsedUpError{}
	for _, h := range byClaim(pool, taken) {
		got, err := c.take(ctx, h, cell)
		if err != nil {
			return Host{}, err
		}
		if got != nil {
			return *got, nil
		}
		if h.State == "" {
			h.State, h.Service, h.Cell = HostHeld, cell.Service, "another, this instant"
		}
		used.Hosts = append(used.Hosts, h)
	}
	return Host{}, used
}

// byClaim lists the hosts of a pool, those that are free first, then those in
// which births failed, the longest ago first.
func byClaim(pool []string, taken []Host) []Host {
	var all []Host
	for _, address := range pool {
		h := Host{Address: address}
		if i := slices.IndexFunc(taken, func(h Host) bool { return strings.EqualFold(h.Address, address) }); i >= 0 {
			h = taken[i]
		}
		all = append(all, h)
	}
	rank := map[string]int{"": 0, HostFailed: 1, HostHeld: 2, HostSpent: 2, HostLost: 2}
	slices.SortStableFunc(all, func(a, b Host) int {
		byRank := cmp.Compare(rank[a.State], rank[b.State])
		if byRank == 0 && a.State == HostFailed {
			return a.Since.Compare(b.Since)
		}
		return byRank
	})
	return all
}

// take claims a host that is free, or in which a birth failed; nil where somebody
// else was faster or it is none of these.
func (c *Client) take(ctx context.Context, h Host, cell Cell) (*Host, error) {
	mine := Host{Address: h.Address, State: HostHeld, Service: cell.Service, Cell: cell.Name, Incarnation: cell.Incarnation}
	var index uint64
	switch h.State {
	case "":
	case HostFailed:
		now, _, at, err := c.host(ctx, h.Address)
		if err != nil || now == nil || now.State != HostFailed {
			return nil, err
		}
		mine.Remains, index = now.Remains, at
	default:
		return nil, nil
	}
	got, err := c.casHost(ctx, mine, index)
	if err != nil || !got {
		return nil, err
	}
	return &mine, nil
}

// renewHost writes the incarnation of a new life into its cell's claim.
func (c *Client) renewHost(ctx context.Context, pool []string, h Host, cell Cell) (Host, error) {
	if !slices.ContainsFunc(pool, func(a string) bool { return strings.EqualFold(a, h.Address) }) {
		return Host{}, fmt.Errorf("host %s is held for an earlier try of this birth, and is no longer in the pool: put it back, or give it up with: homeostat hosts -return %[1]s", h.Address)
	}
	if h.Incarnation == cell.Incarnation {
		return h, nil
	}
	now, _, index, err := c.host(ctx, h.Address)
	if err != nil {
		return Host{}, err
	}
	if now == nil || !now.isOf(Cell{Service: h.Service, Name: h.Cell, Incarnation: h.Incarnation}) {
		return Host{}, fmt.Errorf("host %s: %w", h.Address, ErrConflict)
	}
	h.Remains = append(h.Remains, h.life())
	h.Incarnation, h.Born = cell.Incarnation, false
	if err := c.changeHost(ctx, h, index); err != nil {
		return Host{}, fmt.Errorf("host %s: %w", h.Address, err)
	}
	return h, nil
}

// BornOnHost notes that the birth of a cell is done.
func (c *Client) BornOnHost(ctx context.Context, address string, cell Cell) error {
	born := Host{Address: address, State: HostHeld, Service: cell.Service, Cell: cell.Name, Incarnation: cell.Incarnation, Born: true}
	was, _, index, err := c.host(ctx, address)
	if err == nil && was != nil {
		err = c.checkOf(*was, cell)
	}
	if err == nil {
		err = c.changeHost(ctx, born, index)
	}
	if err != nil {
		return fmt.Errorf("note on host %s that its cell is born: %w", address, err)
	}
	return nil
}

// FreeHost gives a host back to its pool, unless it was claimed for another life
// since. A free one is no error.
func (c *Client) FreeHost(ctx context.Context, address string, cell Cell) error {
	h, key, index, err := c.host(ctx, address)
	if err == nil && h != nil && h.isOf(cell) {
		err = c.dropHost(ctx, key, index)
	}
	if err != nil {
		return fmt.Errorf("free host %s: %w", address, err)
	}
	return nil
}

// SpendHost says that a host isn't free: as failed, spent or lost, with the
// reason. A claim for another life is left alone, and ErrConflict returned.
func (c *Client) SpendHost(ctx context.Context, address, state, reason string, cell Cell) error {
	h := Host{Address: address, State: state, Reason: reason, Service: cell.Service, Cell: cell.Name, Incarnation: cell.Incarnation}
	was, _, index, err := c.host(ctx, address)
	if err == nil && was != nil {
		h.Remains = was.Remains
		err = c.checkOf(*was, cell)
	}
	if err == nil {
		err = c.changeHost(ctx, h, index)
	}
	if err != nil {
		return fmt.Errorf("write host %s down as %s: %w", address, state, err)
	}
	return nil
}

// AbandonHost gives a host up that is held for a birth that nobody goes on with.
// Whoever is born there next takes off what may be left of it.
func (c *Client) AbandonHost(ctx context.Context, h Host, reason string) error {
	was, _, index, err := c.host(ctx, h.Address)
	if err == nil && was == nil {
		return nil
	}
	if err == nil {
		err = c.checkOf(*was, Cell{Service: h.Service, Name: h.Cell, Incarnation: h.Incarnation})
	}
	if err == nil {
		given := *was
		given.State, given.Reason, given.Remains = HostFailed, "a birth there was given up: "+reason, append(was.Remains, was.life())
		err = c.changeHost(ctx, given, index)
	}
	if err != nil {
		return fmt.Errorf("give up host %s: %w", h.Address, err)
	}
	return nil
}

// RestoreHost writes a claim again that Consul has lost: the cell lives there.
func (c *Client) RestoreHost(ctx context.Context, address string, cell Cell) error {
	_, err := c.casHost(ctx, Host{Address: address, State: HostHeld, Service: cell.Service, Cell: cell.Name, Incarnation: cell.Incarnation, Born: true}, 0)
	return err // a claim that is there is left alone
}

func (c *Client) checkOf(h Host, cell Cell) error {
	if h.isOf(cell) {
		return nil
	}
	return fmt.Errorf("it is %s by %s/%s: %w", h.State, h.Service, h.CellID(), ErrConflict)
}

func (c *Client) changeHost(ctx context.Context, h Host, index uint64) error {
	done, err := c.casHost(ctx, h, index)
	if err == nil && !done {
		err = ErrConflict
	}
	return err
}

// ReturnHost gives a machine back to its pool, as a person who has looked at it
// says. One that a cell lives on stays that cell's; one that is held for a birth of
// which nothing is heard is written down as failed, so that whoever is born there
// next takes off what may be left.
func (c *Client) ReturnHost(ctx context.Context, address string) (Host, error) {
	h, key, index, err := c.host(ctx, address)
	switch {
	case err != nil:
		return Host{}, fmt.Errorf("return host %s: %w", address, err)
	case h == nil:
		return Host{}, fmt.Errorf("return host %s: nobody has it, or it was never of a pool: %w", address, ErrNotFound)
	case h.State == HostHeld:
		err = c.returnHeld(ctx, *h)
	default:
		err = c.dropHost(ctx, key, index)
	}
	if err != nil {
		err = fmt.Errorf("return host %s: %w", address, err)
	}
	return *h, err
}

func (c *Client) returnHeld(ctx context.Context, h Host) error {
	member, err := c.Member(ctx, h.Service, h.Cell)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if member != nil && member.Incarnation == h.Incarnation && !member.Silent {
		return fmt.Errorf("%s/%s is on it", h.Service, h.CellID())
	}
	return c.AbandonHost(ctx, h, "a person said so")
}
