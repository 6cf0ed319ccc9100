package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/peer"
)

// peersKeyFile names the peers' key file where the provider's block doesn't.
const peersKeyFile = "HOMEOSTAT_PEERS_KEY_FILE"

// settings is what the provider's block gives to resources and data sources.
type settings struct {
	fleet  *fleet.Client
	consul fleet.Config // that of fleet, as the block has it
	peers  *peer.Keys   // nil: sidecars are asked without a signature
	births *birth.Processes
	roll   *roll
	// unknown names the part of the block that only an apply will tell; the
	// rest is then empty.
	unknown string
}

func newSettings(ctx context.Context, m providerModel, log *slog.Logger) (*settings, error) {
	cfg, err := m.fleetConfig(ctx)
	if err != nil {
		return nil, err
	}
	cfg.Log = log
	var keys *peer.Keys
	if file := cmp.Or(m.PeersKeyFile.ValueString(), os.Getenv(peersKeyFile)); file != "" {
		if keys, err = peer.ReadKeys(file, log); err != nil {
			return nil, err
		}
		cfg.Peers = keys
	}
	dir, err := stateDirectory(m.StateDirectory.ValueString(), os.Getenv)
	if err != nil {
		return nil, err
	}
	host, err := birth.ThisHost()
	if err != nil {
		return nil, err
	}
	births, err := birth.NewProcesses(dir, host, os.Environ(), log)
	if err != nil {
		return nil, err
	}
	client, err := fleet.New(cfg)
	if err != nil {
		return nil, err
	}
	return &settings{fleet: client, consul: cfg, peers: keys, births: births, roll: newRoll(client.Members)}, nil
}

// fleetConfig reads the consul attribute; what it leaves out is Consul's own
// environment's to say.
func (m providerModel) fleetConfig(ctx context.Context) (fleet.Config, error) {
	var consul consulModel
	if m.Consul.IsNull() {
		return fleet.Config{}, nil
	}
	if diags := m.Consul.As(ctx, &consul, basetypes.ObjectAsOptions{}); diags.HasError() {
		return fleet.Config{}, asError(diags)
	}
	cfg := fleet.Config{
		Datacenter: consul.Datacenter.ValueString(), Prefix: consul.Prefix.ValueString(),
		Token: consul.Token.ValueString(), TokenFile: consul.TokenFile.ValueString(),
		CAFile: consul.CAFile.ValueString(), CertFile: consul.CertFile.ValueString(), KeyFile: consul.KeyFile.ValueString(),
	}
	if one := consul.Address.ValueString(); one != "" {
		cfg.Addresses = []string{one}
	}
	if !consul.Addresses.IsNull() {
		if diags := consul.Addresses.ElementsAs(ctx, &cfg.Addresses, false); diags.HasError() {
			return fleet.Config{}, asError(diags)
		}
	}
	return cfg, nil
}

func asError(diags diag.Diagnostics) error {
	var errs []error
	for _, d := range diags.Errors() {
		errs = append(errs, fmt.Errorf("%s: %s", d.Summary(), d.Detail()))
	}
	return errors.Join(errs...)
}

// stateDirectory follows the XDG Base Directory Specification, in which state
// is what outlives a restart and isn't worth a backup.
func stateDirectory(configured string, getenv func(string) string) (string, error) {
	if dir := cmp.Or(configured, getenv("HOMEOSTAT_STATE_DIRECTORY")); dir != "" {
		if !filepath.IsAbs(dir) {
			return "", fmt.Errorf("state directory %q must be an absolute path", dir)
		}
		return dir, nil
	}
	// A relative path in the variable is to be ignored, says the specification.
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "homeostat", "cells"), nil
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "homeostat", "cells"), nil
	}
	return "", errors.New("there is no place for the cells' folders: set state_directory, HOMEOSTAT_STATE_DIRECTORY or HOME")
}

// consulCA is the certificate by which Consul is known, empty where it is by one of
// this machine's own.
func (s *settings) consulCA() (string, error) {
	file := cmp.Or(s.consul.CAFile, os.Getenv(api.HTTPCAFile))
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read Consul's certificate authority: %w", err)
	}
	return string(text), nil
}

// endpoint names Consul for a diagnostic.
func (s *settings) endpoint() string {
	return "Consul at " + strings.Join(s.fleet.Addresses(), ", ")
}

// here names this host and Consul for a diagnostic.
func (s *settings) here() string {
	return "host " + s.births.Host().Name + ", " + s.endpoint()
}

// settled gives the settings out of what the provider shares, and explains why
// there are none yet.
func settled(data any, object string, diags *diag.Diagnostics) *settings {
	s, ok := data.(*settings)
	switch {
	case !ok:
		addError(diags, "Provider not configured", problem{Object: object, Cause: "the provider was not configured before it was used", Next: "report this: it is a fault in the provider"})
	case s.unknown != "":
		addError(diags, "Provider configuration not known yet", problem{
			Object: object,
			Cause:  "the provider's " + s.unknown + " is known only after an apply, and without it nothing can be read",
			Next:   "give a value that is known when planning, or apply first, with -target, what it comes from",
		})
	default:
		return s
	}
	return nil
}
