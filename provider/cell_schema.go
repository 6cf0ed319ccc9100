package main

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/objectplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// Schema implements resource.Resource.
func (r *cellResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	replace := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	known := func(description string) schema.StringAttribute {
		return schema.StringAttribute{
			MarkdownDescription: description, Computed: true,
			PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
		}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "One running instance of a service: the application with its sidecar beside it.\n\n" +
			"Creating a cell starts its first process, which is to be the sidecar (`homeostat run -- application`), and is done when that sidecar has pushed `passing` to Consul. " +
			"The process is detached: it lives on when Terraform and this provider end, and when whoever ran them does. " +
			"A birth that is cut at any instant is taken up by the next one of the same name, so a cell never runs twice. A birth that fails leaves nothing behind, and tells the last lines of the cell's log.\n\n" +
			"A cell that is gone is made anew by the next apply. One whose sidecar is dead while others of its processes run is replaced, so that they are ended first. " +
			"On another host than its own, or while Consul can't be reached, nothing can be known of a cell, and that is an error.",
		Attributes: map[string]schema.Attribute{
			"service": schema.StringAttribute{
				MarkdownDescription: "The service that the cell is of.", Required: true, PlanModifiers: replace,
				Validators: []validator.String{cellName{"service"}},
			},
			"name": schema.StringAttribute{
				MarkdownDescription: "The cell's name, one of its kind in the service, such as `crawler-3`.", Required: true, PlanModifiers: replace,
				Validators: []validator.String{cellName{"name"}},
			},
			"process": processAttribute(),
			"ssh":     sshAttribute(),
			"boot":    bootAttribute(),
			"data_directory": schema.StringAttribute{
				MarkdownDescription: "Where the cell keeps its data, an absolute path. It is made if it never was, belongs to this cell alone (a file beside it, with `.homeostat` at the end of its name, says so), and outlives the cell unless `delete_data` is set. " +
					"If it was there once and is gone, the cell isn't started over an empty one. The cell finds the path in `HOMEOSTAT_DATA_DIRECTORY`.",
				Optional: true, PlanModifiers: replace, Validators: []validator.String{absolutePath{}},
			},
			"delete_data": schema.BoolAttribute{
				MarkdownDescription: "Whether `data_directory` is deleted with the cell, also where the cell is replaced. What was there before the cell was is never deleted. Default `false`.",
				Optional:            true, Computed: true, Default: booldefault.StaticBool(false),
			},
			"drain": drainAttribute(),
			"timeouts": timeouts.Attributes(ctx, timeouts.Opts{
				Create: true, CreateDescription: "How long the birth may take until the sidecar has pushed `passing`, such as `90s`. Default `" + defaultCreate.String() + "`.",
				Delete: true, DeleteDescription: "How long the removal may take, draining included. Default `" + defaultDelete.String() + "`.",
			}),
			"id":          known("`<service>/<name>`."),
			"incarnation": known("Names this life of the cell: one of the same name that is born later has another. The leader's order gives it, or the provider does."),
			"address": schema.StringAttribute{
				MarkdownDescription: "The address of the application, as the sidecar registered it.", Computed: true,
				PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"port": schema.Int64Attribute{
				MarkdownDescription: "The port of the application, as the sidecar registered it.", Computed: true,
				PlanModifiers: []planmodifier.Int64{int64planmodifier.UseStateForUnknown()},
			},
			"born_at": known("When the cell was begun, RFC 3339."),
			"parent":  known("The cell whose leader ordered this one; null when a person applied."),
			"generation": schema.Int64Attribute{
				MarkdownDescription: "How many orders lie between the cell and a person; null when a person applied.", Computed: true,
				PlanModifiers: []planmodifier.Int64{int64planmodifier.UseStateForUnknown()},
			},
			"reason":               known("Why the leader ordered it; null when a person applied."),
			"host":                 known("The host whose processes the cell is made of, or the machine that it lives on."),
			"sealed_at":            known("When the door of the cell's machine was shut, and every way in was tried and refused, RFC 3339; null for a process."),
			"host_key_fingerprint": known("The host key that the cell's machine showed at the birth; null for a process."),
			"status":               known("`running`, or `dead` when the sidecar has ended while others of the cell's processes run. A dead cell is replaced."),
		},
	}
}

// processAttribute is the first kind of birth. A cell has exactly one of them.
func processAttribute() schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		MarkdownDescription: "The cell is a process of this host. A change replaces the cell; modules that renew cells name by name let Terraform ignore it.",
		Optional:            true,
		PlanModifiers:       []planmodifier.Object{objectplanmodifier.RequiresReplace()},
		Attributes: map[string]schema.Attribute{
			"command": schema.ListAttribute{
				MarkdownDescription: "The program and its arguments, such as `[\"homeostat\", \"run\", \"--\", \"crawler\"]`. No shell reads it.",
				ElementType:         types.StringType, Required: true,
				Validators: []validator.List{listvalidator.SizeAtLeast(1)},
			},
			"environment": schema.MapAttribute{
				MarkdownDescription: "Environment variables, added to those of the Terraform run (less `TF_*` and what systemd gave to it alone). They stand in the state: " +
					"give the name of a file with a secret rather than the secret, or let the cell inherit it.",
				ElementType: types.StringType, Optional: true,
				Validators: []validator.Map{environment{}},
			},
			"directory": schema.StringAttribute{
				MarkdownDescription: "Where the program starts, an absolute path. Default: a folder that goes with the cell.",
				Optional:            true, Validators: []validator.String{absolutePath{}, stringvalidator.LengthAtLeast(1)},
			},
		},
	}
}

func drainAttribute() schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		MarkdownDescription: "How the cell leaves. One that a leader has drained already goes at once.",
		Optional:            true,
		Attributes: map[string]schema.Attribute{
			"timeout": schema.StringAttribute{
				MarkdownDescription: "How long the cell may take to become idle before it is ended anyway, `0s` for not at all. Default `" + defaultDrain.String() + "`.",
				Optional:            true, Validators: []validator.String{duration{}},
			},
			"grace": schema.StringAttribute{
				MarkdownDescription: "How long its processes may take to end after SIGTERM before they get SIGKILL. Default `" + defaultGrace.String() + "`.",
				Optional:            true, Validators: []validator.String{duration{}},
			},
		},
	}
}
