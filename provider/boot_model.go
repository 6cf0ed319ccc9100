package main

import (
	"context"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/boot"
)

// bootModel is the attribute boot.
type bootModel struct {
	Join    *bootJoinModel `tfsdk:"join"`
	Machine types.String   `tfsdk:"machine"`
	Any     types.Bool     `tfsdk:"any_machine"`
	Secrets types.Map      `tfsdk:"secrets"`
	Console types.List     `tfsdk:"console"`
}

// bootJoinModel is what of a homeostat_join the birth needs.
type bootJoinModel struct {
	Incarnation types.String `tfsdk:"incarnation"`
	Token       types.String `tfsdk:"token"`
}

// bootTicket is the ticket that the cell's machine comes with.
func (m *cellModel) bootTicket() boot.Ticket {
	return boot.Ticket{
		Service: m.Service.ValueString(), Name: m.Name.ValueString(),
		Incarnation: m.Boot.Join.Incarnation.ValueString(), Token: m.Boot.Join.Token.ValueString(),
	}
}

// awaited is the id that the machine has to know as its own, empty for any.
func (m *bootModel) awaited() string {
	if m.Any.ValueBool() {
		return ""
	}
	return m.Machine.ValueString()
}

// console is the command that prints the machine's console, nil for none.
func (m *bootModel) console(ctx context.Context) (command []string) {
	if !m.Console.IsNull() {
		m.Console.ElementsAs(ctx, &command, false) // the schema has checked it
	}
	return command
}

// readSecrets reads the content of the secrets' files.
func readSecrets(ctx context.Context, all types.Map) (map[string]string, error) {
	files := map[string]string{}
	if diags := all.ElementsAs(ctx, &files, false); diags.HasError() {
		return nil, asError(diags)
	}
	for name, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the secret %s: %w", name, err)
		}
		files[name] = string(content)
	}
	return files, nil
}

// checkSecrets refuses when planning what the birth of a new cell would stumble over
// once its machine is there.
func checkSecrets(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse, object string) {
	var b types.Object
	resp.Diagnostics.Append(req.Plan.GetAttribute(ctx, path.Root("boot"), &b)...)
	files, ok := b.Attributes()["secrets"].(types.Map)
	if !ok || files.IsNull() {
		return
	}
	if value, err := files.ToTerraformValue(ctx); err != nil || !value.IsFullyKnown() {
		return
	}
	secrets, err := readSecrets(ctx, files)
	if err == nil {
		err = boot.CheckSecrets(secrets)
	}
	if err != nil {
		resp.Diagnostics.AddAttributeError(path.Root("boot").AtName("secrets"), "Secrets refused", problem{
			Object: object, Cause: err.Error(), Next: "put that right and try again; nothing was changed",
		}.String())
	}
}
