package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/remote"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// createOnMachine is Create for a cell on a machine of its own.
func (r *cellResource) createOnMachine(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse, s *settings, plan *cellModel) {
	limit, diags := plan.Timeouts.Create(ctx, defaultCreate)
	resp.Diagnostics.Append(diags...)
	// What is write-only stands in the configuration alone.
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("ssh").AtName("private_key"), &plan.SSH.PrivateKey)...)
	if resp.Diagnostics.HasError() {
		return
	}
	ssh := *plan.SSH
	plan.SSH.PrivateKey = types.StringNull()
	b := &machineBirth{
		settings: s, model: plan, ssh: &ssh, limit: limit,
		spec: birth.Spec{Service: plan.Service.ValueString(), Name: plan.Name.ValueString()},
	}
	b.save = func() error {
		plan.settle()
		d := resp.State.Set(ctx, plan)
		resp.Diagnostics.Append(d...)
		return asError(d)
	}
	err := b.run(ctx)
	if err == nil {
		resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
		return
	}
	if b.nothingLeft {
		resp.State.RemoveResource(ctx)
	}
	addError(&resp.Diagnostics, "Cell not born", problem{
		Object: plan.object(), Endpoint: b.endpoint(), Cause: err.Error(), Next: b.next(err),
	})
}

// next says what to do about a birth that failed.
func (b *machineBirth) next(err error) string {
	var used *fleet.PoolUsedUpError
	switch {
	case errors.As(err, &used):
		return "add machines to the pool, or look at those that are lost and return them: homeostat hosts"
	case errors.Is(err, context.Canceled):
		return "apply again: the cell stands in the state as tainted, and what is on its machine is taken off first"
	case b.shut:
		return "look at that machine: it is used no more until you return it: homeostat hosts -return " + b.host.Address
	case b.nothingLeft:
		return "put that right and apply again; nothing of this birth is left"
	}
	return "put that right and apply again: the cell stands in the state as tainted, and its remains are taken off first"
}

// readOnMachine finds out what has become of a cell on a machine of its own. Nobody
// gets in there any more, so it is known by what Consul says: it is gone when it
// has left by order, or when its machine was given to another. One that isn't heard
// may live: whether it is dead is for its service's leader to judge, and a Consul
// that has lost its data says nothing.
func (s *settings) readOnMachine(ctx context.Context, state *cellModel) (gone bool, err error) {
	service, name, incarnation := state.Service.ValueString(), state.Name.ValueString(), state.Incarnation.ValueString()
	member, err := s.fleet.Member(ctx, service, name)
	if err != nil && !errors.Is(err, fleet.ErrNotFound) {
		return false, err
	}
	cell := fleet.Cell{Service: service, Name: name, Incarnation: incarnation}
	address := state.Host.ValueString()
	if member != nil && member.Incarnation == incarnation {
		state.tellMember(member)
		if address == "" || state.Boot != nil {
			return false, nil
		}
		return false, s.fleet.RestoreHost(ctx, address, cell)
	}
	if left, err := s.fleet.HasLeft(ctx, service, cell); err != nil || left {
		return left, err
	}
	if state.Boot != nil {
		return false, nil // whether there is a machine is told by who made it
	}
	hosts, err := s.fleet.Hosts(ctx)
	if err != nil {
		return false, err
	}
	for _, h := range hosts {
		if h.Address == address {
			return h.CellID() != cell.ID() || h.Service != service, nil
		}
	}
	return false, nil
}

// readFromConsul is Read for such a cell.
func (r *cellResource) readFromConsul(ctx context.Context, s *settings, state *cellModel, resp *resource.ReadResponse) {
	gone, err := s.readOnMachine(ctx, state)
	switch {
	case err != nil:
		addReadError(&resp.Diagnostics, s, state, err)
	case gone:
		resp.State.RemoveResource(ctx)
	default:
		resp.Diagnostics.Append(resp.State.Set(ctx, state)...)
	}
}

// addReadError says why a cell on a machine of its own couldn't be read; nil says
// nothing.
func addReadError(diags *diag.Diagnostics, s *settings, state *cellModel, err error) {
	if err == nil {
		return
	}
	addError(diags, "Cell not read", problem{
		Object: state.object(), Endpoint: s.endpoint(), Cause: err.Error(),
		Next: "put that right and try again; nothing was changed, and the cell stays in the state",
	})
}

// removeFromMachine has a cell leave, and says in the pool what its machine can be
// used for. A cell that doesn't answer within the time is given up with its
// machine, and the warning returned says so.
func (s *settings) removeFromMachine(ctx context.Context, state *cellModel) (warning string, err error) {
	service := state.Service.ValueString()
	cell := fleet.Cell{Service: service, Name: state.Name.ValueString(), Incarnation: state.Incarnation.ValueString()}
	host := state.Host.ValueString()
	if host == "" || cell.Incarnation == "" {
		return "", nil // it was never begun
	}
	sealed, err := s.isSealed(ctx, state, cell)
	if err != nil {
		return "", err
	}
	waiting, cancel, err := s.untilLeft(ctx, service, cell)
	defer cancel()
	if err != nil {
		return "", err
	}
	if !sealed {
		cleared := s.clearUnsealed(waiting, state, cell)
		if cleared == nil || errors.Is(ctx.Err(), context.Canceled) {
			return "", cleared
		}
		tflog.Warn(ctx, "an unsealed cell's machine could not be entered; ordering the cell to leave", map[string]any{"cell": cell.ID(), "cause": cleared.Error()})
	}
	order := fleet.LeaveOrder{
		Cell: cell.Name, Incarnation: cell.Incarnation, Reuse: true, // if its birth was told so
		Reason: "removed by Terraform", By: "terraform on " + s.births.Host().Name,
	}
	if err := s.fleet.OrderLeave(ctx, service, order); err != nil {
		return "", err
	}
	reusable := false
	err = s.fleet.AwaitLeft(waiting, service, cell.Name, cell.Incarnation, func(a fleet.LeaveAnswer) {
		reusable = a.Reusable
		tflog.Info(ctx, "leaving", map[string]any{"cell": cell.ID(), "phase": string(a.Phase)})
	})
	if errors.Is(err, fleet.ErrNotLeft) || errors.Is(ctx.Err(), context.Canceled) {
		return "", err
	}
	return s.settleHost(context.WithoutCancel(ctx), state, cell, reusable, err)
}

// isSealed reports whether the door behind a cell was shut. Of one that was imported
// the claim on its machine says so.
func (s *settings) isSealed(ctx context.Context, state *cellModel, cell fleet.Cell) (bool, error) {
	if !state.SealedAt.IsNull() || state.SSH == nil {
		return true, nil
	}
	held, err := s.fleet.HostOf(ctx, cell.Service, cell.Name)
	return err == nil && held != nil && held.Born && held.Incarnation == cell.Incarnation, err
}

// clearUnsealed takes a cell off a machine whose door a cut birth left open. A machine
// that refuses may be shut after all, and is given up soon; one that can't be reached
// is waited for, but so that time is left for the cell to leave by itself.
func (s *settings) clearUnsealed(ctx context.Context, state *cellModel, cell fleet.Cell) error {
	config, err := state.SSH.config(ctx, state.Host.ValueString(), cell.ID())
	if err != nil {
		return err
	}
	b := &machineBirth{
		settings: s, model: state, ssh: state.SSH, config: config, begun: true,
		spec: birth.Spec{Service: cell.Service, Name: cell.Name, Incarnation: cell.Incarnation},
		host: fleet.Host{Address: state.Host.ValueString()},
	}
	enough := time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		enough = enough.Add(time.Until(deadline) / 2)
	}
	for {
		trying, cancel := context.WithTimeout(ctx, clearLimit/4)
		err := b.clear(trying, nil)
		unreached := trying.Err() != nil
		cancel()
		var refused *remote.RefusedError
		if err == nil || !unreached || ctx.Err() != nil || errors.As(err, &refused) || time.Now().After(enough) {
			return err
		}
	}
}

// settleHost writes down what the machine of a cell that was to leave can be used
// for, which the cell itself has said.
func (s *settings) settleHost(ctx context.Context, state *cellModel, cell fleet.Cell, reusable bool, left error) (warning string, err error) {
	host := state.Host.ValueString()
	ctx, cancel := context.WithTimeout(ctx, clearLimit/4)
	defer cancel()
	tombstone := fleet.Tombstone{Cell: cell.Name, Incarnation: cell.Incarnation, By: "terraform on " + s.births.Host().Name, Reason: "removed by Terraform"}
	if err := s.fleet.Tombstone(ctx, cell.Service, tombstone); err != nil {
		return "", err
	}
	if err := s.fleet.Deregister(ctx, cell.ID()); err != nil {
		return "", err
	}
	switch {
	case left != nil:
		warning = fmt.Sprintf("%s didn't answer the order to leave (%v). What runs on its machine %s isn't known: the machine is used no more until a person has looked.", cell.ID(), left, host)
		return warning, s.fleet.SpendHost(ctx, host, fleet.HostLost, "its cell didn't answer the order to leave", cell)
	case reusable:
		return "", s.fleet.FreeHost(ctx, host, cell)
	}
	return "", s.fleet.SpendHost(ctx, host, fleet.HostSpent, "its cell has left and the door stays shut", cell)
}
