package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// Host says what a machine of a pool is used for. A host without a claim is free.
// It is written without a lock, by compare-and-set: of two births that want one
// host, one gets it.
type Host struct {
	// Address is host:port, where the machine is entered.
	Address string `json:"address"`
	// State is one of the three below.
	State string `json:"state"`
	// Service, Cell and Incarnation are the cell it was claimed for.
	Service     string `json:"service"`
	Cell        string `json:"cell"`
	Incarnation string `json:"incarnation"`
	// Since is when it came into that state; it is filled in.
	Since time.Time `json:"since"`
	// Reason is why it is lost, a sentence for a person.
	Reason string `json:"reason,omitempty"`
}

// The states of a host.
const (
	// HostHeld is one in which a cell lives, or is being born.
	HostHeld = "held"
	// HostSpent is one that a cell has left for good: its door stays shut.
	HostSpent = "spent"
	// HostLost is one whose cell didn't answer when it was to leave. Nobody knows
	// what runs there, so it is for a person to look.
	HostLost = "lost"
)

// poolKey holds the hosts of all services. A service's name has no dot.
const poolKey = "ssh.hosts"

func (h *Host) check() error {
	switch {
	case h.Address == "":
		return errors.New("it does not name a host")
	case h.State != HostHeld && h.State != HostSpent && h.State != HostLost:
		return fmt.Errorf("a host's state is %q, %q or %q, not %q", HostHeld, HostSpent, HostLost, h.State)
	}
	return nil
}

// CellID is the life that it was claimed for.
func (h Host) CellID() string { return Cell{Name: h.Cell, Incarnation: h.Incarnation}.ID() }

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

// ClaimHost claims a free host of the pool for a cell. A cell that has one keeps
// it, whatever its incarnation: a birth that was cut goes on where it was.
func (c *Client) ClaimHost(ctx context.Context, pool []string, cell Cell) (Host, error) {
	taken, err := c.Hosts(ctx)
	if err != nil {
		return Host{}, fmt.Errorf("claim a host for %s: %w", cell.ID(), err)
	}
	if own := slices.IndexFunc(taken, func(h Host) bool {
		return h.State == HostHeld && h.Service == cell.Service && h.Cell == cell.Name && slices.Contains(pool, h.Address)
	}); own >= 0 {
		return c.renewHost(ctx, taken[own], cell)
	}
	used := &PoolUsedUpError{}
	for _, address := range pool {
		if i := slices.IndexFunc(taken, func(h Host) bool { return h.Address == address }); i >= 0 {
			used.Hosts = append(used.Hosts, taken[i])
			continue
		}
		h := Host{Address: address, State: HostHeld, Service: cell.Service, Cell: cell.Name, Incarnation: cell.Incarnation}
		got, err := c.casHost(ctx, h, 0)
		if err != nil {
			return Host{}, fmt.Errorf("claim host %s for %s: %w", address, cell.ID(), err)
		}
		if got {
			return h, nil
		}
		used.Hosts = append(used.Hosts, Host{Address: address, State: HostHeld, Service: cell.Service, Cell: "another, this instant"})
	}
	return Host{}, used
}

// renewHost writes the incarnation of a new life into its cell's claim.
func (c *Client) renewHost(ctx context.Context, h Host, cell Cell) (Host, error) {
	if h.Incarnation == cell.Incarnation {
		return h, nil
	}
	h.Incarnation = cell.Incarnation
	return h, c.changeHost(ctx, h)
}

// FreeHost gives a host back to its pool, unless it was claimed for another cell
// since. A free one is no error.
func (c *Client) FreeHost(ctx context.Context, address string, cell Cell) error {
	key, err := c.hostKey(address)
	if err != nil {
		return err
	}
	h, index, err := get[Host](ctx, c, key)
	if err != nil {
		return fmt.Errorf("free host %s: %w", address, err)
	}
	if h == nil || h.Service != cell.Service || h.Cell != cell.Name {
		return nil
	}
	return c.call(ctx, &c.anywhere, "free host "+address, c.cfg.Timeout, func(ctx context.Context, consul *api.Client) error {
		_, _, err := consul.KV().DeleteCAS(&api.KVPair{Key: key, ModifyIndex: index}, write(ctx))
		return err
	})
}

// ReturnHost gives a machine that is used no more back to its pool, as a person who
// has looked at it says. One that a cell is on stays that cell's.
func (c *Client) ReturnHost(ctx context.Context, address string) (Host, error) {
	key, err := c.hostKey(address)
	if err != nil {
		return Host{}, err
	}
	h, index, err := get[Host](ctx, c, key)
	switch {
	case err != nil:
		return Host{}, fmt.Errorf("return host %s: %w", address, err)
	case h == nil:
		return Host{}, fmt.Errorf("return host %s: nobody has it, or it was never of a pool: %w", address, ErrNotFound)
	case h.State == HostHeld:
		return *h, fmt.Errorf("return host %s: %s/%s is on it", address, h.Service, h.Cell)
	}
	done := false
	err = c.call(ctx, &c.anywhere, "return host "+address, c.cfg.Timeout, func(ctx context.Context, consul *api.Client) (err error) {
		done, _, err = consul.KV().DeleteCAS(&api.KVPair{Key: key, ModifyIndex: index}, write(ctx))
		return err
	})
	if err == nil && !done {
		err = fmt.Errorf("return host %s: %w", address, ErrConflict)
	}
	return *h, err
}

// SpendHost takes a host out of its pool, as spent or as lost, with the reason.
func (c *Client) SpendHost(ctx context.Context, address, state, reason string, cell Cell) error {
	return c.changeHost(ctx, Host{
		Address: address, State: state, Service: cell.Service, Cell: cell.Name, Incarnation: cell.Incarnation, Reason: reason,
	})
}

// changeHost writes over a claim of the same cell.
func (c *Client) changeHost(ctx context.Context, h Host) error {
	key, err := c.hostKey(h.Address)
	if err != nil {
		return err
	}
	was, index, err := get[Host](ctx, c, key)
	if err != nil {
		return fmt.Errorf("change the claim on host %s: %w", h.Address, err)
	}
	if was != nil && (was.Service != h.Service || was.Cell != h.Cell) {
		return fmt.Errorf("change the claim on host %s: it is %s by %s/%s", h.Address, was.State, was.Service, was.Cell)
	}
	done, err := c.casHost(ctx, h, index)
	if err == nil && !done {
		err = ErrConflict
	}
	if err != nil {
		return fmt.Errorf("change the claim on host %s: %w", h.Address, err)
	}
	return nil
}

// casHost writes a claim if it is still that of the index; 0 means none.
func (c *Client) casHost(ctx context.Context, h Host, index uint64) (done bool, err error) {
	key, err := c.hostKey(h.Address)
	if err != nil {
		return false, err
	}
	h.Since = c.cfg.Now().UTC()
	text, err := encode(key, h)
	if err != nil {
		return false, err
	}
	return c.casText(ctx, "claim "+key, key, text, index)
}

// Hosts returns the claims on the hosts of all pools.
func (c *Client) Hosts(ctx context.Context) ([]Host, error) {
	return list[Host](ctx, c, c.allKey(poolKey))
}

// hostKey is where the claim on a host lies.
func (c *Client) hostKey(address string) (string, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return "", fmt.Errorf("host %q: %w", address, err)
	}
	name := strings.NewReplacer(":", "_", "[", "", "]", "", "%", "-").Replace(address)
	if err := checkName("host", name); err != nil {
		return "", err
	}
	return c.allKey(poolKey) + "/" + name, nil
}
