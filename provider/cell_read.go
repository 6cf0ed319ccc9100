package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// Read finds out what has become of a cell. It is gone only when this is the
// host it was born on, nothing of it runs, and Consul was asked.
func (r *cellResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state cellModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	s := settled(r.data, state.object(), &resp.Diagnostics)
	if s == nil || resp.Diagnostics.HasError() {
		return
	}
	if state.SSH != nil || state.Boot != nil {
		r.readFromConsul(ctx, s, &state, resp)
		return
	}
	if imported, err := s.importFromMachine(ctx, &state); err != nil || imported {
		addReadError(&resp.Diagnostics, s, &state, err)
		resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
		return
	}
	birthplace, diags := req.Private.GetKey(ctx, birthplaceKey)
	resp.Diagnostics.Append(diags...)
	found, err := s.find(ctx, state, birthplace)
	if err != nil {
		addError(&resp.Diagnostics, "Cell not read", problem{
			Object: state.object(), Endpoint: s.here(), Cause: err.Error(),
			Next: nextStep(err, "put that right and try again; nothing was changed, and the cell stays in the state"),
		})
		return
	}
	if found.Condition == birth.Gone && !state.halfRemoved(found.Record) {
		resp.State.RemoveResource(ctx)
		return
	}
	resp.Diagnostics.Append(state.refresh(ctx, found)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
	resp.Diagnostics.Append(resp.Private.SetKey(ctx, birthplaceKey, encodeHost(found.Record.Host))...)
}

// halfRemoved says whether a removal of the cell has begun that still has its data to
// delete, as while messages wait in them. Dropped from the state it would leave them.
func (m *cellModel) halfRemoved(r *birth.Record) bool {
	if r == nil || r.Phase != birth.Ended || !m.DeleteData.ValueBool() {
		return false
	}
	_, err := os.Lstat(m.DataDirectory.ValueString())
	return err == nil
}

// sighting is a cell as this host and Consul see it.
type sighting struct {
	birth.Sight
	member *fleet.Member
}

// find looks for a cell that stands in the state, on this host and in Consul.
func (s *settings) find(ctx context.Context, state cellModel, birthplace []byte) (sighting, error) {
	service, name := state.Service.ValueString(), state.Name.ValueString()
	sight, err := s.births.Look(service, name)
	if err != nil {
		return sighting{}, err
	}
	member, err := s.fleet.Member(ctx, service, name)
	if err != nil && !errors.Is(err, fleet.ErrNotFound) {
		return sighting{}, err
	}
	found := sighting{Sight: sight, member: member}
	if sight.Record == nil && state.Incarnation.ValueString() != "" {
		return found, s.provenGone(state, birthplace, member)
	}
	if member != nil && sight.Record != nil && member.Incarnation != sight.Record.Incarnation {
		found.member = nil // An earlier life that Consul hasn't forgotten yet.
	}
	return found, nil
}

// provenGone returns an error unless a cell of which this host has no record
// is really no more: it may have been born elsewhere, or under another state
// directory.
func (s *settings) provenGone(state cellModel, birthplace []byte, member *fleet.Member) error {
	cell := cellID(state.Service.ValueString(), state.Name.ValueString())
	here := s.births.Host()
	var there birth.Host
	if json.Unmarshal(birthplace, &there) == nil && there.Machine != "" && there.Machine != here.Machine {
		return &birth.ElsewhereError{Cell: cell, There: there, Here: here}
	}
	id := state.Name.ValueString() + "." + state.Incarnation.ValueString()
	stray, err := s.births.Stray(id)
	if err != nil {
		return err
	}
	if stray {
		return fmt.Errorf("processes of %s run on this host, but the state directory %s has no record of it; was it born under another state_directory?", id, s.births.Directory())
	}
	if member != nil && member.ID() == id && member.Health != fleet.Critical {
		return fmt.Errorf("%s is %s in Consul (machine id %s), but this host (machine id %s) has no record of it in %s; it may run on another host, or have ended within its TTL",
			id, member.Health, member.Machine, here.Machine, s.births.Directory())
	}
	return nil
}

// refresh takes over what was found.
func (m *cellModel) refresh(ctx context.Context, found sighting) diag.Diagnostics {
	diags := m.tellProcess(ctx, *found.Record)
	m.tell(*found.Record)
	m.tellMember(found.member)
	m.Status = types.StringValue(statusRunning)
	if found.Condition != birth.Alive {
		m.Status = types.StringValue(statusDead)
	}
	return diags
}

// birthplaceKey is where the private state keeps the host a cell was born on.
// It tells hosts apart even when their folders are lost.
const birthplaceKey = "birthplace"

func encodeHost(h birth.Host) []byte {
	b, _ := json.Marshal(h) // Four strings always can be.
	return b
}
