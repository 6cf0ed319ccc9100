package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/boot"
)

// userDataArgument is what the function user_data takes.
type userDataArgument struct {
	Format      types.String `tfsdk:"format"`
	Join        types.Object `tfsdk:"join"`
	Environment types.Map    `tfsdk:"environment"`
}

// joinArgument is what of a homeostat_join goes into user data.
type joinArgument struct {
	Service     types.String `tfsdk:"service"`
	Name        types.String `tfsdk:"name"`
	Incarnation types.String `tfsdk:"incarnation"`
	Token       types.String `tfsdk:"token"`
	IssuedAt    types.String `tfsdk:"issued_at"`
	ExpiresAt   types.String `tfsdk:"expires_at"`
	Parent      types.String `tfsdk:"parent"`
	Generation  types.Int64  `tfsdk:"generation"`
	Reason      types.String `tfsdk:"reason"`
	Addresses   types.List   `tfsdk:"consul_addresses"`
	Datacenter  types.String `tfsdk:"consul_datacenter"`
	Prefix      types.String `tfsdk:"consul_prefix"`
	CA          types.String `tfsdk:"consul_ca"`
	Published   types.Object `tfsdk:"published"`
}

// userDataInput is what user data is rendered from.
type userDataInput struct {
	format  string
	order   boot.Order
	program boot.Program
}

// userDataReader reads the argument. known is false once a sample has taken the
// place of something, later once there is too little to say anything about.
type userDataReader struct{ known, later bool }

func (r *userDataReader) text(v types.String, sample string) string {
	if v.IsUnknown() {
		r.known = false
		return sample
	}
	return v.ValueString()
}

func (r *userDataReader) read(ctx context.Context, argument types.Object) (in userDataInput, err error) {
	var a userDataArgument
	if diags := argument.As(ctx, &a, basetypes.ObjectAsOptions{}); diags.HasError() {
		return in, asError(diags)
	}
	in.format = r.text(a.Format, formatCloudInit)
	if err := r.join(ctx, a.Join, &in); err != nil {
		return in, err
	}
	return in, r.environment(ctx, a.Environment, &in.order)
}

// join reads whose the machine is to be, how it reaches Consul, and of what it is
// made.
func (r *userDataReader) join(ctx context.Context, from types.Object, in *userDataInput) error {
	o := &in.order
	if from.IsNull() {
		return errors.New("join is null: give a homeostat_join")
	}
	if from.IsUnknown() {
		r.later = true
		return nil
	}
	var j joinArgument
	if diags := from.As(ctx, &j, basetypes.ObjectAsOptions{}); diags.HasError() {
		return asError(diags)
	}
	incarnation, err := birth.NewIncarnation(time.Time{}, zeros{})
	if err != nil {
		return err
	}
	sample, err := boot.NewTicket("service", "name", incarnation)
	if err != nil {
		return err
	}
	o.Ticket = boot.Ticket{
		Service: r.text(j.Service, sample.Service), Name: r.text(j.Name, sample.Name),
		Incarnation: r.text(j.Incarnation, sample.Incarnation), Token: r.text(j.Token, sample.Token),
	}
	o.Prefix, o.Datacenter, o.ConsulCA = r.text(j.Prefix, ""), r.text(j.Datacenter, ""), r.text(j.CA, "")
	if o.Consul, err = r.addresses(ctx, j.Addresses); err != nil {
		return err
	}
	sampleTime := time.Unix(0, 0).UTC().Format(time.RFC3339)
	if o.Deadline, err = time.Parse(time.RFC3339, r.text(j.ExpiresAt, sampleTime)); err != nil {
		return fmt.Errorf("join.expires_at: %w", err)
	}
	issued, err := time.Parse(time.RFC3339Nano, r.text(j.IssuedAt, sampleTime))
	if err != nil {
		return fmt.Errorf("join.issued_at: %w", err)
	}
	o.Lifetime = int(o.Deadline.Sub(issued).Seconds())
	r.lineage(j, o)
	return r.published(ctx, j.Published, in)
}

// lineage tells the cell who ordered it.
func (r *userDataReader) lineage(j joinArgument, o *boot.Order) {
	o.Environment = map[string]string{}
	if j.Generation.IsUnknown() {
		r.known = false
	}
	of := birth.Spec{Lineage: birth.Lineage{
		Parent: r.text(j.Parent, ""), Generation: int(j.Generation.ValueInt64()), Reason: r.text(j.Reason, ""),
	}}.Identity()
	for _, name := range []string{"HOMEOSTAT_PARENT", "HOMEOSTAT_GENERATION", "HOMEOSTAT_REASON"} {
		if value := of[name]; value != "" {
			o.Environment[name] = value
		}
	}
}

func (r *userDataReader) addresses(ctx context.Context, from types.List) (all []string, err error) {
	if from.IsUnknown() {
		r.known = false
		return []string{"127.0.0.1:8500"}, nil
	}
	var texts []types.String
	if diags := from.ElementsAs(ctx, &texts, false); diags.HasError() {
		return nil, asError(diags)
	}
	for _, text := range texts {
		all = append(all, r.text(text, "127.0.0.1:8500"))
	}
	return all, nil
}

// published reads what the machine is to be made of.
func (r *userDataReader) published(ctx context.Context, from types.Object, in *userDataInput) error {
	if from.IsUnknown() {
		r.later = true
		return nil
	}
	var p *publishedModel
	if !from.IsNull() {
		value, err := from.ToTerraformValue(ctx)
		if err != nil {
			return err
		}
		if !value.IsFullyKnown() {
			r.later = true
			return nil
		}
		if diags := from.As(ctx, &p, basetypes.ObjectAsOptions{}); diags.HasError() {
			return asError(diags)
		}
	}
	if err := p.check(in.order.Ticket.Service); err != nil {
		return err
	}
	in.order.Bundle, in.order.Genome, in.order.Store = p.Bundle.ValueString(), p.Genome.ValueString(), p.Store.ValueString()
	in.program = boot.Program{URL: p.Program.URL.ValueString(), SHA256: p.Program.SHA256.ValueString()}
	return nil
}

// environment adds what the caller wants the sidecar to have.
func (r *userDataReader) environment(ctx context.Context, from types.Map, o *boot.Order) error {
	if from.IsUnknown() {
		r.known = false
		return nil
	}
	texts := map[string]types.String{}
	if diags := from.ElementsAs(ctx, &texts, false); !from.IsNull() && diags.HasError() {
		return asError(diags)
	}
	more := map[string]string{}
	for name, text := range texts {
		more[name] = r.text(text, "")
		if err := birth.CheckVariable(name, more[name]); err != nil {
			return err
		}
	}
	maps.Copy(o.Environment, more)
	return nil
}

// zeros gives bytes where a sample needs some.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) { return len(p), nil }
