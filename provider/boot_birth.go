package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/boot"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// bootBirth is one run of Create for a cell whose machine makes it at its first
// boot.
type bootBirth struct {
	*settings
	model  *cellModel
	spec   birth.Spec
	ticket boot.Ticket
	limit  time.Duration
	save   func() error

	secrets map[string]string
	member  *fleet.Member
	// begun is set once the machine is waited for, lives where the cell is registered
	// by this very life, spoilt once its ticket is void.
	begun, lives, spoilt bool
	second               string    // another machine came with the ticket after one was answered
	heard                time.Time // when the machine's last word came
	console              []string
}

// createByBoot is Create for such a cell.
func (r *cellResource) createByBoot(ctx context.Context, resp *resource.CreateResponse, s *settings, plan *cellModel) {
	limit, diags := plan.Timeouts.Create(ctx, defaultCreate)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ticket := plan.bootTicket()
	b := &bootBirth{
		settings: s, model: plan, limit: limit, ticket: ticket,
		spec: birth.Spec{Service: ticket.Service, Name: ticket.Name, Incarnation: ticket.Incarnation},
	}
	b.save = func() error {
		plan.settle()
		d := resp.State.Set(ctx, plan)
		resp.Diagnostics.Append(d...)
		return asError(d)
	}
	err := b.run(ctx)
	if b.second != "" {
		resp.Diagnostics.AddWarning("A second machine came with the ticket", problem{
			Object: plan.object(), Endpoint: "machine " + plan.Boot.Machine.ValueString(), Cause: b.second, Next: rotate,
		}.String())
	}
	if err == nil {
		resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
		return
	}
	addError(&resp.Diagnostics, "Cell not born", problem{
		Object: plan.object(), Endpoint: "machine " + plan.Boot.Machine.ValueString() + ", " + s.endpoint(),
		Cause: err.Error(), Next: b.next(err), Console: b.console,
	})
}

// run goes through the phases of the birth. Each can be repeated: one that was cut
// is taken up by the next run.
func (b *bootBirth) run(ctx context.Context) error {
	b.model.Incarnation = types.StringValue(b.spec.Incarnation)
	b.model.ID = types.StringValue(cellID(b.spec.Service, b.spec.Name))
	b.model.Host = b.model.Boot.Machine
	if err := b.save(); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, b.limit, fmt.Errorf("it took longer than timeouts.create = %v", b.limit))
	defer cancel()
	for _, step := range []birthStep{
		{name: "find out whose life it is", do: b.check},
		{name: "wait for the machine", do: b.receive},
		{name: "wait until it is passing", do: b.await},
	} {
		began := time.Now()
		if err := step.do(bounded); err != nil {
			return b.failed(ctx, fmt.Errorf("%s: %w", step.name, err))
		}
		tflog.Info(ctx, "birth", map[string]any{"cell": b.spec.ID(), "phase": step.name, "seconds": time.Since(began).Seconds()})
	}
	b.tell()
	return nil
}

// rotate is what to do about a second machine.
const rotate = "if an earlier Terraform, which was cut, has ordered it, there is nothing to do: it ends itself. " +
	"Else somebody has read the ticket, and the first machine may be theirs: destroy the cell, and rotate the secrets that it was given"

// errLifeOver says that the ticket's machine was the cell, and has left.
var errLifeOver = errors.New("the machine that came with this ticket was this cell, and has left or was removed")

// check refuses what could only be waited for in vain, and finds a cell that an
// earlier run has waited for. While Consul is away it waits, as receive does.
func (b *bootBirth) check(ctx context.Context) (err error) {
	if b.secrets, err = readSecrets(ctx, b.model.Boot.Secrets); err != nil {
		return err
	}
	for {
		err := b.checkLife(ctx)
		if !errors.Is(err, fleet.ErrUnreachable) || ctx.Err() != nil {
			return err
		}
		tflog.Warn(ctx, "Consul is waited for", map[string]any{"cell": b.spec.ID(), "error": err.Error()})
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(awaitMost):
		}
	}
}

// checkLife is check as far as Consul tells.
func (b *bootBirth) checkLife(ctx context.Context) error {
	over, err := b.lifeOver(ctx, b.spec)
	if err != nil {
		return err
	}
	if over {
		b.begun = true
		return fmt.Errorf("%s: %w", b.spec.ID(), errLifeOver)
	}
	member, err := b.fleet.Member(ctx, b.spec.Service, b.spec.Name)
	if err == nil && member.Health != fleet.Critical && member.Incarnation != b.spec.Incarnation {
		return fmt.Errorf("it runs already: %s is %s in Consul, registered at %s; if no state holds it, give this cell another name",
			member.ID(), member.Health, member.Address)
	}
	if errors.Is(err, fleet.ErrNotFound) {
		return nil
	}
	b.lives = err == nil && b.alive(member)
	return err
}

// alive reports whether a registration is of this very life, and heard.
func (b *bootBirth) alive(member *fleet.Member) bool {
	return member != nil && member.Incarnation == b.spec.Incarnation && member.Health != fleet.Critical
}

// receive waits for the machine and hands it its secrets. A cell that lives already,
// whatever is noted of its ticket, was handed them by an earlier run.
func (b *bootBirth) receive(ctx context.Context) error {
	b.begun = true
	if b.lives {
		return boot.Settle(ctx, b.fleet, b.ticket, b.model.Boot.awaited())
	}
	return boot.Receive(ctx, b.fleet, b.ticket, b.model.Boot.awaited(), b.secrets, func(p boot.Progress) {
		b.heard = time.Now()
		if p.Second {
			b.second = p.Step
		}
		tflog.Info(ctx, "on the machine", map[string]any{"machine": b.model.Boot.Machine.ValueString(), "says": p.String()})
	})
}

// await returns when the cell's own sidecar has pushed passing.
func (b *bootBirth) await(ctx context.Context) (err error) {
	b.member, err = b.awaitPassing(ctx, b.spec)
	return err
}

// failed makes the ticket void, unless the birth can be taken up, since it was
// interrupted or the cell lives: a machine that has not become a cell then ends
// itself.
func (b *bootBirth) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil || !b.begun {
		return err
	}
	if !b.heard.IsZero() {
		err = fmt.Errorf("%w\nThe machine was heard last %v ago.", err, time.Since(b.heard).Round(time.Second)) //nolint:revive,staticcheck // a line of its own for people
	}
	ctx, cancel := context.WithTimeout(ctx, clearLimit)
	defer cancel()
	b.console = readConsole(ctx, b.model.Boot.console(ctx), append(slices.Collect(maps.Values(b.secrets)), b.ticket.Token))
	if b.lives = b.stillLives(ctx, err); b.lives {
		return err
	}
	if revoked := boot.Revoke(ctx, b.fleet, b.ticket); revoked != nil {
		return fmt.Errorf("%w\nand its ticket was not revoked: %w", err, revoked)
	}
	b.spoilt = true
	return err
}

// stillLives reports whether the cell of a birth that failed lives all the same, and
// only came too late. Where that can't be asked it may, so that nothing is made void.
// A registration that nobody speaks for is taken away: a cell that lives comes back
// with its next word.
func (b *bootBirth) stillLives(ctx context.Context, failed error) bool {
	if errors.Is(failed, errLifeOver) || errors.Is(failed, boot.ErrUsed) {
		return false
	}
	member, err := b.living(ctx, b.spec)
	if err != nil || b.alive(member) {
		return true
	}
	if member != nil && b.lost(ctx, *member) {
		return b.fleet.Deregister(ctx, b.spec.ID()) != nil
	}
	return false
}

// next says what to do about a birth that failed.
func (b *bootBirth) next(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "apply again: the birth is taken up where it is"
	case errors.Is(err, errLifeOver):
		return "apply again: its ticket is void now, so that ticket and machine are made anew. To have that at once another time, replace the ticket instead of cell or machine: " +
			"terraform apply -replace='ADDRESS', that of this cell's homeostat_join"
	case b.lives:
		return "apply again: its birth is taken up where it is"
	case errors.Is(err, boot.ErrUnknown):
		return "see that join is the homeostat_join of this very cell, and apply again: another ticket is issued, and with it another machine is made"
	case b.spoilt:
		return "put that right and apply again: the ticket is void, so another one is issued, and with it another machine is made"
	case b.begun:
		return "put that right and replace the ticket, and with it the machine: terraform apply -replace=ADDRESS, that of this cell's homeostat_join"
	}
	return "put that right and apply again: the machine is still waited for until its ticket has expired"
}

// tell fills in who the cell is, as its sidecar registered it.
func (b *bootBirth) tell() {
	m := b.member
	b.model.BornAt = types.StringValue(m.BornAt.UTC().Format(time.RFC3339Nano))
	if m.Parent != "" || m.Reason != "" || m.Generation != 0 {
		b.model.Parent, b.model.Reason = textOrNull(m.Parent), textOrNull(m.Reason)
		b.model.Generation = types.Int64Value(int64(m.Generation))
	}
	b.model.tellMember(m)
	b.model.Status = types.StringValue(statusRunning)
}
