package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/localstack/ec2"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/boot"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// birth is when a crawler was first seen to have got how far.
type birth struct {
	cell      string
	ordered   time.Time
	launched  time.Time // EC2 has an instance
	booted    time.Time // its machine has come with the cell's ticket
	installed time.Time // it has said so, or was healthy before that was heard
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

// watchBirths begins to watch, until end.
func (d *demo) watchBirths(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
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
	said, _, saidErr := d.consul.KV().List("homeostat/boot.", nil)
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
	if saidErr == nil {
		b.heard(said)
	}
	if membersErr == nil {
		for _, m := range members {
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

// heard reads the tickets, and what machines have said that came with them: keys
// that end with boot.tickets/TICKET and boot.joins/TICKET/progress/CONTACT.
func (b *births) heard(said api.KVPairs) {
	cells := map[string]string{}
	for _, pair := range said {
		var t fleet.BootTicket
		if strings.Contains(pair.Key, "boot.tickets/") && json.Unmarshal(pair.Value, &t) == nil && t.Contact != "" {
			cells[path.Base(pair.Key)] = t.Cell
			b.seen(t.Cell, func(of *birth) *time.Time { return &of.booted }, time.Now())
		}
	}
	for _, pair := range said {
		var progress struct {
			Report struct{ Steps []boot.Progress }
		}
		if strings.Contains(pair.Key, "/progress/") && json.Unmarshal(pair.Value, &progress) == nil {
			of := b.all[cells[path.Base(path.Dir(path.Dir(pair.Key)))]]
			if steps := progress.Report.Steps; of != nil && len(steps) > 0 && of.healthy.IsZero() {
				of.installed = steps[len(steps)-1].At
			}
		}
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
		if whole.installed.IsZero() || whole.installed.After(whole.healthy) {
			whole.installed = whole.healthy
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
