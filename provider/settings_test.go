package main

import (
	"reflect"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

func TestStateDirectory(t *testing.T) {
	cases := map[string]struct {
		configured string
		env        map[string]string
		want       string // empty for an error
	}{
		"configured":      {"/srv/cells", map[string]string{"HOMEOSTAT_STATE_DIRECTORY": "/x", "HOME": "/home/a"}, "/srv/cells"},
		"relative":        {"cells", nil, ""},
		"variable":        {"", map[string]string{"HOMEOSTAT_STATE_DIRECTORY": "/x", "XDG_STATE_HOME": "/s"}, "/x"},
		"relative one":    {"", map[string]string{"HOMEOSTAT_STATE_DIRECTORY": "x", "HOME": "/home/a"}, ""},
		"XDG":             {"", map[string]string{"XDG_STATE_HOME": "/s", "HOME": "/home/a"}, "/s/homeostat/cells"},
		"relative XDG":    {"", map[string]string{"XDG_STATE_HOME": "s", "HOME": "/home/a"}, "/home/a/.local/state/homeostat/cells"},
		"home":            {"", map[string]string{"HOME": "/home/a"}, "/home/a/.local/state/homeostat/cells"},
		"nothing":         {"", nil, ""},
		"a relative home": {"", map[string]string{"HOME": "."}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := stateDirectory(c.configured, func(name string) string { return c.env[name] })
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

// consulBlock is a consul attribute with the given values and the rest null.
func consulBlock(values map[string]attr.Value) types.Object {
	kinds, all := map[string]attr.Type{}, map[string]attr.Value{}
	for name, attribute := range consulAttributes() {
		kinds[name] = attribute.GetType()
		all[name] = types.StringNull()
		if name == "addresses" {
			all[name] = types.ListNull(types.StringType)
		}
		if v, ok := values[name]; ok {
			all[name] = v
		}
	}
	return types.ObjectValueMust(kinds, all)
}

func TestFleetConfig(t *testing.T) {
	cases := map[string]struct {
		consul types.Object
		want   fleet.Config
	}{
		"absent": {types.ObjectNull(nil), fleet.Config{}},
		"empty":  {consulBlock(nil), fleet.Config{}},
		"one address": {
			consulBlock(map[string]attr.Value{"address": types.StringValue("a:1"), "token": types.StringValue("t"), "prefix": types.StringValue("p")}),
			fleet.Config{Addresses: []string{"a:1"}, Token: "t", Prefix: "p"},
		},
		"several": {
			consulBlock(map[string]attr.Value{"addresses": textList([]string{"a:1", "b:2"}), "datacenter": types.StringValue("d"), "token_file": types.StringValue("/t"),
				"ca_file": types.StringValue("/ca"), "cert_file": types.StringValue("/c"), "key_file": types.StringValue("/k")}),
			fleet.Config{Addresses: []string{"a:1", "b:2"}, Datacenter: "d", TokenFile: "/t", CAFile: "/ca", CertFile: "/c", KeyFile: "/k"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := providerModel{Consul: c.consul}.fleetConfig(t.Context())
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestUnknownSettings(t *testing.T) {
	cases := map[string]struct {
		model providerModel
		want  string
	}{
		"nothing":     {providerModel{Consul: consulBlock(nil)}, ""},
		"null":        {providerModel{Consul: types.ObjectNull(nil)}, ""},
		"directory":   {providerModel{StateDirectory: types.StringUnknown(), Consul: consulBlock(nil)}, "state_directory"},
		"all of it":   {providerModel{Consul: types.ObjectUnknown(nil)}, "consul"},
		"address":     {providerModel{Consul: consulBlock(map[string]attr.Value{"address": types.StringUnknown()})}, "consul.address"},
		"one of many": {providerModel{Consul: consulBlock(map[string]attr.Value{"addresses": types.ListValueMust(types.StringType, []attr.Value{types.StringUnknown()})})}, "consul.addresses"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := c.model.unknown(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSettled(t *testing.T) {
	var diags diag.Diagnostics
	if s := settled(&settings{}, "cell a/b", &diags); s == nil || diags.HasError() {
		t.Errorf("refused: %v", diags)
	}
	if s := settled(&settings{unknown: "consul.address"}, "cell a/b", &diags); s != nil || len(diags) != 1 {
		t.Errorf("got %v, %v", s, diags)
	}
	want := `Object:   cell a/b
Cause:    the provider's consul.address is known only after an apply, and without it nothing can be read
Next:     give a value that is known when planning, or apply first, with -target, what it comes from`
	if diags[0].Detail() != want {
		t.Errorf("got\n%s\nwant\n%s", diags[0].Detail(), want)
	}
	if s := settled(nil, "cell a/b", &diags); s != nil || len(diags) != 2 {
		t.Errorf("got %v, %v", s, diags)
	}
}
