package main

import (
	"context"
	"log/slog"

	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// homeostatProvider implements provider.Provider.
type homeostatProvider struct{ version string }

var _ provider.ProviderWithFunctions = (*homeostatProvider)(nil)

// New returns a function that makes the provider, as the plugin server wants it.
func New(version string) func() provider.Provider {
	return func() provider.Provider { return &homeostatProvider{version: version} }
}

// providerModel is the provider's block.
type providerModel struct {
	Consul         types.Object `tfsdk:"consul"`
	StateDirectory types.String `tfsdk:"state_directory"`
	PeersKeyFile   types.String `tfsdk:"peers_key_file"`
}

// consulModel is the provider's consul attribute.
type consulModel struct {
	Address    types.String `tfsdk:"address"`
	Addresses  types.List   `tfsdk:"addresses"`
	Datacenter types.String `tfsdk:"datacenter"`
	Prefix     types.String `tfsdk:"prefix"`
	Token      types.String `tfsdk:"token"`
	TokenFile  types.String `tfsdk:"token_file"`
	CAFile     types.String `tfsdk:"ca_file"`
	CertFile   types.String `tfsdk:"cert_file"`
	KeyFile    types.String `tfsdk:"key_file"`
}

// Metadata implements provider.Provider.
func (p *homeostatProvider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "homeostat"
	resp.Version = p.version
}

// Schema implements provider.Provider.
func (p *homeostatProvider) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Keeps services on plain machines: a *cell* is one running instance, the application with the `homeostat` sidecar beside it. " +
			"Cells register themselves in Consul; this provider begins and ends them.",
		Attributes: map[string]schema.Attribute{
			"consul": schema.SingleNestedAttribute{
				MarkdownDescription: "Where Consul is. What is left out comes from Consul's own environment variables, such as `CONSUL_HTTP_ADDR`, `CONSUL_HTTP_TOKEN` and `CONSUL_CACERT`.",
				Optional:            true,
				Attributes:          consulAttributes(),
			},
			"state_directory": schema.StringAttribute{
				MarkdownDescription: "Where the cells born on this host have their folders with record and log, an absolute path. Keep it the same for as long as the cells live. " +
					"Default: the environment variable `HOMEOSTAT_STATE_DIRECTORY`, else `$XDG_STATE_HOME/homeostat/cells`, else `~/.local/state/homeostat/cells`.",
				Optional:   true,
				Validators: []validator.String{absolutePath{}},
			},
			"peers_key_file": schema.StringAttribute{
				MarkdownDescription: "A file with the key that sidecars share, an absolute path: the one that the policy names as `peers.key_file`. " +
					"With it requests to sidecars and orders to leave are signed, and only signed answers are believed. " +
					"Default: the environment variable `HOMEOSTAT_PEERS_KEY_FILE`, which a leader sets for its own applies.",
				Optional:   true,
				Validators: []validator.String{absolutePath{}},
			},
		},
	}
}

func consulAttributes() map[string]schema.Attribute {
	text := func(description string, also ...validator.String) schema.StringAttribute {
		return schema.StringAttribute{
			MarkdownDescription: description, Optional: true,
			Validators: append([]validator.String{stringvalidator.LengthAtLeast(1)}, also...),
		}
	}
	token := text("An ACL token. It then stands in the configuration: rather set `CONSUL_HTTP_TOKEN`, or `token_file`.",
		stringvalidator.ConflictsWith(path.MatchRelative().AtParent().AtName("token_file")))
	token.Sensitive = true
	return map[string]schema.Attribute{
		"address": text("An agent or server, `host:port` or a URL. Default `127.0.0.1:8500`.",
			stringvalidator.ConflictsWith(path.MatchRelative().AtParent().AtName("addresses"))),
		"addresses": schema.ListAttribute{
			MarkdownDescription: "Several of them; when one is gone, the next is used.",
			ElementType:         types.StringType, Optional: true,
			Validators: []validator.List{listvalidator.SizeAtLeast(1), listvalidator.ValueStringsAre(stringvalidator.LengthAtLeast(1))},
		},
		"datacenter": text("The datacenter to ask. Default: that of the agent."),
		"prefix":     text("The folder in Consul's key-value store that everything of Homeostat is under. Default `homeostat`."),
		"token":      token,
		"token_file": text("A file that holds the ACL token."),
		"ca_file":    text("The certificate authority's certificate, PEM."),
		"cert_file":  text("The client's certificate, PEM."),
		"key_file":   text("The client's key, PEM."),
	}
}

// Configure implements provider.Provider.
func (p *homeostatProvider) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var model providerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &model)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if unknown := model.unknown(); unknown != "" {
		if req.ClientCapabilities.DeferralAllowed {
			resp.Deferred = &provider.Deferred{Reason: provider.DeferredReasonProviderConfigUnknown}
		}
		share(resp, &settings{unknown: unknown})
		return
	}
	s, err := newSettings(ctx, model, slog.New(&logHandler{}))
	if err != nil {
		addError(&resp.Diagnostics, "Provider not configured", problem{
			Object: "provider homeostat", Cause: err.Error(), Next: "correct the provider block or the environment variables it falls back to",
		})
		return
	}
	share(resp, s)
}

func share(resp *provider.ConfigureResponse, s *settings) {
	resp.ResourceData, resp.DataSourceData = s, s
}

// unknown names the first part of the block that only an apply will tell.
func (m providerModel) unknown() string {
	switch {
	case m.StateDirectory.IsUnknown():
		return "state_directory"
	case m.PeersKeyFile.IsUnknown():
		return "peers_key_file"
	case m.Consul.IsUnknown():
		return "consul"
	}
	for name, value := range m.Consul.Attributes() {
		if value.IsUnknown() {
			return "consul." + name
		}
	}
	if list, ok := m.Consul.Attributes()["addresses"].(types.List); ok {
		for _, one := range list.Elements() {
			if one.IsUnknown() {
				return "consul.addresses"
			}
		}
	}
	return ""
}

// Resources implements provider.Provider.
func (p *homeostatProvider) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{newCellResource, newHealthCheckResource, newJoinResource}
}

// Functions implements provider.ProviderWithFunctions.
func (p *homeostatProvider) Functions(context.Context) []func() function.Function {
	return []func() function.Function{newUserDataFunction}
}

// DataSources implements provider.Provider.
func (p *homeostatProvider) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{newServiceDataSource, newCellsDataSource}
}
