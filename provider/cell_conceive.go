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
	newborn, err := ordered(ctx, c.fleet, c.spec)
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
	published, err := c.fleet.Published(ctx, c.spec.Service)
	if err != nil {
		return nil, err
	}
	if published != nil {
		c.spec.Bundle, c.spec.Genome = published.Bundle, published.Genome
	}
	c.spec.BornAt = time.Now().Truncate(time.Millisecond)
	switch cut := cut(sight); {
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
func ordered(ctx context.Context, client *fleet.Client, spec birth.Spec) (*fleet.Newborn, error) {
	record, _, err := client.Record(ctx, spec.Service)
	if errors.Is(err, fleet.ErrNoRecord) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, order := range slices.Backward(record.Orders) {
		for _, n := range order.Add {
			if n.Name == spec.Name && n.Incarnation != "" {
				return &n, nil
			}
		}
	}
	return nil, nil
}

// cut returns the record of a birth that was cut before the cell was passing.
// One that was done is never taken for cut: that no state holds the cell can't
// be told from here, since Terraform says nothing to its provider after it has
// written the state.
func cut(sight birth.Sight) *birth.Record {
	if sight.Record == nil || sight.Record.Phase != birth.Starting {
		return nil
	}
	return sight.Record
}

// unclaimed returns an error when the cell runs already and is somebody's, here
// or elsewhere.
func (c *creation) unclaimed(sight birth.Sight, newborn *fleet.Newborn, member *fleet.Member) error {
	here := c.births.Host()
	if err := claimed(c.spec, sight, newborn); err != nil {
		return err
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

// claimed returns an error when what runs of the name on this host was born for
// somebody else. A person's apply takes up nothing whose birth was done. An
// order of the leader's takes up the very life that it names, as when Terraform
// was cut before the state held it, and replaces one whose sidecar has died; it
// ends no living one, which is for the state that holds it to do.
func claimed(spec birth.Spec, sight birth.Sight, newborn *fleet.Newborn) error {
	r := sight.Record
	if r == nil || r.Phase != birth.Born || sight.Condition == birth.Gone || newborn != nil && sight.Condition == birth.Dead {
		return nil
	}
	cell, runs := cellID(spec.Service, spec.Name), fmt.Sprintf("it runs already on this host as %s, since %s, ", r.ID(), r.BornAt.UTC().Format(time.RFC3339))
	last := fmt.Sprintf("; if no state holds it, import it with 'terraform import ADDRESS %s'", cell)
	if newborn == nil {
		return errors.New(runs + "and belongs to a Terraform state: apply where that state is, or give this one another name" + last)
	}
	spec.Incarnation = newborn.Incarnation
	switch {
	case r.Incarnation != newborn.Incarnation:
		return fmt.Errorf("%sand the leader's order names %s: end the one that runs with the state that holds it%s", runs, spec.ID(), last)
	case !r.Of(spec):
		return fmt.Errorf("%sas the leader's order names it, but with another command, environment or directory than these: apply what it was born with%s", runs, last)
	}
	return nil
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
