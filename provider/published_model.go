package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
)

// publishedModel is what is published for a service, in the data source and in
// what user_data takes.
type publishedModel struct {
	Bundle  types.String  `tfsdk:"bundle"`
	Genome  types.String  `tfsdk:"genome"`
	Store   types.String  `tfsdk:"store"`
	Program *programModel `tfsdk:"program"`
}

// programModel is what a machine runs to make a cell of itself. URL is null where
// no machine can fetch it.
type programModel struct {
	URL    types.String `tfsdk:"url"`
	SHA256 types.String `tfsdk:"sha256"`
}

var programType = types.ObjectType{AttrTypes: map[string]attr.Type{"url": types.StringType, "sha256": types.StringType}}

var publishedTypes = map[string]attr.Type{
	"bundle": types.StringType, "genome": types.StringType, "store": types.StringType, "program": programType,
}

// newPublished is nil where nothing is published.
func newPublished(p *fleet.Published) *publishedModel {
	if p == nil {
		return nil
	}
	m := &publishedModel{Bundle: types.StringValue(p.Bundle), Genome: types.StringValue(p.Genome), Store: textOrNull(p.Store)}
	if p.Program == "" {
		return m
	}
	m.Program = &programModel{URL: types.StringNull(), SHA256: types.StringValue(p.Program)}
	if at, err := bundle.BlobURL(p.Store, p.Program); err == nil {
		m.Program.URL = types.StringValue(at)
	}
	return m
}

// check says why no machine can be made of what is published for a service.
func (m *publishedModel) check(service string) error {
	switch {
	case m == nil:
		return fmt.Errorf("nothing is published for %s: a machine is made from what 'homeostat publish %[1]s' has stored", service)
	case m.Program == nil:
		return fmt.Errorf("the genome of %s has no file %s, which a machine runs to become a cell: add it, and publish again", service, install.Program)
	case m.Program.URL.IsNull():
		return fmt.Errorf("what is published for %s is kept in the folder %s, which no machine can fetch from: "+
			"let bundle in the policy be an https URL or a bucket of S3, and publish again", service, m.Store.ValueString())
	}
	return nil
}

// publishedNow is what a new machine of a service is made of, if one can be.
func (s *settings) publishedNow(ctx context.Context, service string) (*publishedModel, error) {
	p, err := s.fleet.Published(ctx, service)
	if err != nil {
		return nil, err
	}
	m := newPublished(p)
	return m, m.check(service)
}

func publishedAttribute() schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		MarkdownDescription: "What `homeostat publish` has published last, of which new cells are made; null where nothing is.",
		Computed:            true,
		Attributes: map[string]schema.Attribute{
			"bundle": schema.StringAttribute{MarkdownDescription: "The digest of policy, root module and genome.", Computed: true},
			"genome": schema.StringAttribute{MarkdownDescription: "The digest of the genome alone.", Computed: true},
			"store":  schema.StringAttribute{MarkdownDescription: "Where the bundle is.", Computed: true},
			"program": schema.SingleNestedAttribute{
				MarkdownDescription: "The program `homeostat` of the genome, by which a machine that boots makes a cell of itself; null where the genome has none at `/usr/local/bin/homeostat`.",
				Computed:            true,
				Attributes: map[string]schema.Attribute{
					"url": schema.StringAttribute{
						MarkdownDescription: "Where it can be fetched without credentials, if the store lets whoever asks read it; null where the store is a folder.", Computed: true,
					},
					"sha256": schema.StringAttribute{MarkdownDescription: "The digest of its content.", Computed: true},
				},
			},
		},
	}
}
