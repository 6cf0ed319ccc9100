package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// conceive finds out which life of the cell this is to be: the one that the
// leader's order names, else a birth on this host that was cut, else a new one.
// It returns the ids of earlier lives that may still be registered.
func (c *creation) conceive(ctx context.Context) ([]string, error) {
	sight, err := c.births.Look(c.spec.Service, c.spec.Name)
	if err != nil {
		return nil, err
	}
	newborn, err := c.ordered(ctx)
	if err != nil {
		return nil, err
	}
	member, err := c.fleet.Member(ctx, c.spec.Service, c.spec.Name)
	if err != nil && !errors.Is(err, fleet.ErrNotFound) {
		return nil, err
	}
	if err := c.unclaimed(sight, newborn, member); err != nil {
		return nil, err
	}
	c.spec.BornAt = time.Now().Truncate(time.Millisecond)
	switch cut := c.cut(sight); {
	case newborn != nil:
		c.spec.Incarnation = newborn.Incarnation
		c.spec.Lineage = birth.Lineage{Parent: newborn.Parent, Generation: newborn.Generation, Reason: newborn.Reason}
	case cut != nil:
		c.spec.Incarnation, c.spec.Lineage = cut.Incarnation, cut.Lineage
	default:
		if c.spec.Incarnation, err = birth.NewIncarnation(time.Now(), rand.Reader); err != nil {
			return nil, err
		}
	}
	return formerLives(sight, member), nil
}

// ordered is what the leader's order says of this cell; nil when there is no
// record or the order doesn't name it, as when a person applies.
func (c *creation) ordered(ctx context.Context) (*fleet.Newborn, error) {
	record, _, err := c.fleet.Record(ctx, c.spec.Service)
	if errors.Is(err, fleet.ErrNoRecord) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, order := range slices.Backward(record.Orders) {
		for _, n := range order.Add {
			if n.Name == c.spec.Name && n.Incarnation != "" {
				return &n, nil
			}
		}
	}
	return nil, nil
}

// cut returns the record of a birth that no state has: it was cut before it was
// done, or Terraform was before it could write down that it was.
func (c *creation) cut(sight birth.Sight) *birth.Record {
	r := sight.Record
	if r == nil || r.Phase == birth.Ended || r.Phase == birth.Born && c.births.Kept(r.Service, r.Name) {
		return nil
	}
	return r
}

// unclaimed returns an error when the cell runs already and is somebody's. An
// order of the leader's decides over what runs on this host, a person's apply
// doesn't.
func (c *creation) unclaimed(sight birth.Sight, newborn *fleet.Newborn, member *fleet.Member) error {
	here := c.births.Host()
	if newborn == nil && sight.Condition == birth.Alive && c.cut(sight) == nil {
		return fmt.Errorf("it runs already on this host, since %s, and belongs to a Terraform state; import it with 'terraform import ADDRESS %s', or give this one another name",
			sight.Record.BornAt.UTC().Format(time.RFC3339), cellID(c.spec.Service, c.spec.Name))
	}
	if member == nil || member.Health == fleet.Critical || sight.Record != nil {
		return nil
	}
	if member.Machine != "" && member.Machine != here.Machine {
		return fmt.Errorf("it runs already on another host: %s is %s in Consul, registered at %s:%d by machine id %s, and this is machine id %s",
			member.ID(), member.Health, member.Address, member.Port, member.Machine, here.Machine)
	}
	stray, err := c.births.Stray(member.ID())
	if err == nil && stray {
		err = fmt.Errorf("it runs already on this host as %s, but the state directory %s has no record of it; was it born under another state_directory?", member.ID(), c.births.Directory())
	}
	return err
}

// formerLives are the ids under which lives that are over, or are about to be,
// may be registered.
func formerLives(sight birth.Sight, member *fleet.Member) []string {
	var ids []string
	if sight.Record != nil {
		ids = append(ids, sight.Record.ID())
	}
	if member != nil {
		ids = append(append(ids, member.ID()), member.Older...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
