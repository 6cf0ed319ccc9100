package main

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/boot"
)

// The values of a ticket's status.
const (
	statusValid = "valid"
	statusVoid  = "void"
)

// joinModel is homeostat_join as Terraform keeps it.
type joinModel struct {
	Service     types.String `tfsdk:"service"`
	Name        types.String `tfsdk:"name"`
	Lifetime    types.String `tfsdk:"lifetime"`
	Addresses   types.List   `tfsdk:"consul_addresses"`
	Datacenter  types.String `tfsdk:"consul_datacenter"`
	Prefix      types.String `tfsdk:"consul_prefix"`
	CA          types.String `tfsdk:"consul_ca"`
	ID          types.String `tfsdk:"id"`
	Incarnation types.String `tfsdk:"incarnation"`
	Token       types.String `tfsdk:"token"`
	IssuedAt    types.String `tfsdk:"issued_at"`
	ExpiresAt   types.String `tfsdk:"expires_at"`
	Parent      types.String `tfsdk:"parent"`
	Generation  types.Int64  `tfsdk:"generation"`
	Reason      types.String `tfsdk:"reason"`
	Published   types.Object `tfsdk:"published"`
	Status      types.String `tfsdk:"status"`
}

// object names the ticket in a diagnostic.
func (m *joinModel) object() string {
	return "ticket to join as " + m.Service.ValueString() + "/" + m.Name.ValueString()
}

func (m *joinModel) ticket() boot.Ticket {
	return boot.Ticket{
		Service: m.Service.ValueString(), Name: m.Name.ValueString(), Incarnation: m.Incarnation.ValueString(), Token: m.Token.ValueString(),
	}
}

// spec is who the cell is to be.
func (m *joinModel) spec() birth.Spec {
	s := birth.Spec{
		Service: m.Service.ValueString(), Name: m.Name.ValueString(), Incarnation: m.Incarnation.ValueString(),
		Lineage: birth.Lineage{Parent: m.Parent.ValueString(), Generation: int(m.Generation.ValueInt64()), Reason: m.Reason.ValueString()},
	}
	s.BornAt, _ = time.Parse(time.RFC3339Nano, m.IssuedAt.ValueString()) // it was written by tell
	return s
}

// tell fills in a ticket that is about to be issued, and whose it is.
func (m *joinModel) tell(t boot.Ticket, of birth.Lineage, issued, until time.Time) {
	m.ID, m.Incarnation, m.Token = types.StringValue(t.ID()), types.StringValue(t.Incarnation), types.StringValue(t.Token)
	m.IssuedAt = types.StringValue(issued.UTC().Format(time.RFC3339Nano))
	m.ExpiresAt = types.StringValue(until.UTC().Format(time.RFC3339))
	m.Parent, m.Reason, m.Generation = textOrNull(of.Parent), textOrNull(of.Reason), basetypes.NewInt64Null()
	if of != (birth.Lineage{}) {
		m.Generation = types.Int64Value(int64(of.Generation))
	}
	m.Status = types.StringValue(statusValid)
}

// tellConsul fills in how a machine reaches Consul, as far as it isn't said.
func (m *joinModel) tellConsul(s *settings) error {
	ca, err := s.consulCA()
	if err != nil {
		return err
	}
	if m.Addresses.IsUnknown() {
		m.Addresses = textList(s.fleet.Addresses())
	}
	m.Datacenter, m.Prefix, m.CA = textOrNull(s.consul.Datacenter), textOrNull(s.consul.Prefix), textOrNull(ca)
	return nil
}

// tellPublished fills in what is published, where that couldn't be planned.
func (m *joinModel) tellPublished(ctx context.Context, s *settings) error {
	published, err := s.publishedNow(ctx, m.Service.ValueString())
	if err != nil {
		return err
	}
	value, diags := types.ObjectValueFrom(ctx, publishedTypes, published)
	m.Published = value
	return asError(diags)
}
