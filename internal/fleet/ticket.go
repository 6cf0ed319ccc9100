package fleet

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"
)

// BootTicket is the note on a ticket by which one machine may become one life of
// a cell at its first boot. The ticket's token isn't in it. Whoever runs the birth
// writes it; machines that aren't born yet may read it and no more.
type BootTicket struct {
	// ID names the ticket. It is derived from its token, which it doesn't tell.
	ID          string `json:"id"`
	Service     string `json:"service"`
	Cell        string `json:"cell"`
	Incarnation string `json:"incarnation"`
	// At is when it was issued; it is filled in. After Until no machine that comes
	// for the first time is answered.
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
	// Contact names the one machine that was answered, empty while none was.
	Contact string `json:"contact,omitempty"`
	// Machine is which one was waited for then, by its infrastructure's id, empty
	// where any would do.
	Machine string `json:"machine,omitempty"`
	// DoneAt is when that machine had installed its cell.
	DoneAt *time.Time `json:"done_at,omitempty"`
}

// Folders of the notes on tickets and of what machines and births say to each
// other. A service's name has no dot.
const (
	ticketsKey = "boot.tickets"
	joinsKey   = "boot.joins"
)

func (t *BootTicket) check() error {
	if t.ID == "" || t.Service == "" || t.Cell == "" || t.Incarnation == "" || t.Until.IsZero() {
		return errors.New("it does not name a ticket, a service, a cell, its incarnation and until when it may be used")
	}
	return nil
}

// IssueTicket notes a ticket. One that is noted already keeps its contact, and
// may be used until the new time. Notes of which nothing came, and that nobody has
// removed for TombstonesKept, are removed.
func (c *Client) IssueTicket(ctx context.Context, t BootTicket) error {
	err := errors.Join(checkName("ticket", t.ID), checkName("service", t.Service), checkName("cell", t.Cell), checkName("incarnation", t.Incarnation))
	if err == nil {
		err = t.check()
	}
	if err != nil {
		return fmt.Errorf("issue a ticket for %s: %w", t.cell(), err)
	}
	_, err = c.changeTicket(ctx, t.ID, "issue a ticket for "+t.cell(), func(was *BootTicket) (*BootTicket, error) {
		if was == nil {
			t.At = c.cfg.Now().UTC()
			was = &t
		}
		if was.cell() != t.cell() {
			return nil, fmt.Errorf("it is one for %s", was.cell())
		}
		was.Until = t.Until.UTC()
		return was, nil
	})
	if err != nil {
		return err
	}
	if err := c.sweepTickets(ctx); err != nil {
		c.log.WarnContext(ctx, "old tickets can't be removed", "err", err)
	}
	return nil
}

// SettleTicket notes that the machine of a ticket is installed, also where nothing
// is noted of it any more, since Consul has lost its data.
func (c *Client) SettleTicket(ctx context.Context, t BootTicket) error {
	if err := t.check(); err != nil {
		return fmt.Errorf("note the ticket of %s: %w", t.cell(), err)
	}
	now := c.cfg.Now().UTC()
	_, err := c.changeTicket(ctx, t.ID, "note that "+t.cell()+" is installed", func(was *BootTicket) (*BootTicket, error) {
		if was == nil {
			t.At, t.Until = now, t.Until.UTC()
			was = &t
		}
		if was.DoneAt == nil {
			was.DoneAt = &now
		}
		return was, nil
	})
	return err
}

// sweepTickets removes what is left of births whose Terraform was killed before it
// wrote its state, and what was said over tickets that are no more: a machine that
// nobody knows may come after its ticket was revoked.
func (c *Client) sweepTickets(ctx context.Context) error {
	// A ticket is noted before anything is said over it.
	spoken, err := c.joined(ctx)
	if err != nil {
		return err
	}
	all, err := list[BootTicket](ctx, c, c.allKey(ticketsKey))
	if err != nil {
		return err
	}
	for _, id := range spoken {
		if !slices.ContainsFunc(all, func(t BootTicket) bool { return t.ID == id }) {
			if err := c.ClearJoin(ctx, id); err != nil {
				return err
			}
		}
	}
	for _, t := range all {
		if t.DoneAt == nil && c.cfg.Now().Sub(t.Until) > TombstonesKept {
			// It may live all the same, and nobody has noted that.
			switch member, err := c.Member(ctx, t.Service, t.Cell); {
			case err == nil && member.Incarnation == t.Incarnation:
				continue
			case err != nil && !errors.Is(err, ErrNotFound):
				return err
			}
			if err := c.RevokeTicket(ctx, t.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// cell names what a ticket is for.
func (t *BootTicket) cell() string {
	return t.Service + "/" + Cell{Name: t.Cell, Incarnation: t.Incarnation}.ID()
}

// Ticket returns the note on a ticket, nil where there is none.
func (c *Client) Ticket(ctx context.Context, id string) (*BootTicket, error) {
	t, _, err := get[BootTicket](ctx, c, c.allKey(ticketsKey)+"/"+id)
	return t, err
}

// AdmitContact notes which machine is answered, and which was waited for, unless
// one was before, and returns the note as it stands then. It returns ErrNotFound
// where there is none.
func (c *Client) AdmitContact(ctx context.Context, id, contact, machine string) (*BootTicket, error) {
	return c.changeTicket(ctx, id, "admit a machine", func(t *BootTicket) (*BootTicket, error) {
		if t == nil {
			return nil, ErrNotFound
		}
		if t.Contact == "" {
			t.Contact, t.Machine = contact, machine
		}
		return t, nil
	})
}

// FinishTicket notes that the machine that was answered has installed its cell.
func (c *Client) FinishTicket(ctx context.Context, id string) error {
	now := c.cfg.Now().UTC()
	_, err := c.changeTicket(ctx, id, "note that a machine is installed", func(t *BootTicket) (*BootTicket, error) {
		if t == nil {
			return nil, ErrNotFound
		}
		if t.DoneAt == nil {
			t.DoneAt = &now
		}
		return t, nil
	})
	return err
}

// RevokeTicket removes the note on a ticket, and all that was said over it. That
// there is none is no error.
func (c *Client) RevokeTicket(ctx context.Context, id string) error {
	key := c.allKey(ticketsKey) + "/" + id
	if err := checkKey(key); err != nil {
		return err
	}
	return errors.Join(c.remove(ctx, key), c.ClearJoin(ctx, id))
}

// changeTicket changes a note by compare-and-set, as often as somebody else is
// faster, and returns what stands then.
func (c *Client) changeTicket(ctx context.Context, id, what string, change func(*BootTicket) (*BootTicket, error)) (*BootTicket, error) {
	key := c.allKey(ticketsKey) + "/" + id
	for {
		was, index, err := get[BootTicket](ctx, c, key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		t, err := change(was)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		text, err := encode(key, t)
		if err != nil {
			return nil, err
		}
		done, err := c.casText(ctx, what, key, text, index)
		if err != nil || done {
			return t, err
		}
	}
}

// casText writes a key if it is still that of the index; 0 means none.
func (c *Client) casText(ctx context.Context, what, key string, text []byte, index uint64) (done bool, err error) {
	err = c.call(ctx, &c.anywhere, what, c.cfg.Timeout, func(ctx context.Context, consul *api.Client) (err error) {
		done, _, err = consul.KV().CAS(&api.KVPair{Key: key, Value: text, ModifyIndex: index}, write(ctx))
		return err
	})
	if done {
		return true, nil
	}
	// One address may have taken the write and failed to answer: then it is ours.
	pair, _, lookErr := c.pair(ctx, key, 0)
	if lookErr == nil && pair != nil && bytes.Equal(pair.Value, text) {
		return true, nil
	}
	return false, cmp.Or(err, lookErr)
}
