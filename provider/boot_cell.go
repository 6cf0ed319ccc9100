package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// removeBooted has a cell leave before its machine is destroyed. A cell that
// doesn't answer within the time, and isn't passing any more, has nobody to wait
// for; the warning returned says so.
//
// Of a birth that was cut nothing is undone: its machine is destroyed next, or
// waits for the next run to take the birth up.
func (s *settings) removeBooted(ctx context.Context, state *cellModel) (warning string, err error) {
	if state.Status.IsNull() {
		return "", nil
	}
	spec := birth.Spec{Service: state.Service.ValueString(), Name: state.Name.ValueString(), Incarnation: state.Incarnation.ValueString()}
	member, err := s.living(ctx, spec)
	if err != nil {
		return "", err
	}
	switch {
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
	left := s.fleet.AwaitLeft(ctx, spec.Service, spec.Name, spec.Incarnation, func(a fleet.LeaveAnswer) {
		tflog.Info(ctx, "leaving", map[string]any{"cell": spec.ID(), "phase": string(a.Phase)})
	})
	if left == nil || errors.Is(ctx.Err(), context.Canceled) {
		return "", left
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearLimit/4)
	defer cancel()
	member, err := s.living(ctx, spec)
	if err != nil {
		return "", errors.Join(left, err)
	}
	if member != nil && member.Health != fleet.Critical {
		return "", fmt.Errorf("%w, and it is still %s in Consul", left, member.Health)
	}
	return fmt.Sprintf("%s didn't leave by itself (%v). It isn't passing any more, so its machine %s can be destroyed; what it had in hand may be lost.", spec.ID(), left, machine), nil
}
