package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// lifeOverKey is where a plan says that the life of a booted cell ends with it.
// Terraform doesn't say when it removes whether it makes anew, and both are so of a
// birth that was cut: the next run takes it up, unless it is to go, or gets another
// ticket or machine.
const lifeOverKey = "life_over"

// planLifeOver notes in a plan whether the cell's life ends.
func planLifeOver(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	over := req.Plan.Raw.IsNull()
	if !over {
		var b types.Object
		resp.Diagnostics.Append(req.Plan.GetAttribute(ctx, path.Root("boot"), &b)...)
		if resp.Diagnostics.HasError() || b.IsNull() {
			return
		}
		over = b.IsUnknown()
		for _, name := range []string{"join", "machine"} {
			if value := b.Attributes()[name]; value != nil {
				v, err := value.ToTerraformValue(ctx)
				over = over || err != nil || !v.IsFullyKnown()
			}
		}
	}
	resp.Diagnostics.Append(resp.Private.SetKey(ctx, lifeOverKey, strconv.AppendBool(nil, over))...)
}

// isLifeOver reads what planLifeOver noted.
func isLifeOver(note []byte) bool { return bytes.Equal(note, []byte("true")) }

// removeBooted has a cell leave before its machine is destroyed. A cell that
// doesn't answer within the time, and isn't passing any more, has nobody to wait
// for; the warning returned says so.
//
// Of a birth that was cut or has failed nothing is undone where the next run takes
// it up. Where this life is over, a cell that has come of it all the same leaves like
// any other.
func (s *settings) removeBooted(ctx context.Context, state *cellModel, over bool) (warning string, err error) {
	unborn := state.Status.IsNull()
	if unborn && !over {
		return "", nil
	}
	spec := birth.Spec{Service: state.Service.ValueString(), Name: state.Name.ValueString(), Incarnation: state.Incarnation.ValueString()}
	member, err := s.living(ctx, spec)
	if err != nil {
		return "", err
	}
	switch {
	case member == nil && unborn: // nothing came of it
		return "", nil
	case member == nil: // it is gone
	case s.lost(ctx, *member):
		warning = fmt.Sprintf("%s isn't heard by Consul and doesn't answer, so it was not told to leave. If its machine %s runs, what it had in hand ends with that.",
			spec.ID(), state.Host.ValueString())
	default:
		warning, err = s.leave(ctx, spec, state.Host.ValueString())
	}
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearLimit/4)
	defer cancel()
	return warning, s.lifeEnds(ctx, spec)
}

// lost reports whether a cell is silent in Consul and towards us.
func (s *settings) lost(ctx context.Context, member fleet.Member) bool {
	if member.Health != fleet.Critical || !member.Silent {
		return false
	}
	_, err := newSidecar(member.Vitals, member.ID(), s.peers).vitals(ctx)
	return err != nil && ctx.Err() == nil
}

// leave orders a cell to leave and waits for its answer.
func (s *settings) leave(ctx context.Context, spec birth.Spec, machine string) (warning string, err error) {
	order := fleet.LeaveOrder{
		Cell: spec.Name, Incarnation: spec.Incarnation, Reason: "removed by Terraform", By: "terraform on " + s.births.Host().Name,
	}
	if err := s.fleet.OrderLeave(ctx, spec.Service, order); err != nil {
		return "", err
	}
	waiting, cancel, err := s.untilLeft(ctx, spec.Service, fleet.Cell{Service: spec.Service, Name: spec.Name, Incarnation: spec.Incarnation})
	defer cancel()
	if err != nil {
		return "", err
	}
	left := s.fleet.AwaitLeft(waiting, spec.Service, spec.Name, spec.Incarnation, func(a fleet.LeaveAnswer) {
		tflog.Info(ctx, "leaving", map[string]any{"cell": spec.ID(), "phase": string(a.Phase)})
	})
	if left == nil || errors.Is(ctx.Err(), context.Canceled) {
		return "", left
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), clearLimit/4)
	defer done()
	member, err := s.living(ctx, spec)
	if err != nil {
		return "", errors.Join(left, err)
	}
	if member != nil && member.Health != fleet.Critical {
		return "", fmt.Errorf("%w, and it is still %s in Consul", left, member.Health)
	}
	return fmt.Sprintf("%s didn't leave by itself (%v). It isn't passing any more, so its machine %s can be destroyed; what it had in hand may be lost.", spec.ID(), left, machine), nil
}
