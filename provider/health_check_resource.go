package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// healthCheckResource is homeostat_health_check.
type healthCheckResource struct{ data any }

var (
	_ resource.ResourceWithConfigure   = (*healthCheckResource)(nil)
	_ resource.ResourceWithImportState = (*healthCheckResource)(nil)
)

func newHealthCheckResource() resource.Resource { return &healthCheckResource{} }

// Metadata implements resource.Resource.
func (r *healthCheckResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_health_check"
}

// Configure implements resource.ResourceWithConfigure.
func (r *healthCheckResource) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	r.data = req.ProviderData
}

// Create registers the instance with the first agent that answers.
func (r *healthCheckResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan healthCheckModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	s := settled(r.data, plan.object(), &resp.Diagnostics)
	if s == nil || resp.Diagnostics.HasError() {
		return
	}
	at, node, err := s.agentOf(ctx, "")
	if err == nil {
		err = vacant(ctx, at, plan)
	}
	if err != nil {
		r.failed(&resp.Diagnostics, s, plan, "Health check not registered", err, "put that right and apply again; nothing was registered")
		return
	}
	plan.ID = types.StringValue(cellID(plan.Service.ValueString(), plan.Name.ValueString()))
	plan.Node = types.StringValue(node)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	r.put(ctx, s, at, plan, &resp.Diagnostics)
}

// vacant returns an error when the agent has a service of that id, which would
// be overwritten.
func vacant(ctx context.Context, at agent, plan healthCheckModel) error {
	there, err := at.registered(ctx, plan.Name.ValueString())
	if err != nil || there == nil {
		return err
	}
	if there.service.Service == plan.Service.ValueString() && there.service.Meta[metaDefinition] != "" {
		return fmt.Errorf("it is registered already; import it with 'terraform import ADDRESS %s'", cellID(plan.Service.ValueString(), plan.Name.ValueString()))
	}
	return fmt.Errorf("the agent has a service with the id %s already, an instance of %s", plan.Name.ValueString(), there.service.Service)
}

func (r *healthCheckResource) put(ctx context.Context, s *settings, at agent, plan healthCheckModel, diags *diag.Diagnostics) {
	registration, more := plan.registration(ctx)
	diags.Append(more...)
	if diags.HasError() {
		return
	}
	if err := at.register(ctx, registration); err != nil {
		r.failed(diags, s, plan, "Health check not registered", err, "put that right and apply again")
	}
}

// Read finds out what the agent holds.
func (r *healthCheckResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state healthCheckModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	s := settled(r.data, state.object(), &resp.Diagnostics)
	if s == nil || resp.Diagnostics.HasError() {
		return
	}
	at, node, err := s.agentOf(ctx, state.Node.ValueString())
	var found *registration
	if err == nil {
		found, err = at.registered(ctx, state.Name.ValueString())
	}
	if err != nil {
		r.failed(&resp.Diagnostics, s, state, "Health check not read", err, "put that right and try again; nothing was changed, and the check stays in the state")
		return
	}
	if found == nil || found.service.Service != state.Service.ValueString() {
		resp.State.RemoveResource(ctx)
		return
	}
	resp.Diagnostics.Append(state.refresh(ctx, *found)...)
	state.Node = types.StringValue(node)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// Update registers again, which replaces service and check in one step.
func (r *healthCheckResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan healthCheckModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	s := settled(r.data, plan.object(), &resp.Diagnostics)
	if s == nil || resp.Diagnostics.HasError() {
		return
	}
	at, node, err := s.agentOf(ctx, plan.Node.ValueString())
	if err != nil {
		r.failed(&resp.Diagnostics, s, plan, "Health check not registered", err, "put that right and apply again; nothing was changed")
		return
	}
	plan.Node = types.StringValue(node)
	r.put(ctx, s, at, plan, &resp.Diagnostics)
	if !resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	}
}

// Delete takes the registration away.
func (r *healthCheckResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state healthCheckModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	s := settled(r.data, state.object(), &resp.Diagnostics)
	if s == nil || resp.Diagnostics.HasError() {
		return
	}
	at, _, err := s.agentOf(ctx, state.Node.ValueString())
	if err == nil {
		err = at.deregister(ctx, state.Name.ValueString())
	}
	if err != nil {
		r.failed(&resp.Diagnostics, s, state, "Health check not removed", err, "put that right and try again; the check stays in the state")
	}
}

// ImportState takes "<service>/<name>" of what an agent among those configured
// holds.
func (r *healthCheckResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	service, name, err := parseCellID(req.ID)
	s := settled(r.data, "health check of "+req.ID, &resp.Diagnostics)
	if s == nil {
		return
	}
	model := healthCheckModel{Service: types.StringValue(service), Name: types.StringValue(name)}
	var node string
	if err == nil {
		node, err = s.holder(ctx, name)
	}
	if err != nil {
		r.failed(&resp.Diagnostics, s, model, "Health check not imported", err, "import it as, for example, front/front-1, with the address of the agent that holds it")
		return
	}
	for attribute, value := range map[string]string{"service": service, "name": name, "node": node} {
		resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root(attribute), value)...)
	}
}

// holder is the node whose agent has a registration; the first that answers
// when none has, so that reading it finds that out.
func (s *settings) holder(ctx context.Context, id string) (string, error) {
	first := ""
	for _, one := range s.fleet.Agents() {
		a := agent{one}
		node, err := a.node(ctx)
		if err != nil {
			return "", err
		}
		found, err := a.registered(ctx, id)
		if err != nil || found != nil {
			return node, err
		}
		if first == "" {
			first = node
		}
	}
	return first, nil
}

func (r *healthCheckResource) failed(diags *diag.Diagnostics, s *settings, m healthCheckModel, summary string, err error, next string) {
	addError(diags, summary, problem{Object: m.object(), Endpoint: s.endpoint(), Cause: err.Error(), Next: next})
}
