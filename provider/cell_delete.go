package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool/unsent"
)

// Delete lets the cell drain, ends every process of it, takes away its
// registration and its folder, and says in Consul that it was removed. It can
// be repeated wherever it was cut.
func (r *cellResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state cellModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	limit, diags := state.Timeouts.Delete(ctx, defaultDelete)
	resp.Diagnostics.Append(diags...)
	s := settled(r.data, state.object(), &resp.Diagnostics)
	if s == nil || resp.Diagnostics.HasError() {
		return
	}
	birthplace, diags := req.Private.GetKey(ctx, birthplaceKey)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than timeouts.delete = %v", limit))
	defer cancel()
	var err error
	var warning string
	switch {
	case state.SSH != nil:
		if warning, err = s.removeFromMachine(ctx, &state); warning != "" {
			resp.Diagnostics.AddWarning("Machine lost", warning)
		}
	case state.Boot != nil:
		over, diags := req.Private.GetKey(ctx, lifeOverKey)
		resp.Diagnostics.Append(diags...)
		if warning, err = s.removeBooted(ctx, &state, isLifeOver(over)); warning != "" {
			resp.Diagnostics.AddWarning("Cell didn't leave by itself", warning)
		}
	default:
		err = s.remove(ctx, state, birthplace)
	}
	if err != nil {
		addError(&resp.Diagnostics, "Cell not removed", problem{
			Object: state.object(), Endpoint: s.here(), Cause: err.Error(),
			Next: nextStep(err, "put that right and try again: the cell stays in the state, and what is done of the removal isn't done twice"),
		})
	}
}

// remove asks everything that can refuse before it changes anything.
func (s *settings) remove(ctx context.Context, state cellModel, birthplace []byte) error {
	held, err := s.births.Hold(ctx, state.Service.ValueString(), state.Name.ValueString())
	if err != nil {
		return err
	}
	defer held.Release()
	found, err := s.find(ctx, state, birthplace)
	if err != nil {
		return err
	}
	id := state.Name.ValueString() + "." + state.Incarnation.ValueString()
	if found.Record != nil && found.Record.ID() != id && state.Incarnation.ValueString() != "" {
		// The name lives on in a later life, which isn't this state's to end.
		return s.fleet.Deregister(ctx, id)
	}
	data := state.DataDirectory.ValueString()
	deleted := state.DeleteData.ValueBool() && data != ""
	if deleted {
		if err := held.CheckDelete(data); err != nil {
			return err
		}
	}
	if found.Condition == birth.Alive && found.member != nil {
		if err := s.drain(ctx, *found.member, state.drainTime()); err != nil {
			return err
		}
	}
	if err := s.end(ctx, held, state, id); err != nil {
		return err
	}
	if deleted {
		if err := unsent.Check(data); err != nil {
			return err
		}
		if err := held.DeleteData(data); err != nil {
			return err
		}
	}
	return held.Forget()
}

// end leaves the tombstone before the first signal, so that nobody takes what
// follows for a crash.
func (s *settings) end(ctx context.Context, held *birth.Held, state cellModel, id string) error {
	if incarnation := state.Incarnation.ValueString(); incarnation != "" {
		t := fleet.Tombstone{
			Cell: state.Name.ValueString(), Incarnation: incarnation,
			By: "terraform on " + s.births.Host().Name, Reason: "removed by Terraform",
		}
		if err := s.fleet.Tombstone(ctx, state.Service.ValueString(), t); err != nil {
			return err
		}
	}
	if err := held.End(ctx, state.grace()); err != nil {
		return err
	}
	return s.fleet.Deregister(ctx, id)
}

// drain lets the cell become idle, for as long as it may take. What goes wrong
// with the sidecar doesn't keep the cell from being removed; an interruption
// does, and then the cell is taken back.
func (s *settings) drain(ctx context.Context, member fleet.Member, limit time.Duration) error {
	if limit == 0 || member.Vitals == "" {
		return nil
	}
	sidecar := newSidecar(member.Vitals, member.ID(), s.peers)
	err := sidecar.drain(ctx, limit)
	if ctx.Err() != nil {
		return fmt.Errorf("drain: %w", context.Cause(ctx))
	}
	if err != nil {
		tflog.Warn(ctx, "cell not drained", map[string]any{"cell": member.ID(), "sidecar": member.Vitals, "error": err.Error()})
	}
	return nil
}
