package act

import (
	"fmt"
	"maps"
)

// lockRule says why a backend with these settings can't lock its state, or "".
type lockRule func(setting, env func(string) string) string

func always(_, _ func(string) string) string { return "" }

func never(why string) lockRule {
	return func(_, _ func(string) string) string { return why }
}

// lockRules holds every backend that Terraform 1.11 and OpenTofu 1.10 have.
// Source: the page of each under
// https://developer.hashicorp.com/terraform/language/backend. A backend that is
// not in the table is refused: what is not known to lock isn't trusted to.
var lockRules = map[string]lockRule{
	"local":      always,
	"azurerm":    always, // by a lease on the blob
	"cos":        always,
	"gcs":        always,
	"kubernetes": always, // by a Lease resource
	"oci":        always,
	"pg":         always, // by advisory locks
	"consul": func(setting, _ func(string) string) string {
		if setting("lock") == "false" {
			return "lock is false: take the line out"
		}
		return ""
	},
	"http": func(setting, env func(string) string) string {
		if setting("lock_address") == "" && env("TF_HTTP_LOCK_ADDRESS") == "" {
			return "it locks only if lock_address is set"
		}
		return ""
	},
	"s3": func(setting, _ func(string) string) string {
		if setting("use_lockfile") != "true" && setting("dynamodb_table") == "" {
			return "it locks only with use_lockfile = true (or, in older versions, dynamodb_table)"
		}
		return ""
	},
	"oss": func(setting, _ func(string) string) string {
		if setting("tablestore_endpoint") == "" || setting("tablestore_table") == "" {
			return "it locks only if tablestore_endpoint and tablestore_table are set"
		}
		return ""
	},
	"inmem":       never("its state ends with the process"),
	"artifactory": never("it can't lock"),
	"etcd":        never("it can't lock"),
	"remote":      never("plans would be made elsewhere and could not be judged here before they are applied"),
	"cloud":       never("plans would be made elsewhere and could not be judged here before they are applied"),
}

// Lockable refuses a backend that can't lock, or that runs Terraform
// somewhere else. The policy's backend_config completes what the module says.
func (m Module) Lockable(backendConfig, environ map[string]string) error {
	settings := maps.Clone(m.BackendSettings)
	if settings == nil {
		settings = make(map[string]string)
	}
	maps.Copy(settings, backendConfig)
	rule, known := lockRules[m.Backend]
	why := "whether it can lock is not known"
	if known {
		why = rule(func(k string) string { return settings[k] }, func(k string) string { return environ[k] })
	}
	if why == "" {
		return nil
	}
	return fmt.Errorf("%w: the state's backend %q is refused, as two applies at once would destroy the state: %s", ErrBackend, m.Backend, why)
}
