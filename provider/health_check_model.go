package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// Consul's own limits, and one of sense: less than a second is a load of its own.
const (
	minInterval   = time.Second
	minTTL        = time.Second
	minDeregister = time.Minute
)

// The meta data by which the fleet knows the instance, and by which a check
// that somebody changed is told from ours.
const (
	fleetTag       = "homeostat"
	ownMeta        = "homeostat_"
	metaCell       = ownMeta + "cell"
	metaDefinition = ownMeta + "check"
)

// changed stands in the state for what the agent doesn't tell of a check that
// is not as it was registered.
const changed = "(changed outside of Terraform)"

// healthCheckModel is homeostat_health_check as Terraform keeps it.
type healthCheckModel struct {
	Service         types.String    `tfsdk:"service"`
	Name            types.String    `tfsdk:"name"`
	Address         types.String    `tfsdk:"address"`
	Port            types.Int64     `tfsdk:"port"`
	Tags            types.List      `tfsdk:"tags"`
	Meta            types.Map       `tfsdk:"meta"`
	HTTP            *httpCheckModel `tfsdk:"http"`
	TCP             *tcpCheckModel  `tfsdk:"tcp"`
	TTL             *ttlCheckModel  `tfsdk:"ttl"`
	DeregisterAfter types.String    `tfsdk:"deregister_after"`
	ID              types.String    `tfsdk:"id"`
	Node            types.String    `tfsdk:"node"`
}

type httpCheckModel struct {
	URL           types.String `tfsdk:"url"`
	Method        types.String `tfsdk:"method"`
	Headers       types.Map    `tfsdk:"headers"`
	TLSSkipVerify types.Bool   `tfsdk:"tls_skip_verify"`
	Interval      types.String `tfsdk:"interval"`
	Timeout       types.String `tfsdk:"timeout"`
}

type tcpCheckModel struct {
	Address  types.String `tfsdk:"address"`
	Interval types.String `tfsdk:"interval"`
	Timeout  types.String `tfsdk:"timeout"`
}

type ttlCheckModel struct {
	TTL types.String `tfsdk:"ttl"`
}

func (m *healthCheckModel) object() string {
	return "health check of " + m.Service.ValueString() + "/" + m.Name.ValueString()
}

// registration is what the agent is told.
func (m *healthCheckModel) registration(ctx context.Context) (*api.AgentServiceRegistration, diag.Diagnostics) {
	var diags diag.Diagnostics
	check := m.check(ctx, &diags)
	r := &api.AgentServiceRegistration{
		ID: m.Name.ValueString(), Name: m.Service.ValueString(), Address: m.Address.ValueString(),
		Port: int(m.Port.ValueInt64()), Meta: map[string]string{}, Check: check,
	}
	diags.Append(m.Tags.ElementsAs(ctx, &r.Tags, false)...)
	diags.Append(m.Meta.ElementsAs(ctx, &r.Meta, false)...)
	if r.Meta == nil {
		r.Meta = map[string]string{}
	}
	r.Tags = append(r.Tags, fleetTag)
	r.Meta[metaCell] = m.Name.ValueString()
	r.Meta[metaDefinition] = digestOf(check)
	return r, diags
}

func (m *healthCheckModel) check(ctx context.Context, diags *diag.Diagnostics) *api.AgentServiceCheck {
	c := &api.AgentServiceCheck{
		CheckID: "service:" + m.Name.ValueString(), DeregisterCriticalServiceAfter: m.DeregisterAfter.ValueString(),
	}
	switch {
	case m.HTTP != nil:
		var headers map[string]string
		diags.Append(m.HTTP.Headers.ElementsAs(ctx, &headers, false)...)
		c.Name, c.HTTP, c.Method = "HTTP", m.HTTP.URL.ValueString(), m.HTTP.Method.ValueString()
		c.TLSSkipVerify = m.HTTP.TLSSkipVerify.ValueBool()
		c.Interval, c.Timeout = m.HTTP.Interval.ValueString(), m.HTTP.Timeout.ValueString()
		for name, value := range headers {
			if c.Header == nil {
				c.Header = map[string][]string{}
			}
			c.Header[name] = []string{value}
		}
	case m.TCP != nil:
		c.Name, c.TCP = "TCP", m.TCP.Address.ValueString()
		c.Interval, c.Timeout = m.TCP.Interval.ValueString(), m.TCP.Timeout.ValueString()
	case m.TTL != nil:
		c.Name, c.TTL = "TTL", m.TTL.TTL.ValueString()
	}
	return c
}

// digestOf names a check's definition, which an agent doesn't tell in full.
func digestOf(c *api.AgentServiceCheck) string {
	b, _ := json.Marshal(c) // Strings, a map and booleans always can be.
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// refresh takes over what the agent holds. Of the check it tells the kind,
// interval and timeout; whether the rest is as it was registered shows in the
// meta data, which whoever registers anew replaces too.
func (m *healthCheckModel) refresh(ctx context.Context, r registration) diag.Diagnostics {
	was, diags := m.registration(ctx)
	m.ID = types.StringValue(cellID(m.Service.ValueString(), m.Name.ValueString()))
	m.Address = types.StringValue(r.service.Address)
	m.Port = types.Int64Null()
	if r.service.Port != 0 {
		m.Port = types.Int64Value(int64(r.service.Port))
	}
	tags := slices.DeleteFunc(slices.Clone(r.service.Tags), func(t string) bool { return t == fleetTag })
	if len(tags) == len(r.service.Tags) {
		tags = append(tags, changed) // Without its own tag the fleet doesn't see it.
	}
	m.Tags = types.ListNull(types.StringType)
	if len(tags) > 0 {
		m.Tags = textList(tags)
	}
	m.refreshMeta(r.service.Meta)
	if r.check == nil {
		m.HTTP, m.TCP, m.TTL = nil, nil, nil
		return diags
	}
	m.refreshCheck(r, r.service.Meta[metaDefinition] == was.Meta[metaDefinition])
	return diags
}

func (m *healthCheckModel) refreshMeta(meta map[string]string) {
	m.Meta = types.MapNull(types.StringType)
	own := map[string]string{}
	for key, value := range meta {
		if !strings.HasPrefix(key, ownMeta) {
			own[key] = value
		}
	}
	if len(own) > 0 {
		m.Meta = textMap(own)
	}
}

// refreshCheck keeps what the state says where the agent holds the same.
func (m *healthCheckModel) refreshCheck(r registration, same bool) {
	http, tcp, ttl := m.HTTP, m.TCP, m.TTL
	m.HTTP, m.TCP, m.TTL = nil, nil, nil
	unlessSame := func(was types.String) types.String {
		if same {
			return was
		}
		return types.StringValue(changed)
	}
	switch r.check.Type {
	case "http":
		if http == nil {
			http = &httpCheckModel{Method: types.StringValue("GET"), TLSSkipVerify: types.BoolValue(false), Headers: types.MapNull(types.StringType)}
		}
		m.HTTP = http
		http.URL = unlessSame(http.URL)
		http.Interval, http.Timeout = durationNow(http.Interval, r.check.Interval), durationNow(http.Timeout, r.check.Timeout)
	case "tcp":
		if tcp == nil {
			tcp = &tcpCheckModel{}
		}
		m.TCP = tcp
		tcp.Address = unlessSame(tcp.Address)
		tcp.Interval, tcp.Timeout = durationNow(tcp.Interval, r.check.Interval), durationNow(tcp.Timeout, r.check.Timeout)
	case "ttl":
		if ttl == nil {
			ttl = &ttlCheckModel{}
		}
		m.TTL = ttl
		ttl.TTL = unlessSame(ttl.TTL)
	}
}

// durationNow keeps the way a duration was written while it is the same.
func durationNow(was types.String, now string) types.String {
	a, err1 := time.ParseDuration(was.ValueString())
	b, err2 := time.ParseDuration(now)
	if err1 == nil && err2 == nil && a == b {
		return was
	}
	return types.StringValue(now)
}
