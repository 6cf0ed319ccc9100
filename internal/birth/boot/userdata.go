package boot

import (
	_ "embed" // what user data is made of
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
)

// Program is the homeostat program that a machine runs, of its own system and
// architecture.
type Program struct {
	// URL is by http or https. It is no place for secrets: all on the machine can
	// read it. Nobody on the way can change what comes, as its SHA256 is known.
	URL    string
	SHA256 string // in hex
}

// Where things are on a machine until it is a cell. Only root may read them.
const (
	directory = "/var/lib/homeostat/boot"
	orderFile = directory + "/order.json"
	startFile = directory + "/start"
	stateFile = directory + "/state.json"
	unitName  = "homeostat-boot.service"
	unitFile  = "/etc/systemd/system/" + unitName
)

//go:embed userdata/start.sh
var startText string

//go:embed userdata/homeostat-boot.service
var unitText string

//go:embed userdata/systemd.sh
var systemdText string

//go:embed userdata/again.sh
var againText string

//go:embed userdata/begin.sh
var beginText string

// UserDataLimit is the most that user data may have, in bytes: EC2 takes no more.
const UserDataLimit = 16384

// Shell returns user data for images without cloud-init, a POSIX shell script.
// It needs systemd, coreutils, and curl, wget or python3. It is a secret until the
// machine has joined.
func Shell(o Order, p Program) (string, error) {
	files, err := userData(o, p)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("#!/bin/sh\n# Makes a cell of this machine at its first boot. Written by Homeostat.\nset -eu\numask 077\n")
	b.WriteString("[ ! -e /var/lib/homeostat/cell.json ] && [ ! -e " + stateFile + " ] || exit 0\n" + systemdText + "mkdir -p " + directory + "\n")
	for _, f := range files {
		fmt.Fprintf(&b, "cat >%s <<'END OF FILE'\n%sEND OF FILE\n", f.path, f.text)
	}
	fmt.Fprintf(&b, "chmod 644 %s\n", unitFile)
	b.WriteString(beginText)
	return fits(b.String(), o)
}

// CloudConfig returns user data for cloud-init. It needs what Shell's needs, and is
// as secret.
func CloudConfig(o Order, p Program) (string, error) {
	files, err := userData(o, p)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("#cloud-config\n# Makes a cell of this machine at its first boot. Written by Homeostat.\nwrite_files:\n")
	for _, f := range files {
		fmt.Fprintf(&b, "  - path: %s\n    permissions: '%s'\n    content: |\n%s", f.path, f.mode, indent(f.text))
	}
	b.WriteString("runcmd:\n  - |\n" + indent(againText+systemdText+beginText))
	return fits(b.String(), o)
}

// indent has lines be a block of YAML.
func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line != "\n" {
			b.WriteString("      ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// file is one that user data writes.
type file struct{ path, mode, text string }

func userData(o Order, p Program) ([]file, error) {
	if err := errors.Join(o.Check(), p.check()); err != nil {
		return nil, fmt.Errorf("render user data for %s: %w", o.Ticket.Cell(), err)
	}
	order, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("render user data for %s: %w", o.Ticket.Cell(), err)
	}
	start := strings.NewReplacer(
		"@URL@", quote(p.URL), "@SUM@", p.SHA256, "@DEADLINE@", strconv.FormatInt(o.Deadline.Unix(), 10), "@LIFETIME@", strconv.Itoa(o.Lifetime),
	).Replace(startText)
	return []file{{orderFile, "0600", string(order) + "\n"}, {startFile, "0700", start}, {unitFile, "0644", unitText}}, nil
}

func (p Program) check() error {
	u, err := url.Parse(p.URL)
	switch {
	case err != nil:
		return errors.New("the program's address is no URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("the program's address %q isn't by http or https", p.URL)
	case u.User != nil:
		return errors.New("the program's address has a user or a password in it, which all on the machine could read")
	case strings.ContainsAny(p.URL, "\n\r\x00"):
		return errors.New("the program's address has a line break in it")
	}
	if err := bundle.CheckDigest(p.SHA256); err != nil {
		return fmt.Errorf("the program: %w", err)
	}
	return nil
}

// quote writes a word for the shell.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// fits refuses user data that is too large, and names what makes it so.
func fits(text string, o Order) (string, error) {
	if len(text) <= UserDataLimit {
		return text, nil
	}
	environment := 0
	for name, value := range o.Environment {
		environment += len(name) + len(value)
	}
	return "", fmt.Errorf("render user data for %s: it has %d bytes, and %d are the most that EC2 takes: %d are of the environment, %d of Consul's CA, "+
		"%d of all else; what is large goes into the genome, as a file", o.Ticket.Cell(), len(text), UserDataLimit,
		environment, len(o.ConsulCA), len(text)-environment-len(o.ConsulCA))
}
