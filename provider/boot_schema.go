package main

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/objectplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// kindReplaces describes that another kind of birth is another cell.
const kindReplaces = "Another kind of birth is another cell."

// becameOrCeased has a cell replaced that is to be born by this kind and wasn't, or
// the other way round.
func becameOrCeased(_ context.Context, req planmodifier.ObjectRequest, resp *objectplanmodifier.RequiresReplaceIfFuncResponse) {
	resp.RequiresReplace = req.StateValue.IsNull() != req.PlanValue.IsNull()
}

// bootAttribute is the third kind of birth: a machine that makes a cell of itself
// at its first boot. Nothing ever gets in.
func bootAttribute() schema.SingleNestedAttribute {
	replace := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	return schema.SingleNestedAttribute{
		MarkdownDescription: "The cell is born by the first boot of a machine whose user data the function `user_data` made. Nobody ever gets into it. " +
			"The birth waits for the machine to come with the ticket of a `homeostat_join`, hands it its secrets, once, shows what it does, and waits for `passing`. " +
			"One that was cut is taken up again. The ticket of one that has failed becomes void, so that the next apply makes another, and another machine.",
		Optional:      true,
		PlanModifiers: []planmodifier.Object{objectplanmodifier.RequiresReplaceIf(becameOrCeased, kindReplaces, kindReplaces)},
		Attributes: map[string]schema.Attribute{
			"join": schema.SingleNestedAttribute{
				MarkdownDescription: "The cell's ticket: `join = homeostat_join.NAME`.", Required: true,
				Attributes: map[string]schema.Attribute{
					"incarnation": schema.StringAttribute{MarkdownDescription: "The life that the ticket is for.", Required: true, PlanModifiers: replace},
					"token":       schema.StringAttribute{MarkdownDescription: "The ticket's secret.", Required: true, Sensitive: true, PlanModifiers: replace},
				},
			},
			"machine": schema.StringAttribute{
				MarkdownDescription: "The machine by the id that the infrastructure gave it, such as `aws_instance.NAME.id`. Another machine is another cell. " +
					"Only a machine that knows this id as its own is handed secrets, so that one of which no state knows never becomes the cell. It finds its id in cloud-init's `instance-id`, or in DMI (`board_asset_tag`, `product_uuid`).",
				Required: true, PlanModifiers: replace, Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"any_machine": schema.BoolAttribute{
				MarkdownDescription: "Take the first machine that comes with the ticket, whatever id it knows: for images that can't tell their id. If Terraform is killed just after it has ordered a machine, the cell may then live on that one, which no state holds. Default `false`.",
				Optional:            true,
			},
			"secrets": schema.MapAttribute{
				MarkdownDescription: "Files on the machine where Terraform runs whose content the cell gets in `/etc/homeostat/secrets`, under these names, readable by root alone. They must be there when a new cell is planned. The paths stand in the state, the content doesn't. It is read at the birth: a change counts for the next one. `aws-credentials` lets the machine fetch from S3, and the cell doesn't get it.",
				ElementType:         types.StringType, Optional: true,
			},
			"console": schema.ListAttribute{
				MarkdownDescription: "A command, run where Terraform runs, that prints what the machine has written on its console, such as `[\"aws\", \"ec2\", \"get-console-output\", ...]`. It is run only when a birth has failed; the last lines are shown then. No shell reads it.",
				ElementType:         types.StringType, Optional: true,
				Validators: []validator.List{listvalidator.SizeAtLeast(1)},
			},
		},
	}
}
