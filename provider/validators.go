package main

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
)

// absolutePath wants a clean absolute path, so that one place has one name.
type absolutePath struct{}

// Description implements validator.String.
func (absolutePath) Description(context.Context) string {
	return `must be an absolute path without ".", ".." or a slash at its end`
}

// MarkdownDescription implements validator.String.
func (v absolutePath) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

// ValidateString implements validator.String.
func (v absolutePath) ValidateString(ctx context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if p := req.ConfigValue.ValueString(); !filepath.IsAbs(p) || filepath.Clean(p) != p {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid path", "The value "+strconv.Quote(p)+" "+v.Description(ctx)+".")
	}
}

// duration wants a length of time, such as "30s", and at least the given one.
type duration struct{ least time.Duration }

// Description implements validator.String.
func (v duration) Description(context.Context) string {
	return `must be a duration such as "30s" or "1m30s", and at least ` + v.least.String()
}

// MarkdownDescription implements validator.String.
func (v duration) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

// ValidateString implements validator.String.
func (v duration) ValidateString(ctx context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	d, err := time.ParseDuration(req.ConfigValue.ValueString())
	if err != nil || d < v.least {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid duration", "The value "+strconv.Quote(req.ConfigValue.ValueString())+" "+v.Description(ctx)+".")
	}
}

// cellName wants what can name a service or a cell.
type cellName struct{ what string }

// Description implements validator.String.
func (v cellName) Description(context.Context) string {
	return `must be 1 to 63 letters, digits, "-" and "_", and begin and end with a letter or digit`
}

// MarkdownDescription implements validator.String.
func (v cellName) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

// ValidateString implements validator.String.
func (v cellName) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if err := birth.CheckName(v.what, req.ConfigValue.ValueString()); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid name", "The "+err.Error()+".")
	}
}

// environment wants names and values that can stand in a process's environment.
type environment struct{}

// Description implements validator.Map.
func (environment) Description(context.Context) string {
	return "must be environment variables other than those by which Homeostat tells a cell who it is"
}

// MarkdownDescription implements validator.Map.
func (v environment) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

// ValidateMap implements validator.Map.
func (v environment) ValidateMap(_ context.Context, req validator.MapRequest, resp *validator.MapResponse) {
	for name, value := range req.ConfigValue.Elements() {
		text, ok := value.(types.String)
		if !ok || text.IsUnknown() {
			continue
		}
		if err := birth.CheckVariable(name, text.ValueString()); err != nil {
			resp.Diagnostics.AddAttributeError(req.Path.AtMapKey(name), "Invalid environment variable", "The "+err.Error()+".")
		}
	}
}

// serviceMeta wants meta data that Consul takes and that isn't Homeostat's own.
type serviceMeta struct{}

// Description implements validator.Map.
func (serviceMeta) Description(context.Context) string {
	return `must have keys of letters, digits, "-" and "_" that don't begin with "homeostat_", and values of at most 512 bytes`
}

// MarkdownDescription implements validator.Map.
func (v serviceMeta) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

var metaKey = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)

// ValidateMap implements validator.Map.
func (v serviceMeta) ValidateMap(ctx context.Context, req validator.MapRequest, resp *validator.MapResponse) {
	for key, value := range req.ConfigValue.Elements() {
		text, _ := value.(types.String)
		if !metaKey.MatchString(key) || strings.HasPrefix(key, ownMeta) || len(text.ValueString()) > 512 {
			resp.Diagnostics.AddAttributeError(req.Path.AtMapKey(key), "Invalid meta data", "The meta data "+v.Description(ctx)+".")
		}
	}
}

// httpURL wants what an HTTP check can ask for.
type httpURL struct{}

// Description implements validator.String.
func (httpURL) Description(context.Context) string {
	return `must be a URL with a host that begins with "http://" or "https://"`
}

// MarkdownDescription implements validator.String.
func (v httpURL) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

// ValidateString implements validator.String.
func (v httpURL) ValidateString(ctx context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	u, err := url.Parse(req.ConfigValue.ValueString())
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid URL", "The value "+strconv.Quote(req.ConfigValue.ValueString())+" "+v.Description(ctx)+".")
	}
}

// hostPort wants what a TCP check can connect to.
type hostPort struct{}

// Description implements validator.String.
func (hostPort) Description(context.Context) string { return `must be of the form "host:port"` }

// MarkdownDescription implements validator.String.
func (v hostPort) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

// ValidateString implements validator.String.
func (v hostPort) ValidateString(ctx context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if !isHostPort(req.ConfigValue.ValueString()) {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid address", "The value "+strconv.Quote(req.ConfigValue.ValueString())+" "+v.Description(ctx)+".")
	}
}

func isHostPort(address string) bool {
	host, port, err := net.SplitHostPort(address)
	_, numeric := strconv.ParseUint(port, 10, 16)
	return err == nil && host != "" && numeric == nil
}

// machineAddress wants what can be entered over SSH: a host, with a port or without.
type machineAddress struct{}

// Description implements validator.String.
func (machineAddress) Description(context.Context) string {
	return `must be of the form "host" or "host:port"`
}

// MarkdownDescription implements validator.String.
func (v machineAddress) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

// ValidateString implements validator.String.
func (v machineAddress) ValidateString(ctx context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	address := req.ConfigValue.ValueString()
	_, err := netip.ParseAddr(address)
	host := address != "" && !strings.ContainsAny(address, ":/@ ")
	if err != nil && !host && !isHostPort(address) {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid address", "The value "+strconv.Quote(address)+" "+v.Description(ctx)+".")
	}
}
