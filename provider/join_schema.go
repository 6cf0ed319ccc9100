package main

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/listplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/objectplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// Schema implements resource.Resource.
func (r *joinResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	replace := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	known := func(description string) schema.StringAttribute {
		return schema.StringAttribute{
			MarkdownDescription: description, Computed: true,
			PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
		}
	}
	token := known("The ticket's secret. It stands in the state, for it is of use only until the first machine has come with it, or it has expired.")
	token.Sensitive = true
	resp.Schema = schema.Schema{
		MarkdownDescription: "A ticket with which one machine may become one life of one cell at its first boot. The function `user_data` puts it into the machine's user data, and `homeostat_cell` with `boot` waits for that machine.\n\n" +
			"The first machine that comes with it is handed the cell's secrets, and no other ever is. A ticket that has expired before a machine came, or whose birth has failed, is void: " +
			"the next apply replaces it, and is to replace the machine with it (`replace_triggered_by`), since a machine reads its user data only once.",
		Attributes: map[string]schema.Attribute{
			"service": schema.StringAttribute{
				MarkdownDescription: "The service that the cell is of.", Required: true, PlanModifiers: replace,
				Validators: []validator.String{cellName{"service"}},
			},
			"name": schema.StringAttribute{
				MarkdownDescription: "The cell's name.", Required: true, PlanModifiers: replace,
				Validators: []validator.String{cellName{"name"}},
			},
			"lifetime": schema.StringAttribute{
				MarkdownDescription: "How long after it was issued a machine may come with the ticket, and may take to install its cell; one that has not ends itself. A change counts for the next ticket. Default `" + defaultCreate.String() + "`.",
				Optional:            true, Computed: true, Default: stringdefault.StaticString(defaultCreate.String()),
				Validators: []validator.String{duration{least: minLifetime}},
			},
			"consul_addresses": schema.ListAttribute{
				MarkdownDescription: "Where the machine reaches Consul. Default: the provider's own addresses.",
				ElementType:         types.StringType, Optional: true, Computed: true,
				PlanModifiers: []planmodifier.List{listplanmodifier.UseStateForUnknown()},
				Validators:    []validator.List{listvalidator.SizeAtLeast(1), listvalidator.ValueStringsAre(stringvalidator.LengthAtLeast(1))},
			},
			"consul_datacenter": known("The provider's datacenter, for the machine."),
			"consul_prefix":     known("The provider's folder in Consul's key-value store, for the machine."),
			"consul_ca":         known("The certificate authority's certificate by which the provider knows Consul, PEM, for the machine."),
			"id":                known("The ticket's public name."),
			"incarnation":       known("The life of the cell that it is for. The leader's order gives it, or the provider does. No two tickets that a machine came with have the same."),
			"token":             token,
			"issued_at":         known("When it was issued, RFC 3339."),
			"expires_at":        known("Until when a machine may come, RFC 3339."),
			"parent":            known("The cell whose leader ordered this one; null when a person applied."),
			"generation": schema.Int64Attribute{
				MarkdownDescription: "How many orders lie between the cell and a person; null when a person applied.", Computed: true,
				PlanModifiers: []planmodifier.Int64{int64planmodifier.UseStateForUnknown()},
			},
			"reason": known("Why the leader ordered it; null when a person applied."),
			"published": schema.ObjectAttribute{
				MarkdownDescription: "What was published for the service when the ticket was planned, of which its machine is made: `bundle`, `genome`, `store` and `program` as in the data source `homeostat_service`. " +
					"It stays as it is, so that a cell that lives is planned from its own birth's values, whatever Consul knows later. That nothing is published, or nothing that a machine can fetch, is an error when planning.",
				AttributeTypes: publishedTypes, Computed: true,
				PlanModifiers: []planmodifier.Object{objectplanmodifier.UseStateForUnknown()},
			},
			"status": known("`valid`, or `void` when no machine can become the cell with it any more. A void ticket is replaced."),
		},
	}
}
