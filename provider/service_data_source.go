package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// serviceDataSource is homeostat_service: the record, and what is published.
type serviceDataSource struct{ data any }

// serviceModel is the data source as Terraform keeps it.
type serviceModel struct {
	Service      types.String `tfsdk:"service"`
	Workspace    types.String `tfsdk:"workspace"`
	ID           types.String `tfsdk:"id"`
	Exists       types.Bool   `tfsdk:"exists"`
	DesiredCount types.Int64  `tfsdk:"desired_count"`
	Names        types.List   `tfsdk:"names"`
	Next         types.Int64  `tfsdk:"next"`
	Epoch        types.Int64  `tfsdk:"epoch"`
	Reason       types.String `tfsdk:"reason"`
	LocalNames   types.List   `tfsdk:"local_names"`

	Published *publishedModel `tfsdk:"published"`
}

func newServiceDataSource() datasource.DataSource { return &serviceDataSource{} }

// Metadata implements datasource.DataSource.
func (d *serviceDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_service"
}

// Configure implements datasource.DataSourceWithConfigure.
func (d *serviceDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, _ *datasource.ConfigureResponse) {
	d.data = req.ProviderData
}

// Schema implements datasource.DataSource.
func (d *serviceDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "The record of a service in Consul: how many cells there are to be, and which. " +
			"Where there is no record yet, `exists` is false and the rest of it null. A Consul that can't be reached is an error, never an absent record.",
		Attributes: map[string]schema.Attribute{
			"service": schema.StringAttribute{
				MarkdownDescription: "The service.", Required: true, Validators: []validator.String{cellName{"service"}},
			},
			"workspace": schema.StringAttribute{
				MarkdownDescription: "`terraform.workspace`: where the service is spread over workspaces, `desired_count` and `names` are then those of this one alone. " +
					"Without it they are the whole service's, and one that is spread is an error.",
				Optional: true,
			},
			"id":            schema.StringAttribute{MarkdownDescription: "The service.", Computed: true},
			"exists":        schema.BoolAttribute{MarkdownDescription: "Whether there is a record.", Computed: true},
			"desired_count": schema.Int64Attribute{MarkdownDescription: "How many cells there are to be.", Computed: true},
			"names": schema.ListAttribute{
				MarkdownDescription: "Their names; null where the leader gives a bare count.", ElementType: types.StringType, Computed: true,
			},
			"next":   schema.Int64Attribute{MarkdownDescription: "The number in the next new name, which only rises.", Computed: true},
			"epoch":  schema.Int64Attribute{MarkdownDescription: "Rises with each leader.", Computed: true},
			"reason": schema.StringAttribute{MarkdownDescription: "The leader's last decision, for people.", Computed: true},
			"local_names": schema.ListAttribute{
				MarkdownDescription: "The cells of the service that were born on this host and not removed, whether or not they run. It is what a module goes by when cells exist and the record was lost.",
				ElementType:         types.StringType, Computed: true,
			},
			"published": publishedAttribute(),
		},
	}
}

// Read implements datasource.DataSource.
func (d *serviceDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var model serviceModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &model)...)
	object := "service " + model.Service.ValueString()
	s := settled(d.data, object, &resp.Diagnostics)
	if s == nil || resp.Diagnostics.HasError() {
		return
	}
	model.ID = model.Service
	local, err := s.births.Names(model.Service.ValueString())
	if err != nil {
		addError(&resp.Diagnostics, "Service not read", problem{
			Object: object, Endpoint: "host " + s.births.Host().Name, Cause: err.Error(), Next: "put that right and try again; nothing was changed",
		})
		return
	}
	record, _, err := s.fleet.Record(ctx, model.Service.ValueString())
	if err != nil && !errors.Is(err, fleet.ErrNoRecord) {
		addError(&resp.Diagnostics, "Service not read", problem{
			Object: object, Endpoint: s.endpoint(), Cause: err.Error(),
			Next: "put that right and try again; how many cells there are to be isn't guessed, and nothing was changed",
		})
		return
	}
	published, err := s.fleet.Published(ctx, model.Service.ValueString())
	if err != nil {
		addError(&resp.Diagnostics, "Service not read", problem{
			Object: object, Endpoint: s.endpoint(), Cause: err.Error(), Next: "put that right and try again; nothing was changed",
		})
		return
	}
	move, err := s.fleet.Move(ctx, model.Service.ValueString())
	if err != nil {
		addError(&resp.Diagnostics, "Service not read", problem{
			Object: object, Endpoint: s.endpoint(), Cause: err.Error(), Next: "put that right and try again; nothing was changed",
		})
		return
	}
	if p := model.unclear(record, move); p != nil {
		p.Object, p.Endpoint = object, s.endpoint()
		addError(&resp.Diagnostics, "Cells of the workspace not known", *p)
		return
	}
	model.tell(record)
	model.Published = newPublished(published)
	list, diags := types.ListValueFrom(ctx, types.StringType, append([]string{}, local...))
	resp.Diagnostics.Append(diags...)
	model.LocalNames = list
	resp.Diagnostics.Append(resp.State.Set(ctx, &model)...)
}

// unclear is why it can't be told which cells there are to be in the workspace that
// asks, or nothing: an apply by a wrong answer would double or destroy cells.
func (m *serviceModel) unclear(r *fleet.Record, move *fleet.MoveNote) *problem {
	switch shard := policy.ShardOf(m.Workspace.ValueString()); {
	case move != nil:
		return &problem{
			Cause: fmt.Sprintf("cells are being moved from shard %d to shard %d since %s", move.From, move.To, move.Since.Format(time.RFC3339)),
			Next:  "try again when the leader has done it; nothing was changed",
		}
	case r == nil && shard > 0:
		return &problem{
			Cause: fmt.Sprintf("there is no record, and workspace %s is that of one shard: which of the cells are in it isn't known", m.Workspace.ValueString()),
			Next:  "let a leader make the record from Terraform's states; nothing was changed",
		}
	case r != nil && (r.Spread() || r.Emptied) && m.Workspace.IsNull():
		return &problem{
			Cause: "the service is spread over workspaces, or was, and the data source doesn't say which one asks",
			Next:  "have the module say workspace = terraform.workspace; nothing was changed",
		}
	default:
		return nil
	}
}

// tell fills in the record, which is nil where there is none.
func (m *serviceModel) tell(r *fleet.Record) {
	m.Exists = types.BoolValue(r != nil)
	m.DesiredCount, m.Next, m.Epoch = types.Int64Null(), types.Int64Null(), types.Int64Null()
	m.Names, m.Reason = types.ListNull(types.StringType), types.StringNull()
	if r == nil {
		return
	}
	names := r.Names
	if shard := policy.ShardOf(m.Workspace.ValueString()); shard > 0 || r.Spread() {
		// A shard's workspace that has been emptied holds none of them, though all are in
		// one state again.
		names = r.In(shard)
		m.DesiredCount = types.Int64Value(int64(len(names)))
	} else {
		m.DesiredCount = types.Int64Value(int64(r.Count))
	}
	m.Next = types.Int64Value(int64(r.Next))
	m.Epoch = types.Int64Value(int64(r.Epoch))
	if names != nil {
		m.Names = textList(names)
	}
	if r.Decision != nil {
		m.Reason = textOrNull(r.Decision.Reason)
	}
}
