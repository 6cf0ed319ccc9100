package birth

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Marker is the environment variable that every process of a cell carries,
// with the cell's id as its value.
const Marker = "HOMEOSTAT_CELL_ID"

// identityVariables tell a cell who it is. They are never handed on from the
// starter, which may be a cell itself.
var identityVariables = map[string]bool{
	Marker: true, "HOMEOSTAT_SERVICE": true, "HOMEOSTAT_CELL": true, "HOMEOSTAT_INCARNATION": true,
	"HOMEOSTAT_PARENT": true, "HOMEOSTAT_GENERATION": true, "HOMEOSTAT_REASON": true, "HOMEOSTAT_BORN_AT": true,
	"HOMEOSTAT_BUNDLE": true, "HOMEOSTAT_GENOME": true, "HOMEOSTAT_DATA_DIRECTORY": true, "HOMEOSTAT_PORT": true, "HOMEOSTAT_ADDRESS": true, "HOMEOSTAT_SIDECAR": true,
	"HOMEOSTAT_APP_PORT": true, "HOMEOSTAT_PUBLIC": true,
}

// starterVariables belong to the starter alone: Terraform's settings, its
// handshake with providers, and what systemd tells one unit.
var starterVariables = map[string]bool{
	"PLUGIN_MIN_PORT": true, "PLUGIN_MAX_PORT": true, "PLUGIN_PROTOCOL_VERSIONS": true, "PLUGIN_CLIENT_CERT": true,
	"PLUGIN_MULTIPLEX_GRPC": true, "PLUGIN_UNIX_SOCKET_DIR": true, "PLUGIN_UNIX_SOCKET_GROUP": true,
	"INVOCATION_ID": true, "JOURNAL_STREAM": true, "NOTIFY_SOCKET": true, "MAINPID": true, "MANAGERPID": true,
	"LISTEN_PID": true, "LISTEN_FDS": true, "LISTEN_FDNAMES": true, "WATCHDOG_PID": true, "WATCHDOG_USEC": true,
	"SYSTEMD_EXEC_PID": true, "OLDPWD": true, "PWD": true,
}

// environ returns the newborn's environment: the starter's, less what is the
// starter's alone; the spec's; and who the cell is. Credentials that a cell
// needs to lead can thus reach it without standing in a state file.
func (s Spec) environ(starter []string) []string {
	env := map[string]string{}
	for _, entry := range starter {
		name, value, ok := strings.Cut(entry, "=")
		if ok && handedOn(name) {
			env[name] = value
		}
	}
	maps.Copy(env, s.Environment)
	maps.Copy(env, s.Identity())
	out := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out
}

func handedOn(name string) bool {
	return name != "" && !identityVariables[name] && !starterVariables[name] && !strings.HasPrefix(name, "TF_")
}

// Identity is what tells a cell's sidecar who the cell is.
func (s Spec) Identity() map[string]string {
	env := map[string]string{
		Marker:                  s.ID(),
		"HOMEOSTAT_SERVICE":     s.Service,
		"HOMEOSTAT_CELL":        s.Name,
		"HOMEOSTAT_INCARNATION": s.Incarnation,
		"HOMEOSTAT_GENERATION":  strconv.Itoa(s.Lineage.Generation),
		"HOMEOSTAT_BORN_AT":     s.BornAt.UTC().Format(time.RFC3339Nano),
	}
	for name, value := range map[string]string{
		"HOMEOSTAT_PARENT":         s.Lineage.Parent,
		"HOMEOSTAT_REASON":         strings.ReplaceAll(s.Lineage.Reason, "\x00", " "),
		"HOMEOSTAT_DATA_DIRECTORY": s.DataDirectory,
		"HOMEOSTAT_BUNDLE":         s.Bundle,
		"HOMEOSTAT_GENOME":         s.Genome,
	} {
		if value != "" {
			env[name] = value
		}
	}
	return env
}
