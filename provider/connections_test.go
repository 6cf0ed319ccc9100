package main

import (
	"log/slog"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// A provider isn't told of its end, so nothing closes what it has opened.
func TestManyProvidersHoldFewConnections(t *testing.T) {
	needServers(t)
	server := testkit.ConsulWith(t, testkit.ConsulOptions{Config: "limits { http_max_conns_per_client = 8 }"})
	model := providerModel{
		Consul:         consulBlock(map[string]attr.Value{"address": types.StringValue(server.Addr())}),
		StateDirectory: types.StringValue(t.TempDir()),
	}
	for range 50 {
		s, err := newSettings(t.Context(), model, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.fleet.Close)
		if _, err := s.fleet.Members(t.Context(), "web"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.agentOf(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	if open, err := server.Connections(); err != nil || open > 4 {
		t.Errorf("%d connections of 50 providers, %v", open, err)
	}
}
