package install

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// secrets writes those of the request, for root alone.
func (i *installation) secrets(context.Context) error {
	if len(i.request.Secrets) == 0 {
		return nil
	}
	if err := i.directory(secretsDirectory, "0700", ""); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(i.request.Secrets)) {
		if err := i.file(filepath.Join(secretsDirectory, name), "0600", "", strings.NewReader(i.request.Secrets[name])); err != nil {
			return err
		}
	}
	return nil
}

// units starts the genome's.
func (i *installation) units(ctx context.Context) error {
	i.claim.Units = i.bundle.Genome.Units
	if err := i.machine.write(i.claim); err != nil {
		return err
	}
	if err := i.machine.Systemd(ctx, "daemon-reload"); err != nil {
		return err
	}
	return i.machine.Systemd(ctx, append([]string{"enable", "--now", "--"}, i.claim.Units...)...)
}

// start writes the cell's own unit and starts it.
func (i *installation) start(ctx context.Context) error {
	env, err := i.environment()
	if err != nil {
		return err
	}
	unit, err := i.unit()
	if err != nil {
		return err
	}
	if err := i.file(environmentFile, "0600", "", strings.NewReader(env)); err != nil {
		return err
	}
	if err := i.file(unitFile, "0644", "", strings.NewReader(unit)); err != nil {
		return err
	}
	if err := i.machine.Systemd(ctx, "daemon-reload"); err != nil {
		return err
	}
	if err := i.machine.Systemd(ctx, "enable", unitName); err != nil {
		return err
	}
	// One that an earlier try has started may run on what that one wrote.
	return i.machine.Systemd(ctx, "restart", unitName)
}

// environment is the file that tells the sidecar who the cell is, as
// systemd.exec(5) has it.
func (i *installation) environment() (string, error) {
	env := map[string]string{}
	maps.Copy(env, i.bundle.Genome.Environment)
	maps.Copy(env, i.request.Environment)
	env["HOMEOSTAT_LISTEN"] = i.request.Address + ":0"
	env["HOMEOSTAT_ADDRESS"] = i.request.Address
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if err := checkVariable(name, env[name]); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s=\"%s\"\n", name, environmentEscapes.Replace(env[name]))
	}
	return b.String(), nil
}

// Between double quotes of an EnvironmentFile a backslash, a quote, a dollar and
// a backquote are written with a backslash before.
var environmentEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`")

func checkVariable(name, value string) error {
	switch {
	case name == "" || strings.ContainsAny(name, "=\x00\n \"'"):
		return fmt.Errorf("environment variable name %q can't be one", name)
	case strings.ContainsAny(value, "\x00\n\r"):
		return fmt.Errorf("environment variable %s holds a line break or a zero byte", name)
	}
	return nil
}

// unit is the cell's own unit.
func (i *installation) unit() (string, error) {
	g := i.bundle.Genome
	command := []string{Program, "run", "-policy", i.machine.inside(i.bundle.Policy())}
	if len(g.Command) > 0 {
		command = append(command, "--")
		if g.User != "" && g.User != "root" {
			// The sidecar itself is root's: it takes the cell off the machine.
			command = append(command, "/usr/bin/setpriv", "--reuid="+g.User, "--regid="+g.User, "--init-groups", "--")
		}
		command = append(command, g.Command...)
	}
	words := make([]string, len(command))
	for k, word := range command {
		quoted, err := quoteWord(word)
		if err != nil {
			return "", err
		}
		words[k] = quoted
	}
	return fmt.Sprintf(unitText, i.request.Name, i.request.Service, environmentFile, strings.Join(words, " ")), nil
}

// inside is a path as the machine itself sees it.
func (m *Machine) inside(path string) string { return strings.TrimPrefix(path, filepath.Clean(m.Root)) }

const unitText = `# Written by Homeostat, and removed with the cell.
[Unit]
Description=Cell %s of service %s
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
EnvironmentFile=%s
ExecStart=%s
Restart=on-failure
RestartSec=1
KillMode=mixed
TimeoutStopSec=10min

[Install]
WantedBy=multi-user.target
`

// quoteWord writes a word for ExecStart, as systemd.syntax(7) and
// systemd.service(5) have it.
func quoteWord(word string) (string, error) {
	if strings.ContainsAny(word, "\x00\n\r") {
		return "", fmt.Errorf("the command's word %q holds a line break or a zero byte", word)
	}
	return `"` + unitEscapes.Replace(word) + `"`, nil
}

var unitEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$")

// systemctl runs systemctl, which needs systemd as the machine's first process.
func systemctl(ctx context.Context, args ...string) error {
	if !booted() {
		return errors.New("systemd isn't this machine's first process, and nothing else here can keep a cell running")
	}
	return run(ctx, append([]string{"systemctl", "--no-ask-password"}, args...))
}
