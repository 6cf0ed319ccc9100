package main

import (
	"context"
	"errors"

	"github.com/hashicorp/terraform-plugin-framework-validators/resourcevalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
)

// cellResource is homeostat_cell.
type cellResource struct{ data any }

var (
	_ resource.ResourceWithConfigure        = (*cellResource)(nil)
	_ resource.ResourceWithModifyPlan       = (*cellResource)(nil)
	_ resource.ResourceWithImportState      = (*cellResource)(nil)
	_ resource.ResourceWithConfigValidators = (*cellResource)(nil)
)

// ConfigValidators implements resource.ResourceWithConfigValidators.
func (r *cellResource) ConfigValidators(context.Context) []resource.ConfigValidator {
	ssh, boot := path.MatchRoot("ssh"), path.MatchRoot("boot")
	return []resource.ConfigValidator{
		resourcevalidator.ExactlyOneOf(path.MatchRoot("process"), ssh, boot),
		// On a machine of its own the genome says where data lie.
		resourcevalidator.Conflicting(ssh, path.MatchRoot("data_directory")),
		resourcevalidator.Conflicting(boot, path.MatchRoot("data_directory")),
	}
}

func newCellResource() resource.Resource { return &cellResource{} }

// Metadata implements resource.Resource.
func (r *cellResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_cell"
}

// Configure implements resource.ResourceWithConfigure.
func (r *cellResource) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	r.data = req.ProviderData
}

// ModifyPlan plans the id as soon as it can be told, the replacement of a cell
// that is dead, and refuses a data directory that can't be one.
func (r *cellResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	planLifeOver(ctx, req, resp)
	if req.Plan.Raw.IsNull() {
		return
	}
	var plan cellModel
	// Parts of process may be unknown, and then its model can't hold them.
	for name, target := range map[string]any{
		"service": &plan.Service, "name": &plan.Name, "data_directory": &plan.DataDirectory, "delete_data": &plan.DeleteData,
	} {
		resp.Diagnostics.Append(req.Plan.GetAttribute(ctx, path.Root(name), target)...)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	r.checkData(plan, resp)
	if req.State.Raw.IsNull() {
		checkSecrets(ctx, req, resp, plan.object())
		if !plan.Service.IsUnknown() && !plan.Name.IsUnknown() {
			id := cellID(plan.Service.ValueString(), plan.Name.ValueString())
			resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("id"), id)...)
		}
		return
	}
	var status types.String
	resp.Diagnostics.Append(req.State.GetAttribute(ctx, path.Root("status"), &status)...)
	if status.ValueString() == statusDead {
		resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("status"), statusRunning)...)
		resp.RequiresReplace = append(resp.RequiresReplace, path.Root("status"))
	}
}

func (r *cellResource) checkData(plan cellModel, resp *resource.ModifyPlanResponse) {
	s, ok := r.data.(*settings)
	if !ok || s.unknown != "" || plan.DataDirectory.IsUnknown() || plan.DataDirectory.IsNull() {
		return
	}
	if err := s.births.CheckData(plan.DataDirectory.ValueString(), plan.DeleteData.ValueBool()); err != nil {
		resp.Diagnostics.AddAttributeError(path.Root("data_directory"), "Data directory refused", problem{
			Object: plan.object(), Endpoint: "host " + s.births.Host().Name, Cause: err.Error(),
			Next: "give the cell a directory of its own, such as /var/lib/homeostat/" + plan.Name.ValueString(),
		}.String())
	}
}

// Update writes into the state what is only asked for when the cell leaves.
// Everything else replaces the cell.
func (r *cellResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan cellModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	plan.settle()
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// ImportState takes "<service>/<name>" of a cell that was born on this host, or on a
// machine of a pool. Read finds out which.
func (r *cellResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	service, name, err := parseCellID(req.ID)
	if err != nil {
		addError(&resp.Diagnostics, "Cell not imported", problem{
			Object: "cell " + req.ID, Cause: err.Error(), Next: "import it as, for example, crawler/crawler-3",
		})
		return
	}
	for attribute, value := range map[string]any{"service": service, "name": name, "id": req.ID, "delete_data": false} {
		resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root(attribute), value)...)
	}
}

// nextStep says what to do about an error that has to do with where the cell is.
func nextStep(err error, otherwise string) string {
	if elsewhere, ok := errors.AsType[*birth.ElsewhereError](err); ok {
		return "run Terraform on host " + elsewhere.There.Name + ", where the cell is; if that host is gone for good, take the cell out of the state with 'terraform state rm'"
	}
	if errors.Is(err, birth.ErrSelf) {
		return "run Terraform from outside of the cell, or let another cell lead"
	}
	return otherwise
}
