package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/localstack/ec2"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// birth is when a crawler was first seen to have got how far.
type birth struct {
	cell      string
	ordered   time.Time
	launched  time.Time // EC2 has an instance
	booted    time.Time // its machine has come with the cell's ticket
	installed time.Time // the cell's sidecar has registered
	healthy   time.Time
}

// births watches from outside how crawlers are born. Its times are exact to
// birthsEvery.
type births struct {
	began  time.Time // by a person, who gives no order
	cancel context.CancelFunc
	ended  chan struct{}

	mu  sync.Mutex
	all map[string]*birth
}

const birthsEvery = 300 * time.Millisecond

// watchBirths begins to watch.
func (d *demo) watchBirths() {
	ctx, cancel := context.WithCancel(context.Background()) // until end
	b := &births{began: time.Now(), cancel: cancel, ended: make(chan struct{}), all: map[string]*birth{}}
	d.cloud.births = b
	go func() {
		defer close(b.ended)
		for ctx.Err() == nil {
			d.lookForBirths(ctx, b)
			select {
			case <-ctx.Done():
			case <-time.After(birthsEvery):
			}
		}
	}()
}

func (b *births) end() {
	if b != nil {
		b.cancel()
		<-b.ended
	}
}

// lookForBirths looks once. What doesn't answer is asked again soon.
func (d *demo) lookForBirths(ctx context.Context, b *births) {
	record, _, recordErr := d.fleet.Record(ctx, "crawler")
	instances, instancesErr := d.cloud.ec2.Instances(ctx)
	tickets, _, ticketsErr := d.consul.KV().List("homeostat/boot.tickets/", nil)
	members, membersErr := d.fleet.Members(ctx, "crawler")
	b.mu.Lock()
	defer b.mu.Unlock()
	if recordErr == nil && record != nil {
		for _, order := range record.Orders {
			for _, newborn := range order.Add {
				b.seen(newborn.Name, func(of *birth) *time.Time { return &of.ordered }, order.Placed)
			}
		}
	}
	if instancesErr == nil {
		b.launched(instances)
	}
	if ticketsErr == nil {
		for _, pair := range tickets {
			var t fleet.BootTicket
			if err := json.Unmarshal(pair.Value, &t); err == nil {
				b.ticket(t)
			}
		}
	}
	if membersErr == nil {
		for _, m := range members {
			b.seen(m.Name, func(of *birth) *time.Time { return &of.installed }, time.Now())
			if m.Health == fleet.Passing {
				b.seen(m.Name, func(of *birth) *time.Time { return &of.healthy }, time.Now())
			}
		}
	}
}

func (b *births) launched(instances []ec2.Instance) {
	for _, i := range instances {
		if cell := i.Tag("homeostat:cell"); cell != "" && i.State == "running" {
			b.seen(cell, func(of *birth) *time.Time { return &of.launched }, time.Now())
		}
	}
}

func (b *births) ticket(t fleet.BootTicket) {
	if t.Contact != "" {
		b.seen(t.Cell, func(of *birth) *time.Time { return &of.booted }, time.Now())
	}
}

// seen notes the first time of something.
func (b *births) seen(cell string, what func(*birth) *time.Time, at time.Time) {
	of := b.all[cell]
	if of == nil {
		of = &birth{cell: cell}
		b.all[cell] = of
	}
	if t := what(of); t.IsZero() {
		*t = at
	}
}

// done are the births that have come to their end, the first one first.
func (b *births) done() []birth {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []birth
	for _, of := range b.all {
		if of.healthy.IsZero() {
			continue
		}
		whole := *of
		if whole.ordered.IsZero() {
			whole.ordered = b.began
		}
		all = append(all, whole)
	}
	slices.SortFunc(all, func(a, b birth) int { return a.healthy.Compare(b.healthy) })
	return all
}

// String says how long each phase took, in seconds.
func (b birth) String() string {
	phase := func(from, to time.Time) string {
		if from.IsZero() || to.IsZero() {
			return "?"
		}
		return fmt.Sprintf("%.1f", to.Sub(from).Seconds())
	}
	return fmt.Sprintf("%s: order=%s boot=%s install=%s healthy=%s in_all=%s", b.cell,
		phase(b.ordered, b.launched), phase(b.launched, b.booted), phase(b.booted, b.installed), phase(b.installed, b.healthy),
		phase(b.ordered, b.healthy))
}
