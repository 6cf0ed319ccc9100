package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// What applies where the configuration is silent.
const (
	defaultCreate = 5 * time.Minute
	defaultDelete = 2 * time.Minute
	defaultDrain  = 10 * time.Second
	defaultGrace  = 20 * time.Second
)

// The values of status.
const (
	statusRunning = "running"
	statusDead    = "dead"
)

// cellModel is homeostat_cell as Terraform keeps it.
type cellModel struct {
	Service       types.String   `tfsdk:"service"`
	Name          types.String   `tfsdk:"name"`
	Process       *processModel  `tfsdk:"process"`
	SSH           *sshModel      `tfsdk:"ssh"`
	Boot          *bootModel     `tfsdk:"boot"`
	DataDirectory types.String   `tfsdk:"data_directory"`
	DeleteData    types.Bool     `tfsdk:"delete_data"`
	Drain         *drainModel    `tfsdk:"drain"`
	Timeouts      timeouts.Value `tfsdk:"timeouts"`
	ID            types.String   `tfsdk:"id"`
	Incarnation   types.String   `tfsdk:"incarnation"`
	Address       types.String   `tfsdk:"address"`
	Port          types.Int64    `tfsdk:"port"`
	BornAt        types.String   `tfsdk:"born_at"`
	Parent        types.String   `tfsdk:"parent"`
	Generation    types.Int64    `tfsdk:"generation"`
	Reason        types.String   `tfsdk:"reason"`
	Host          types.String   `tfsdk:"host"`
	SealedAt      types.String   `tfsdk:"sealed_at"`
	Fingerprint   types.String   `tfsdk:"host_key_fingerprint"`
	Status        types.String   `tfsdk:"status"`
}

type processModel struct {
	Command     types.List   `tfsdk:"command"`
	Environment types.Map    `tfsdk:"environment"`
	Directory   types.String `tfsdk:"directory"`
}

type drainModel struct {
	Timeout types.String `tfsdk:"timeout"`
	Grace   types.String `tfsdk:"grace"`
}

// object names the cell in a diagnostic.
func (m *cellModel) object() string {
	return "cell " + m.Service.ValueString() + "/" + m.Name.ValueString()
}

// cellID is what the id attribute holds, and what import takes.
func cellID(service, name string) string { return service + "/" + name }

func parseCellID(id string) (service, name string, err error) {
	service, name, ok := strings.Cut(id, "/")
	if !ok || birth.CheckName("service", service) != nil || birth.CheckName("name", name) != nil {
		return "", "", fmt.Errorf(`the id %q isn't of the form "<service>/<name>"`, id)
	}
	return service, name, nil
}

// spec is what the cell is to be born as, less incarnation and lineage.
func (m *cellModel) spec(ctx context.Context) (birth.Spec, diag.Diagnostics) {
	var diags diag.Diagnostics
	s := birth.Spec{
		Service: m.Service.ValueString(), Name: m.Name.ValueString(), Incarnation: m.Incarnation.ValueString(),
		DataDirectory: m.DataDirectory.ValueString(),
	}
	if m.Process != nil {
		s.Directory = m.Process.Directory.ValueString()
		diags.Append(m.Process.Command.ElementsAs(ctx, &s.Command, false)...)
		diags.Append(m.Process.Environment.ElementsAs(ctx, &s.Environment, false)...)
	}
	return s, diags
}

// tell fills in who the cell is, from what is on disk of it.
func (m *cellModel) tell(r birth.Record) {
	m.ID = types.StringValue(cellID(r.Service, r.Name))
	m.Incarnation = types.StringValue(r.Incarnation)
	m.BornAt = types.StringValue(r.BornAt.UTC().Format(time.RFC3339Nano))
	m.Host = types.StringValue(r.Host.Name)
	m.Parent, m.Generation, m.Reason = types.StringNull(), types.Int64Null(), types.StringNull()
	if r.Lineage != (birth.Lineage{}) {
		m.Parent = textOrNull(r.Lineage.Parent)
		m.Generation = types.Int64Value(int64(r.Lineage.Generation))
		m.Reason = textOrNull(r.Lineage.Reason)
	}
}

// tellProcess fills in what the cell was begun as, where it isn't what the
// state says: after an import, and when somebody else has begun it anew.
func (m *cellModel) tellProcess(ctx context.Context, r birth.Record) diag.Diagnostics {
	was, diags := m.spec(ctx)
	now := birth.Spec{Command: r.Command, Environment: r.Environment, Directory: r.Directory, DataDirectory: r.DataDirectory}
	if diags.HasError() || sameProcess(was, now) {
		return diags
	}
	m.DataDirectory = textOrNull(r.DataDirectory)
	m.Process = &processModel{Directory: textOrNull(r.Directory), Environment: types.MapNull(types.StringType)}
	var more diag.Diagnostics
	m.Process.Command, more = types.ListValueFrom(ctx, types.StringType, r.Command)
	diags.Append(more...)
	if len(r.Environment) > 0 {
		m.Process.Environment, more = types.MapValueFrom(ctx, types.StringType, r.Environment)
		diags.Append(more...)
	}
	return diags
}

func sameProcess(a, b birth.Spec) bool {
	return slices.Equal(a.Command, b.Command) && maps.Equal(a.Environment, b.Environment) &&
		a.Directory == b.Directory && a.DataDirectory == b.DataDirectory
}

// tellMember fills in what the cell registered, and keeps what is known while
// it isn't registered.
func (m *cellModel) tellMember(member *fleet.Member) {
	if member != nil {
		m.Address = types.StringValue(member.Address)
		m.Port = types.Int64Value(int64(member.Port))
	}
	if m.Address.IsUnknown() {
		m.Address = types.StringNull()
	}
	if m.Port.IsUnknown() {
		m.Port = types.Int64Null()
	}
}

// settle makes null of what the plan left to the apply, so that the model can
// be put into the state before the work begins.
func (m *cellModel) settle() {
	for _, text := range []*types.String{&m.Address, &m.Parent, &m.Reason, &m.Host, &m.Status, &m.BornAt, &m.SealedAt, &m.Fingerprint} {
		if text.IsUnknown() {
			*text = basetypes.NewStringNull()
		}
	}
	for _, number := range []*types.Int64{&m.Port, &m.Generation} {
		if number.IsUnknown() {
			*number = basetypes.NewInt64Null()
		}
	}
}

// drainTime and grace fall back to the defaults; the schema has checked them.
func (m *cellModel) drainTime() time.Duration {
	if m.Drain == nil {
		return defaultDrain
	}
	return durationOr(m.Drain.Timeout, defaultDrain)
}

func (m *cellModel) grace() time.Duration {
	if m.Drain == nil {
		return defaultGrace
	}
	return durationOr(m.Drain.Grace, defaultGrace)
}

func durationOr(text types.String, otherwise time.Duration) time.Duration {
	d, err := time.ParseDuration(text.ValueString())
	if err != nil {
		return otherwise
	}
	return d
}

func textOrNull(s string) types.String {
	if s == "" {
		return types.StringNull()
	}
	return types.StringValue(s)
}
