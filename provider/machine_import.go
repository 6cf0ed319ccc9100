package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/resource/schema/objectplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// importFromMachine fills in a cell that is imported, where it lives on a machine of
// a pool: Consul says on which. How it was born isn't known there, so ssh holds the
// machine alone, and null in reuse marks that the rest isn't known.
func (s *settings) importFromMachine(ctx context.Context, state *cellModel) (found bool, err error) {
	if !state.Incarnation.IsNull() {
		return false, nil // it is no import
	}
	service, name := state.Service.ValueString(), state.Name.ValueString()
	host, err := s.heldBy(ctx, service, name)
	if err != nil || host == nil {
		return false, err
	}
	member, err := s.fleet.Member(ctx, service, name)
	if err != nil && !errors.Is(err, fleet.ErrNotFound) {
		return false, err
	}
	if member == nil || member.Incarnation != host.Incarnation {
		return false, fmt.Errorf("machine %s is claimed for it (%s), but that isn't registered in Consul: it may just be born, or be dead; import it when it is passing",
			host.Address, host.CellID())
	}
	state.Incarnation, state.Host = types.StringValue(host.Incarnation), types.StringValue(host.Address)
	state.BornAt = types.StringValue(member.BornAt.UTC().Format(time.RFC3339Nano))
	if member.Parent != "" || member.Reason != "" {
		state.Parent, state.Reason = textOrNull(member.Parent), textOrNull(member.Reason)
		state.Generation = types.Int64Value(int64(member.Generation))
	}
	state.Status = types.StringValue(statusRunning)
	state.tellMember(member)
	state.SSH = &sshModel{
		Hosts: []sshHostModel{{Address: types.StringValue(host.Address), HostKeys: types.ListNull(types.StringType)}},
		User:  types.StringValue("root"), TemporaryUser: types.BoolValue(false), Secrets: types.MapNull(types.StringType),
	}
	return true, nil
}

// heldBy is the machine that is claimed for a cell, nil where none is.
func (s *settings) heldBy(ctx context.Context, service, cell string) (*fleet.Host, error) {
	hosts, err := s.fleet.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range hosts {
		if h.State == fleet.HostHeld && h.Service == service && h.Cell == cell {
			return &h, nil
		}
	}
	return nil, nil
}

// replacesUnlessImported has a change of ssh replace the cell, but for one that was
// imported: the configuration then tells what Consul didn't.
func replacesUnlessImported() planmodifier.Object {
	const text = "A change replaces the cell, but for the first after an import."
	return objectplanmodifier.RequiresReplaceIf(func(_ context.Context, req planmodifier.ObjectRequest, resp *objectplanmodifier.RequiresReplaceIfFuncResponse) {
		reuse, ok := req.StateValue.Attributes()["reuse"]
		resp.RequiresReplace = !ok || !reuse.IsNull()
	}, text, text)
}
