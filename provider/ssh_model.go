package main

import (
	"context"
	"net"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// How long a certificate is good, by default and at least.
const (
	defaultCertificate = 10 * time.Minute
	minCertificate     = 10 * time.Second
)

// sshPort is where sshd listens if nothing else is said.
const sshPort = "22"

// sshModel is the attribute ssh.
type sshModel struct {
	Hosts          []sshHostModel     `tfsdk:"hosts"`
	User           types.String       `tfsdk:"user"`
	PrivateKey     types.String       `tfsdk:"private_key"`
	PrivateKeyFile types.String       `tfsdk:"private_key_file"`
	Agent          types.Bool         `tfsdk:"agent"`
	Authority      *sshAuthorityModel `tfsdk:"authority"`
	Secrets        types.Map          `tfsdk:"secrets"`
	TemporaryUser  types.Bool         `tfsdk:"temporary_user"`
	SudoRule       types.String       `tfsdk:"sudo_rule"`
	Reuse          types.Bool         `tfsdk:"reuse"`
}

type sshHostModel struct {
	Address          types.String `tfsdk:"address"`
	HostKeys         types.List   `tfsdk:"host_keys"`
	AcceptNewHostKey types.Bool   `tfsdk:"accept_new_host_key"`
}

type sshAuthorityModel struct {
	KeyFile    types.String `tfsdk:"key_file"`
	Principals types.List   `tfsdk:"principals"`
	TTL        types.String `tfsdk:"ttl"`
}

// endpoint is the host with its port.
func (h sshHostModel) endpoint() string {
	address := h.Address.ValueString()
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(address, sshPort)
}

// pool lists the endpoints of the hosts.
func (m *sshModel) pool() []string {
	all := make([]string, len(m.Hosts))
	for i, h := range m.Hosts {
		all[i] = h.endpoint()
	}
	return all
}

// host returns the host with an endpoint.
func (m *sshModel) host(endpoint string) sshHostModel {
	for _, h := range m.Hosts {
		if h.endpoint() == endpoint {
			return h
		}
	}
	return sshHostModel{}
}

// principals are whom a certificate is for.
func (m *sshModel) principals(ctx context.Context) (all []string, diags diag.Diagnostics) {
	if m.Authority != nil && !m.Authority.Principals.IsNull() {
		diags = m.Authority.Principals.ElementsAs(ctx, &all, false)
	}
	if len(all) == 0 {
		all = []string{m.User.ValueString()}
	}
	return all, diags
}
