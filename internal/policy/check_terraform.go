package policy

import (
	"maps"
	"slices"
	"strings"
)

// reserved are the environment variables of Terraform that Homeostat sets or
// clears itself: an order must not change its meaning by them.
var reserved = []string{"TF_VAR_*", "TF_CLI_ARGS*", "TF_LOG*", "TF_WORKSPACE", "TF_INPUT", "TF_DATA_DIR",
	"TF_IN_AUTOMATION", "TF_REATTACH_PROVIDERS", "TF_APPEND_USER_AGENT"}

func (d *decoder) terraform(t *Terraform) {
	d.match(&t.Variable, identifier)
	d.match(&t.Workspace, workspaceName)
	if ShardOf(t.Workspace) > 0 {
		d.refuse("Not a name", &t.Workspace, "looks like that of a shard of a service that is spread. Choose one that doesn't end in %q and a number.", ShardPrefix)
	}
	d.notEmpty(&t.Variable)
	d.notEmpty(&t.Binary)
	d.noneEmpty(&t.VarFiles)
	d.noneEmpty(&t.MayChange)
	d.ephemeral(t)
	d.environment(t)
}

// ephemeral checks the map of ephemeral variables to the names of environment
// variables.
func (d *decoder) ephemeral(t *Terraform) {
	d.keys(&t.EphemeralVars, t.EphemeralVars, identifier)
	for _, name := range slices.Sorted(maps.Keys(t.EphemeralVars)) {
		switch env := t.EphemeralVars[name]; {
		case name == t.Variable || name == "cell_names":
			d.refuse("Set by Homeostat", &t.EphemeralVars, "gives the variable %q, which is what Homeostat itself sets. Remove it.", name)
		case !environmentName.MatchString(env):
			d.refuse("Not a name", &t.EphemeralVars, "must give for %q the name of an environment variable, %s. It is not the value itself.",
				name, environmentName.words)
		}
	}
	// What stands there may be a secret that was put in by mistake.
	d.hide(&t.EphemeralVars)
}

// environment checks what is added to Terraform's environment.
func (d *decoder) environment(t *Terraform) {
	d.keys(&t.Env, t.Env, environmentName)
	for _, name := range slices.Sorted(maps.Keys(t.Env)) {
		if isReserved(name) {
			d.refuse("Set by Homeostat", &t.Env, "has %s, which Homeostat sets or clears itself. Remove it; variables go into "+
				"var_files, secrets into ephemeral_vars, and the workspace into workspace.", name)
		}
	}
}

func isReserved(name string) bool {
	return slices.ContainsFunc(reserved, func(r string) bool {
		prefix, ok := strings.CutSuffix(r, "*")
		return name == r || ok && strings.HasPrefix(name, prefix)
	})
}
