package main

import (
	"context"
	"errors"
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
			Next: nextStep(err, sendStep(err, state, "put that right and try again: the cell stays in the state, and what is done of the removal isn't done twice")),
		})
	}
}

// adoption is how long another cell of the service on this machine may take to begin
// sending what this one has left in its spool, and to come to its end with that.
const adoption = 20 * time.Second

// awaitSent returns once no message waits in a cell's data directory any more, or says
// which folder holds some when the limit is over.
func awaitSent(ctx context.Context, data string, limit time.Duration) error {
	over := time.NewTimer(limit)
	defer over.Stop()
	for {
		err := unsent.Check(data)
		if _, left := errors.AsType[*unsent.Error](err); !left {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-over.C:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// sendStep is what a person does about messages that nobody has sent.
func sendStep(err error, state cellModel, otherwise string) string {
	left, ok := errors.AsType[*unsent.Error](err)
	if !ok {
		return otherwise
	}
	return fmt.Sprintf("bring the queue back and try again: another cell of the service on this machine, whose data directory lies beside this one's, sends them. "+
		"Where there is none, run here, until no file in %s ends in %s,\n"+
		"  HOMEOSTAT_DATA_DIRECTORY=%s homeostat run -policy POLICY -service %s -cell %s -- sleep infinity\n"+
		"end it by Ctrl-C and try again; or move that folder away if the messages aren't wanted",
		left.Dir, unsent.Suffix, state.DataDirectory.ValueString(), state.Service.ValueString(), state.Name.ValueString())
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
		// Since it isn't registered any more, others may send what it has left.
		limit := adoption
		if state.drainTime() == 0 {
			limit = 0
		}
		if err := awaitSent(ctx, data, limit); err != nil {
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
