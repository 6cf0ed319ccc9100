package main

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// cellsDataSource is homeostat_cells: who is alive.
type cellsDataSource struct{ data any }

// cellsModel is the data source as Terraform keeps it.
type cellsModel struct {
	Service types.String  `tfsdk:"service"`
	ID      types.String  `tfsdk:"id"`
	Cells   []memberModel `tfsdk:"cells"`
}

// memberModel is one of the cells.
type memberModel struct {
	Name        types.String `tfsdk:"name"`
	Incarnation types.String `tfsdk:"incarnation"`
	Health      types.String `tfsdk:"health"`
	Output      types.String `tfsdk:"output"`
	Address     types.String `tfsdk:"address"`
	Port        types.Int64  `tfsdk:"port"`
	Sidecar     types.String `tfsdk:"sidecar"`
	Node        types.String `tfsdk:"node"`
	BornAt      types.String `tfsdk:"born_at"`
	Parent      types.String `tfsdk:"parent"`
	Generation  types.Int64  `tfsdk:"generation"`
	Reason      types.String `tfsdk:"reason"`
}

func newCellsDataSource() datasource.DataSource { return &cellsDataSource{} }

// Metadata implements datasource.DataSource.
func (d *cellsDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_cells"
}

// Configure implements datasource.DataSourceWithConfigure.
func (d *cellsDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, _ *datasource.ConfigureResponse) {
	d.data = req.ProviderData
}

// Schema implements datasource.DataSource.
func (d *cellsDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	text := func(description string) schema.StringAttribute {
		return schema.StringAttribute{MarkdownDescription: description, Computed: true}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "The cells of a service that are registered in Consul, each once, by its newest incarnation, in the order of their names. A Consul that can't be reached is an error, never an empty list.",
		Attributes: map[string]schema.Attribute{
			"service": schema.StringAttribute{
				MarkdownDescription: "The service.", Required: true, Validators: []validator.String{cellName{"service"}},
			},
			"id": text("The service."),
			"cells": schema.ListNestedAttribute{
				MarkdownDescription: "The cells.", Computed: true,
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"name":        text("The cell's name."),
					"incarnation": text("Names this life of the cell; empty where it has no sidecar."),
					"health":      text("`passing` takes anything, `warning` is to be spared new clients, `critical` gets no traffic."),
					"output":      text("The last word of the check that decides the health."),
					"address":     text("The application's address."),
					"port":        schema.Int64Attribute{MarkdownDescription: "The application's port.", Computed: true},
					"sidecar":     text("The base URL of the sidecar; null where there is none."),
					"node":        text("The Consul node that holds the registration."),
					"born_at":     text("When the cell was born, RFC 3339; null where that isn't known."),
					"parent":      text("The cell whose leader ordered it; null when a person applied."),
					"generation":  schema.Int64Attribute{MarkdownDescription: "How many orders lie between the cell and a person.", Computed: true},
					"reason":      text("Why it was ordered; null when a person applied."),
				}},
			},
		},
	}
}

// Read implements datasource.DataSource.
func (d *cellsDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var model cellsModel
	// The list is computed: only the name is configured.
	resp.Diagnostics.Append(req.Config.Get(ctx, &model)...)
	object := "cells of service " + model.Service.ValueString()
	s := settled(d.data, object, &resp.Diagnostics)
	if s == nil || resp.Diagnostics.HasError() {
		return
	}
	members, err := s.fleet.Members(ctx, model.Service.ValueString())
	if err != nil {
		addError(&resp.Diagnostics, "Cells not read", problem{
			Object: object, Endpoint: s.endpoint(), Cause: err.Error(), Next: "put that right and try again; nothing was changed",
		})
		return
	}
	model.ID = model.Service
	model.Cells = []memberModel{}
	for _, m := range members {
		model.Cells = append(model.Cells, tellOf(m))
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &model)...)
}

func tellOf(m fleet.Member) memberModel {
	born := types.StringNull()
	if !m.BornAt.IsZero() {
		born = types.StringValue(m.BornAt.UTC().Format(time.RFC3339Nano))
	}
	return memberModel{
		Name: types.StringValue(m.Name), Incarnation: types.StringValue(m.Incarnation),
		Health: types.StringValue(string(m.Health)), Output: types.StringValue(m.Output),
		Address: types.StringValue(m.Address), Port: types.Int64Value(int64(m.Port)),
		Sidecar: textOrNull(m.Vitals), Node: types.StringValue(m.Node), BornAt: born,
		Parent: textOrNull(m.Parent), Generation: types.Int64Value(int64(m.Generation)), Reason: textOrNull(m.Reason),
	}
}
