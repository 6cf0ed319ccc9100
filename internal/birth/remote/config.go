// Package remote is the caller's side of a birth over SSH: it gets into a blank
// machine, brings what the machine lacks, runs the program that installs a cell
// there, and afterwards proves that nobody gets in any more.
//
// It expects of the machine no more than a Debian without extras has: sshd, a
// POSIX shell, coreutils, findutils, grep, sed, tar, and sudo where it doesn't get
// in as root. It leaves out what is installed there and how the door is shut, which
// are the work of programs that run on the machine.
//
// Authentication by certificates that live for minutes follows OpenSSH's
// PROTOCOL.certkeys; how uploads go on where they were cut follows scp's and
// rsync's lesson that a file's size is all one has to ask for.
package remote

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"
)

// blobsDirectory is where a machine keeps content by its digest.
const blobsDirectory = "/var/lib/homeostat/blobs"

// Config says which machine to get into, and as whom. At least one of
// PrivateKey, Agent and Authority is needed; where there are several, a
// certificate is tried before the key, and the key before the agent's.
type Config struct {
	// Host is a name or an address, Port 22 if 0, User root if empty.
	Host string
	Port int
	User string
	// HostKeys are the keys that the machine may show: public key lines, as in
	// a .pub file, or fingerprints, "SHA256:...".
	HostKeys []string
	// AcceptNewHostKey takes whatever key the machine shows where HostKeys is
	// empty. HostKey then says which it was.
	AcceptNewHostKey bool
	// PrivateKey is a private key in PEM without a passphrase.
	PrivateKey []byte
	// Agent is the path of an SSH agent's socket.
	Agent string
	// Authority signs a certificate for a key that lives as long as the Machine.
	Authority *Authority
	// Secrets are masked in all output of the machine's commands.
	Secrets []string
	// Log gets a line for each attempt to get in that failed; nil for none.
	Log *slog.Logger
	// Now is the clock that certificates are dated by; nil for the real one.
	Now func() time.Time
}

// complete returns the configuration with its defaults, or what is wrong with it.
func (c Config) complete() (Config, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Port = cmp.Or(c.Port, 22)
	c.User = cmp.Or(c.User, "root")
	switch {
	case c.Host == "":
		return c, errors.New("the machine's address is empty")
	case c.Port < 1 || c.Port > 65535:
		return c, fmt.Errorf("port %d is not between 1 and 65535", c.Port)
	case len(c.HostKeys) == 0 && !c.AcceptNewHostKey:
		return c, fmt.Errorf("%w for %s: give its public host key or fingerprint, or allow a new one to be accepted", ErrNoHostKey, c.Host)
	}
	return c, nil
}

func (c Config) address() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// target names the machine in messages.
func (c Config) target() string { return c.User + "@" + c.address() }
