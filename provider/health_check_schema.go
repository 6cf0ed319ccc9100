package main

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/objectvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// Schema implements resource.Resource.
func (r *healthCheckResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	replace := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	keep := []planmodifier.String{stringplanmodifier.UseStateForUnknown()}
	kinds := []validator.Object{objectvalidator.ExactlyOneOf(
		path.MatchRoot("http"), path.MatchRoot("tcp"), path.MatchRoot("ttl"),
	)}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Registers an instance of a service and its health check in Consul, for what has no sidecar of its own. " +
			"The registration is made with a Consul *agent*, which runs the check; one made in the catalog would be removed again. What somebody else changes of it is seen by the next plan and put back.",
		Attributes: map[string]schema.Attribute{
			"service": schema.StringAttribute{
				MarkdownDescription: "The service.", Required: true, PlanModifiers: replace, Validators: []validator.String{cellName{"service"}},
			},
			"name": schema.StringAttribute{
				MarkdownDescription: "The instance's name and its id in Consul, one of its kind with the agent.", Required: true, PlanModifiers: replace,
				Validators: []validator.String{cellName{"name"}},
			},
			"address": schema.StringAttribute{
				MarkdownDescription: "Where the instance is reached. Default: the address of the agent's node.", Optional: true, Computed: true,
				Default: stringdefault.StaticString(""),
			},
			"port": schema.Int64Attribute{
				MarkdownDescription: "The port it is reached at.", Optional: true, Validators: []validator.Int64{int64validator.Between(1, 65535)},
			},
			"tags": schema.ListAttribute{
				MarkdownDescription: "Tags, beside `homeostat`.", ElementType: types.StringType, Optional: true,
				Validators: []validator.List{listvalidator.SizeAtLeast(1), listvalidator.ValueStringsAre(stringvalidator.LengthAtLeast(1), stringvalidator.NoneOf("homeostat"))},
			},
			"meta": schema.MapAttribute{
				MarkdownDescription: "Meta data. Keys that begin with `homeostat_` are Homeostat's own.", ElementType: types.StringType, Optional: true,
				Validators: []validator.Map{serviceMeta{}},
			},
			"http": schema.SingleNestedAttribute{
				MarkdownDescription: "Healthy is what answers with a status from 200 to 299; 429 is a warning. Exactly one of `http`, `tcp` and `ttl` is to be given.",
				Optional:            true, Validators: kinds,
				Attributes: map[string]schema.Attribute{
					"url":             schema.StringAttribute{MarkdownDescription: "What the agent asks for.", Required: true, Validators: []validator.String{httpURL{}}},
					"method":          schema.StringAttribute{MarkdownDescription: "Default `GET`.", Optional: true, Computed: true, Default: stringdefault.StaticString("GET"), Validators: []validator.String{stringvalidator.OneOf("GET", "HEAD", "POST", "PUT", "OPTIONS")}},
					"headers":         schema.MapAttribute{MarkdownDescription: "Headers of the request.", ElementType: types.StringType, Optional: true},
					"tls_skip_verify": schema.BoolAttribute{MarkdownDescription: "Whether any certificate will do. Default `false`.", Optional: true, Computed: true, Default: booldefault.StaticBool(false)},
					"interval":        durationAttribute("How often. Default `10s`.", "10s"),
					"timeout":         durationAttribute("How long an answer may take. Default `5s`.", "5s"),
				},
			},
			"tcp": schema.SingleNestedAttribute{
				MarkdownDescription: "Healthy is what takes a connection.", Optional: true,
				Attributes: map[string]schema.Attribute{
					"address":  schema.StringAttribute{MarkdownDescription: "`host:port`.", Required: true, Validators: []validator.String{hostPort{}}},
					"interval": durationAttribute("How often. Default `10s`.", "10s"),
					"timeout":  durationAttribute("How long a connection may take. Default `5s`.", "5s"),
				},
			},
			"ttl": schema.SingleNestedAttribute{
				MarkdownDescription: "Healthy is what tells the agent so itself (`PUT /v1/agent/check/pass/service:<name>`) before the time is over.", Optional: true,
				Attributes: map[string]schema.Attribute{
					"ttl": schema.StringAttribute{MarkdownDescription: "How long it may be silent.", Required: true, Validators: []validator.String{duration{minTTL}}},
				},
			},
			"deregister_after": schema.StringAttribute{
				MarkdownDescription: "How long the check may be critical before the agent takes the registration away, at least `1m`. Default: forever.",
				Optional:            true, Validators: []validator.String{duration{minDeregister}},
			},
			"id":   schema.StringAttribute{MarkdownDescription: "`<service>/<name>`.", Computed: true, PlanModifiers: keep},
			"node": schema.StringAttribute{MarkdownDescription: "The Consul node whose agent holds the registration.", Computed: true, PlanModifiers: keep},
		},
	}
}

func durationAttribute(description, otherwise string) schema.StringAttribute {
	return schema.StringAttribute{
		MarkdownDescription: description, Optional: true, Computed: true, Default: stringdefault.StaticString(otherwise),
		Validators: []validator.String{duration{minInterval}},
	}
}
