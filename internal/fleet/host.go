package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
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
	// State is one of those below.
	State string `json:"state"`
	// Service, Cell and Incarnation are the life it was claimed for last.
	Service     string `json:"service"`
	Cell        string `json:"cell"`
	Incarnation string `json:"incarnation"`
	// Since is when it came into that state; it is filled in.
	Since time.Time `json:"since"`
	// Reason is why it isn't free, a sentence for a person.
	Reason string `json:"reason,omitempty"`
	// Born says that the cell's birth was done. Until then whoever bears a cell of
	// that name takes the life up; afterwards it is somebody's.
	Born bool `json:"born,omitempty"`
	// Remains are lives of which something may be left on the machine.
	Remains []Remains `json:"remains,omitempty"`
}

// Remains names a life of which something may be left on a machine.
type Remains struct {
	Service     string `json:"service"`
	Cell        string `json:"cell"`
	Incarnation string `json:"incarnation"`
}

// The states of a host.
const (
	// HostHeld is one in which a cell lives, or is being born.
	HostHeld = "held"
	// HostFailed is one in which a birth failed before a cell lived. It is claimed
	// again once no other is free.
	HostFailed = "failed"
	// HostSpent is one that a cell has left for good: its door stays shut.
	HostSpent = "spent"
	// HostLost is one whose cell didn't answer when it was to leave. Nobody knows
	// what runs there, so it is for a person to look.
	HostLost = "lost"
)

// poolKey holds the hosts of all services. A service's name has no dot.
const poolKey = "ssh.hosts"

func (h *Host) check() error {
	if h.Address == "" {
		return errors.New("it does not name a host")
	}
	switch h.State {
	case HostHeld, HostFailed, HostSpent, HostLost:
		return nil
	}
	return fmt.Errorf("%q is no state of a host", h.State)
}

// CellID is the life that it was claimed for.
func (h Host) CellID() string { return Cell{Name: h.Cell, Incarnation: h.Incarnation}.ID() }

// life is the one that it was claimed for.
func (h Host) life() Remains {
	return Remains{Service: h.Service, Cell: h.Cell, Incarnation: h.Incarnation}
}

// isOf reports whether the claim is for that very life.
func (h Host) isOf(cell Cell) bool {
	return h.Service == cell.Service && h.Cell == cell.Name && h.Incarnation == cell.Incarnation
}

// Hosts returns the claims on the hosts of all pools.
func (c *Client) Hosts(ctx context.Context) ([]Host, error) {
	return list[Host](ctx, c, c.allKey(poolKey))
}

// host reads the claim on one host, nil where it is free.
func (c *Client) host(ctx context.Context, address string) (h *Host, key string, index uint64, err error) {
	if key, err = c.hostKey(address); err != nil {
		return nil, "", 0, err
	}
	h, index, err = get[Host](ctx, c, key)
	return h, key, index, err
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

// dropHost removes a claim if it is still that of the index.
func (c *Client) dropHost(ctx context.Context, key string, index uint64) error {
	done := false
	err := c.call(ctx, &c.anywhere, "delete "+key, c.cfg.Timeout, func(ctx context.Context, consul *api.Client) (err error) {
		done, _, err = consul.KV().DeleteCAS(&api.KVPair{Key: key, ModifyIndex: index}, write(ctx))
		return err
	})
	if err != nil || done {
		return err
	}
	// One address may have deleted it and failed to answer.
	if pair, _, err := c.pair(ctx, key, 0); err != nil || pair == nil {
		return err
	}
	return ErrConflict
}

// hostKey is where the claim on a host lies.
func (c *Client) hostKey(address string) (string, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return "", fmt.Errorf("host %q: %w", address, err)
	}
	name := "at-" + strings.NewReplacer(":", "_", "[", "", "]", "", "%", "-").Replace(strings.ToLower(address))
	if err := checkName("host", name); err != nil {
		return "", err
	}
	return c.allKey(poolKey) + "/" + name, nil
}
