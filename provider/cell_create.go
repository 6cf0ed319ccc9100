package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// Create begins a cell, or takes up the birth of it that was cut, and waits
// until its sidecar has pushed passing. A birth that fails is cleared away; an
// interrupted one is left as it is, in the state, for the next run to clear.
func (r *cellResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan cellModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	s := settled(r.data, plan.object(), &resp.Diagnostics)
	if s == nil || resp.Diagnostics.HasError() {
		return
	}
	switch {
	case plan.SSH != nil:
		r.createOnMachine(ctx, req, resp, s, &plan)
	case plan.Boot != nil:
		r.createByBoot(ctx, resp, s, &plan)
	default:
		r.createProcess(ctx, resp, s, &plan)
	}
}

// createProcess is Create for a process of this host.
func (r *cellResource) createProcess(ctx context.Context, resp *resource.CreateResponse, s *settings, plan *cellModel) {
	limit, diags := plan.Timeouts.Create(ctx, defaultCreate)
	resp.Diagnostics.Append(diags...)
	spec, diags := plan.spec(ctx)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	c := &creation{settings: s, model: plan, spec: spec, limit: limit}
	// What is in the state before the work begins can be found and cleared by
	// the next run, however this one ends.
	c.save = func() error {
		plan.settle()
		d := resp.State.Set(ctx, plan)
		d.Append(resp.Private.SetKey(ctx, birthplaceKey, encodeHost(s.births.Host()))...)
		resp.Diagnostics.Append(d...)
		return asError(d)
	}
	err := c.run(ctx)
	if err == nil {
		resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
		return
	}
	if c.nothingLeft {
		resp.State.RemoveResource(ctx)
	}
	addError(&resp.Diagnostics, "Cell not born", problem{
		Object: plan.object(), Endpoint: s.here(), Cause: err.Error(), Next: c.next(err),
		LogPath: c.logPath, Log: c.log,
	})
}

// creation is one run of Create.
type creation struct {
	*settings
	model *cellModel
	spec  birth.Spec
	limit time.Duration
	save  func() error

	held *birth.Held
	// begun is set once there may be a process or a folder to clear away.
	begun       bool
	nothingLeft bool
	logPath     string
	log         []string
}

func (c *creation) run(ctx context.Context) error {
	bounded, cancel := context.WithTimeoutCause(ctx, c.limit, fmt.Errorf("it took longer than timeouts.create = %v", c.limit))
	defer cancel()
	held, err := c.births.Hold(bounded, c.spec.Service, c.spec.Name)
	if err != nil {
		c.nothingLeft = true
		return err
	}
	defer held.Release()
	c.held = held
	if err := c.begin(bounded); err != nil {
		return c.failed(ctx, err)
	}
	return nil
}

func (c *creation) begin(ctx context.Context) error {
	old, err := c.conceive(ctx)
	if err != nil {
		c.nothingLeft = true
		return err
	}
	// An order taken up again has removed this very life, perhaps by half, before
	// it begins it anew.
	if err := c.fleet.TakeUp(ctx, c.spec.Service, fleet.Cell{Name: c.spec.Name, Incarnation: c.spec.Incarnation}); err != nil {
		c.nothingLeft = true
		return err
	}
	c.model.Incarnation = types.StringValue(c.spec.Incarnation)
	c.model.ID = types.StringValue(cellID(c.spec.Service, c.spec.Name))
	if err := c.save(); err != nil {
		return err
	}
	c.begun = true
	newborn, err := c.held.Adopt(c.spec)
	if err == nil && newborn == nil {
		newborn, err = c.bear(ctx, old)
	}
	if err != nil {
		return err
	}
	tflog.Info(ctx, "cell begun", map[string]any{"cell": c.spec.ID(), "pid": newborn.PID, "adopted": newborn.Adopted})
	member, err := c.await(ctx, newborn)
	if err != nil {
		return err
	}
	if err := c.held.Born(); err != nil {
		return err
	}
	c.model.tell(newborn.Record)
	c.model.tellMember(member)
	c.model.Status = types.StringValue(statusRunning)
	return nil
}

// bear clears away what is left of earlier lives, and starts the process.
func (c *creation) bear(ctx context.Context, old []string) (*birth.Newborn, error) {
	if err := c.held.End(ctx, c.model.grace()); err != nil {
		return nil, fmt.Errorf("clear the remains of an earlier birth: %w", err)
	}
	// A registration that outlived its process would be taken for this one's.
	for _, id := range old {
		if err := c.fleet.Deregister(ctx, id); err != nil {
			return nil, fmt.Errorf("clear the remains of an earlier birth: %w", err)
		}
	}
	return c.held.Start(c.spec)
}

// failed ends what was begun, so that a failed birth leaves neither process
// nor registration; unless it was interrupted, when there is no time for that.
func (c *creation) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil || !c.begun {
		return err
	}
	c.logPath = c.births.LogPath(c.spec.Service, c.spec.Name)
	var tail error
	if c.log, tail = c.births.Tail(c.spec.Service, c.spec.Name, 20); tail != nil {
		err = errors.Join(err, tail)
	}
	ctx, cancel := context.WithTimeout(ctx, c.model.grace()+time.Minute)
	defer cancel()
	if cleared := c.clear(ctx); cleared != nil {
		return fmt.Errorf("%w\nand it was not cleared away: %w", err, cleared)
	}
	c.nothingLeft = true
	return err
}

func (c *creation) clear(ctx context.Context) error {
	if err := c.held.End(ctx, c.model.grace()); err != nil {
		return err
	}
	if err := c.fleet.Deregister(ctx, c.spec.ID()); err != nil {
		return err
	}
	return c.held.Forget()
}

// next says what to do about a birth that failed.
func (c *creation) next(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "apply again: the cell stands in the state as tainted, and what runs of it is ended before it is born anew"
	case errors.Is(err, birth.ErrDataGone):
		return "bring the data back before you apply again"
	case c.begun && c.nothingLeft:
		return "see why in the lines below, put it right and apply again; nothing of this birth is left"
	case c.begun:
		return "put that right and apply again: the cell stands in the state as tainted, and its remains are ended first"
	}
	return nextStep(err, "put that right and apply again; nothing was begun")
}
