package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/boot"
)

// userDataFunction is provider::homeostat::user_data.
type userDataFunction struct{}

func newUserDataFunction() function.Function { return &userDataFunction{} }

// Metadata implements function.Function.
func (*userDataFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "user_data"
}

// The formats of user data.
const (
	formatCloudInit = "cloud-init"
	formatShell     = "shell"
)

var joinTypes = map[string]attr.Type{
	"service": types.StringType, "name": types.StringType, "incarnation": types.StringType, "token": types.StringType,
	"issued_at": types.StringType, "expires_at": types.StringType, "parent": types.StringType, "generation": types.Int64Type, "reason": types.StringType,
	"consul_addresses": types.ListType{ElemType: types.StringType}, "consul_datacenter": types.StringType,
	"consul_prefix": types.StringType, "consul_ca": types.StringType, "published": types.ObjectType{AttrTypes: publishedTypes},
}

// Definition implements function.Function.
func (*userDataFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "User data by which a machine makes a cell of itself at its first boot",
		MarkdownDescription: "Returns user data, at most 16 KiB, for a machine that is to become a cell at its first boot. It fetches the program `homeostat`, checks its digest and runs it; " +
			"that comes with the ticket, gets the cell's secrets, fetches the published bundle, verifies and installs it. " +
			"The machine needs systemd, coreutils and one of curl, wget and python3, and must reach Consul and the store of bundles.\n\n" +
			"What is too large, and a store that no machine can fetch from, is an error when planning. The result is as secret as the ticket.",
		Parameters: []function.Parameter{function.ObjectParameter{
			Name: "machine",
			MarkdownDescription: "`format`: `cloud-init`, or `shell` for images without it. `join`: a `homeostat_join`, which also says of what is published the machine is made. " +
				"`environment`: more for the sidecar's environment, no secrets, or `null`; `AWS_*` in it counts for fetching too.",
			AttributeTypes: map[string]attr.Type{
				"format": types.StringType, "join": types.ObjectType{AttrTypes: joinTypes},
				"environment": types.MapType{ElemType: types.StringType},
			},
			// So that what is too large is told before the ticket is known.
			AllowUnknownValues: true,
		}},
		Return: function.StringReturn{},
	}
}

// Run implements function.Function.
func (*userDataFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var argument types.Object
	if resp.Error = req.Arguments.Get(ctx, &argument); resp.Error != nil {
		return
	}
	text, known, err := userData(ctx, argument)
	switch {
	case err != nil:
		resp.Error = function.NewArgumentFuncError(0, err.Error())
	case known:
		resp.Error = resp.Result.Set(ctx, types.StringValue(text))
	default:
		resp.Error = resp.Result.Set(ctx, types.StringUnknown())
	}
}

// userData renders what is asked for. Where a part isn't known yet a sample takes
// its place, so that what is wrong with the rest is told.
func userData(ctx context.Context, argument types.Object) (text string, known bool, err error) {
	if argument.IsUnknown() {
		return "", false, nil
	}
	r := &userDataReader{known: true}
	in, err := r.read(ctx, argument)
	if err != nil || r.later {
		return "", false, err
	}
	switch in.format {
	case formatCloudInit:
		text, err = boot.CloudConfig(in.order, in.program)
	case formatShell:
		text, err = boot.Shell(in.order, in.program)
	default:
		err = fmt.Errorf("the format %q is neither %q nor %q", in.format, formatCloudInit, formatShell)
	}
	return text, r.known, err
}
