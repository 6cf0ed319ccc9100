package main

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/boot"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// minLifetime is the least that a ticket may last: no machine boots faster.
const minLifetime = time.Second

// joinResource is homeostat_join.
type joinResource struct{ data any }

var (
	_ resource.ResourceWithConfigure  = (*joinResource)(nil)
	_ resource.ResourceWithModifyPlan = (*joinResource)(nil)
)

func newJoinResource() resource.Resource { return &joinResource{} }

// Metadata implements resource.Resource.
func (r *joinResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_join"
}

// Configure implements resource.ResourceWithConfigure.
func (r *joinResource) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	r.data = req.ProviderData
}

// ModifyPlan plans the replacement of a ticket that is void. Were it gone from the
// state instead, its creation would not replace the machine: Terraform's
// replace_triggered_by heeds replacements and updates only. A new one is planned
// with what is published.
func (r *joinResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return
	}
	if req.State.Raw.IsNull() {
		r.planPublished(ctx, req, resp)
		return
	}
	var status types.String
	resp.Diagnostics.Append(req.State.GetAttribute(ctx, path.Root("status"), &status)...)
	if status.ValueString() == statusVoid {
		resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("status"), statusValid)...)
		resp.RequiresReplace = append(resp.RequiresReplace, path.Root("status"))
	}
}

// planPublished plans of what a new ticket's machine is made.
func (r *joinResource) planPublished(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	var plan joinModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	s, ok := r.data.(*settings)
	if resp.Diagnostics.HasError() || !ok || s.unknown != "" || plan.Service.IsUnknown() || !plan.Published.IsUnknown() {
		return
	}
	published, err := s.publishedNow(ctx, plan.Service.ValueString())
	if err != nil {
		addError(&resp.Diagnostics, "Ticket not planned", problem{
			Object: plan.object(), Endpoint: s.endpoint(), Cause: err.Error(), Next: "put that right and try again; nothing was changed",
		})
		return
	}
	resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("published"), published)...)
}

// Create issues a ticket. It is in the state before Consul knows of it, so that
// none is left there that nobody knows.
func (r *joinResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan joinModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	s := settled(r.data, plan.object(), &resp.Diagnostics)
	if s == nil || resp.Diagnostics.HasError() {
		return
	}
	failed := func(err error, next string) {
		addError(&resp.Diagnostics, "Ticket not issued", problem{Object: plan.object(), Endpoint: s.endpoint(), Cause: err.Error(), Next: next})
	}
	spec, err := s.nextLife(ctx, plan.spec())
	if err == nil {
		err = plan.tellConsul(s)
	}
	if err == nil && plan.Published.IsUnknown() {
		err = plan.tellPublished(ctx, s)
	}
	var ticket boot.Ticket
	if err == nil {
		ticket, err = boot.NewTicket(spec.Service, spec.Name, spec.Incarnation)
	}
	if err != nil {
		failed(err, "put that right and apply again; nothing was begun")
		return
	}
	now := time.Now().Truncate(time.Millisecond)
	until := now.Add(durationOr(plan.Lifetime, defaultCreate))
	plan.tell(ticket, spec.Lineage, now, until)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if err := boot.Issue(ctx, s.fleet, ticket, until); err != nil {
		failed(err, "put that right and apply again: the ticket stands in the state as tainted, and another one takes its place")
	}
}

// nextLife names the life that a cell is to have: as the leader's order does, else
// anew. A life that was had isn't had again: then two machines might live it.
func (s *settings) nextLife(ctx context.Context, spec birth.Spec) (birth.Spec, error) {
	newborn, err := ordered(ctx, s.fleet, spec)
	if err != nil {
		return spec, err
	}
	if newborn != nil {
		spec.Incarnation = newborn.Incarnation
		spec.Lineage = birth.Lineage{Parent: newborn.Parent, Generation: newborn.Generation, Reason: newborn.Reason}
		if had, err := s.lifeHad(ctx, spec); err != nil || !had {
			return spec, err
		}
	}
	spec.Incarnation, err = birth.NewIncarnation(time.Now(), rand.Reader)
	return spec, err
}

// lifeHad reports whether a machine lives, or has lived, as this life of the cell.
func (s *settings) lifeHad(ctx context.Context, spec birth.Spec) (bool, error) {
	member, err := s.living(ctx, spec)
	if err != nil || member != nil {
		return true, err
	}
	return s.lifeOver(ctx, spec)
}

// living is the registration of this very life, nil where there is none.
func (s *settings) living(ctx context.Context, spec birth.Spec) (*fleet.Member, error) {
	member, err := s.fleet.Member(ctx, spec.Service, spec.Name)
	if errors.Is(err, fleet.ErrNotFound) || err == nil && member.Incarnation != spec.Incarnation {
		return nil, nil
	}
	return member, err
}

// lifeOver reports whether this life of the cell has left, or was removed.
func (s *settings) lifeOver(ctx context.Context, spec birth.Spec) (bool, error) {
	all, err := s.fleet.Tombstones(ctx, spec.Service)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(all, func(t fleet.Tombstone) bool { return t.ID() == spec.ID() }), nil
}

// Read finds out whether the ticket can still be, or has been, of use.
func (r *joinResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state joinModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	s := settled(r.data, state.object(), &resp.Diagnostics)
	if s == nil || resp.Diagnostics.HasError() {
		return
	}
	void, err := s.void(ctx, state.ticket(), state.spec())
	if err != nil {
		addError(&resp.Diagnostics, "Ticket not read", problem{
			Object: state.object(), Endpoint: s.endpoint(), Cause: err.Error(),
			Next: "put that right and try again; nothing was changed, and the ticket stays in the state",
		})
		return
	}
	state.Status = types.StringValue(statusValid)
	if void {
		state.Status = types.StringValue(statusVoid)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// void reports whether no machine can be the cell by this ticket. Of one of which
// Consul knows nothing, or whose machine hasn't said in time that it is installed,
// that is so only if its cell doesn't live: Consul may have lost its data, which is
// no reason to replace machines, nor is it that a cell is silent for a while.
func (s *settings) void(ctx context.Context, t boot.Ticket, spec birth.Spec) (bool, error) {
	state, err := boot.State(ctx, s.fleet, t)
	if err != nil || state == boot.Expired {
		return state == boot.Expired, err
	}
	if state != boot.Unknown && state != boot.Overdue {
		return false, nil
	}
	member, err := s.living(ctx, spec)
	if err == nil && member != nil && member.Health != fleet.Critical {
		s.noteAnew(ctx, t)
	}
	return member == nil || member.Health == fleet.Critical && !member.Silent, err
}

// noteAnew notes that the ticket's cell is installed, which somebody who saw it live
// has to: else the ticket would be void once it doesn't. Who may only read in Consul
// still gets a plan.
func (s *settings) noteAnew(ctx context.Context, t boot.Ticket) {
	if err := boot.Settle(ctx, s.fleet, t, ""); err != nil {
		tflog.Warn(ctx, "ticket not noted anew", map[string]any{"cell": t.Cell(), "error": err.Error()})
	}
}

// Update writes down what counts for the next ticket.
func (r *joinResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan joinModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// Delete revokes the ticket. A machine that has come with it is gone by then, as
// it depends on it, so its life is over.
func (r *joinResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state joinModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	s := settled(r.data, state.object(), &resp.Diagnostics)
	if s == nil || resp.Diagnostics.HasError() {
		return
	}
	if err := s.revoke(ctx, state.ticket(), state.spec()); err != nil {
		addError(&resp.Diagnostics, "Ticket not revoked", problem{
			Object: state.object(), Endpoint: s.endpoint(), Cause: err.Error(),
			Next: "put that right and try again: the ticket stays in the state",
		})
	}
}

func (s *settings) revoke(ctx context.Context, t boot.Ticket, spec birth.Spec) error {
	was, err := boot.State(ctx, s.fleet, t)
	if err != nil {
		return err
	}
	if was != boot.Open && was != boot.Expired {
		if err := s.lifeEnds(ctx, spec); err != nil {
			return err
		}
	}
	return boot.Revoke(ctx, s.fleet, t)
}

// lifeEnds leaves a tombstone, so that nobody takes what follows for a crash, and
// takes the registration away.
func (s *settings) lifeEnds(ctx context.Context, spec birth.Spec) error {
	t := fleet.Tombstone{Cell: spec.Name, Incarnation: spec.Incarnation, By: "terraform on " + s.births.Host().Name, Reason: "removed by Terraform"}
	if err := s.fleet.Tombstone(ctx, spec.Service, t); err != nil {
		return err
	}
	return s.fleet.Deregister(ctx, spec.ID())
}
