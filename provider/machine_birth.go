package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/remote"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// machineBirth is one run of Create for a cell on a machine of a pool.
type machineBirth struct {
	*settings
	model *cellModel
	ssh   *sshModel
	spec  birth.Spec
	limit time.Duration
	save  func() error

	published *fleet.Published
	cached    *bundle.Cached
	host      fleet.Host
	config    remote.Config
	secrets   map[string]string
	machine   *remote.Machine
	member    *fleet.Member
	// tried is set once the machine was asked to let the birth in, begun once it may
	// hold something of the cell, installed once it is there, shut once its door may
	// be: then maybe nobody gets in to clear it away. born is set when it was found
	// born, by an earlier run that was cut before Terraform knew.
	tried, begun, installed, shut, born bool
	nothingLeft                         bool
}

// birthStep is one phase of a birth. It has until timeouts.create is over, and at
// least the time that is given.
type birthStep struct {
	name  string
	do    func(context.Context) error
	least time.Duration
}

// run goes through the phases of a birth. Each can be repeated: a birth that was
// cut is taken up by the next run under the same name and incarnation.
func (b *machineBirth) run(ctx context.Context) error {
	began := time.Now()
	defer b.close()
	for _, step := range []birthStep{
		{name: "choose a machine", do: b.choose},
		{name: "fetch what is published", do: b.fetch},
		{name: "get in", do: b.enter},
		{name: "bring what it lacks", do: b.through(b.bring)},
		{name: "install", do: b.through(b.install)},
		{name: "wait until it is passing", do: b.await},
		{name: "shut the door", do: b.seal, least: sealLimit},
	} {
		if err := b.phase(ctx, step, b.limit-time.Since(began)); err != nil {
			return b.failed(ctx, fmt.Errorf("%s: %w", step.name, err))
		}
	}
	if err := b.fleet.BornOnHost(ctx, b.host.Address, b.cell()); err != nil {
		// Its birth is over all the same. Without the note a later birth of that
		// name, by somebody who has lost the state, takes this life up.
		tflog.Warn(ctx, "the claim on the machine doesn't say that the cell is born", map[string]any{"cell": b.spec.ID(), "cause": err.Error()})
	}
	b.tell()
	return nil
}

// phase runs one step within its time.
func (b *machineBirth) phase(ctx context.Context, step birthStep, left time.Duration) error {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, max(left, step.least), fmt.Errorf("it took longer than timeouts.create = %v", b.limit))
	defer cancel()
	err := step.do(ctx)
	if err == nil {
		tflog.Info(ctx, "birth", map[string]any{"cell": b.spec.ID(), "phase": step.name, "seconds": time.Since(began).Seconds()})
	}
	return err
}

// choose finds out which life of the cell this is to be and claims a machine for
// it. A run that ends by itself has that in the state; one that is killed leaves
// the claim, by which the next finds it.
func (b *machineBirth) choose(ctx context.Context) error {
	claim, err := b.fleet.HostOf(ctx, b.spec.Service, b.spec.Name)
	if err == nil {
		err = b.conceive(ctx, claim)
	}
	if err != nil {
		b.nothingLeft = true
		return err
	}
	b.begun = claim != nil
	host, err := b.fleet.ClaimHost(ctx, b.ssh.pool(), fleet.Cell{Service: b.spec.Service, Name: b.spec.Name, Incarnation: b.spec.Incarnation})
	if err != nil {
		b.nothingLeft = claim == nil
		return err
	}
	b.host = host
	b.model.Incarnation = types.StringValue(b.spec.Incarnation)
	b.model.ID = types.StringValue(cellID(b.spec.Service, b.spec.Name))
	b.model.Host = types.StringValue(host.Address)
	return b.save()
}

// conceive names the life: as the leader's order does, else as the claim of a
// birth that was cut does, else anew. What was done is never taken for cut where no
// order names it: that no state holds it can't be told from here.
func (b *machineBirth) conceive(ctx context.Context, claim *fleet.Host) error {
	var err error
	if b.published, err = b.fleet.Published(ctx, b.spec.Service); err != nil {
		return err
	}
	if b.published == nil {
		return fmt.Errorf("nothing is published for %s: a machine is made from what 'homeostat publish %[1]s' has stored", b.spec.Service)
	}
	b.spec.Bundle, b.spec.Genome = b.published.Bundle, b.published.Genome
	b.spec.BornAt = time.Now().Truncate(time.Millisecond)
	member, err := b.fleet.Member(ctx, b.spec.Service, b.spec.Name)
	if err != nil && !errors.Is(err, fleet.ErrNotFound) {
		return err
	}
	newborn, err := ordered(ctx, b.fleet, b.spec)
	if err != nil {
		return err
	}
	switch {
	case newborn != nil:
		b.spec.Incarnation = newborn.Incarnation
		b.spec.Lineage = birth.Lineage{Parent: newborn.Parent, Generation: newborn.Generation, Reason: newborn.Reason}
	case claim != nil && !claim.Born:
		b.spec.Incarnation = claim.Incarnation
	default:
		if b.spec.Incarnation, err = birth.NewIncarnation(time.Now(), rand.Reader); err != nil {
			return err
		}
	}
	if member != nil && member.Health != fleet.Critical && member.Incarnation != b.spec.Incarnation {
		return fmt.Errorf("it runs already: %s is %s in Consul, registered at %s; if no state holds it, import it or give this cell another name",
			member.ID(), member.Health, member.Address)
	}
	return b.fleet.TakeUp(ctx, b.spec.Service, b.cell())
}

// close ends the connection, after which the keys of this run are no more.
func (b *machineBirth) close() {
	if b.machine != nil {
		_ = b.machine.Close() // it says why it was closed, which is this
	}
}

// tell fills in who the cell is.
func (b *machineBirth) tell() {
	b.model.BornAt = types.StringValue(b.spec.BornAt.UTC().Format(time.RFC3339Nano))
	if b.spec.Lineage != (birth.Lineage{}) {
		b.model.Parent = textOrNull(b.spec.Lineage.Parent)
		b.model.Generation = types.Int64Value(int64(b.spec.Lineage.Generation))
		b.model.Reason = textOrNull(b.spec.Lineage.Reason)
	}
	b.model.tellMember(b.member)
	b.model.Status = types.StringValue(statusRunning)
}

// endpoint names where a birth was met in a diagnostic.
func (b *machineBirth) endpoint() string {
	parts := []string{b.settings.endpoint()}
	if b.host.Address != "" {
		parts = append([]string{"machine " + b.host.Address}, parts...)
	}
	return strings.Join(parts, ", ")
}
