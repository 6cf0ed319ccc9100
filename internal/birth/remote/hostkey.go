package remote

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

var (
	// ErrHostKey says that the machine showed a key that isn't pinned. It may
	// be another machine, so there is no second try.
	ErrHostKey = errors.New("the machine's host key is not the pinned one")
	// ErrNoHostKey says that no key was pinned and a new one isn't accepted.
	ErrNoHostKey = errors.New("no host key is known")
)

// hostKeyFamilies are the algorithms of host keys taken, by the kind of key.
var hostKeyFamilies = [][]string{
	{ssh.KeyAlgoED25519},
	{ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521},
	{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
}

// hostKeys is what a machine may show.
type hostKeys struct {
	fingerprints []string
	// offers are the algorithms to ask for, in turn: a machine has several keys
	// and shows one that is asked for, so that a pinned one must be asked for.
	offers [][]string
}

// parseHostKeys reads public key lines and fingerprints.
func parseHostKeys(lines []string) (hostKeys, error) {
	var pinned hostKeys
	var asked []string
	anyKind := len(lines) == 0
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "SHA256:") {
			pinned.fingerprints = append(pinned.fingerprints, strings.TrimRight(line, "="))
			anyKind = true
			continue
		}
		key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(options) > 0 {
			return pinned, fmt.Errorf("host key %q is neither a public key line (\"ssh-ed25519 AAAA...\") nor a fingerprint (\"SHA256:...\")", line)
		}
		pinned.fingerprints = append(pinned.fingerprints, ssh.FingerprintSHA256(key))
		asked = append(asked, algorithmsOf(key)...)
	}
	switch {
	case len(lines) == 0:
		pinned.offers = [][]string{slices.Concat(hostKeyFamilies...)}
	case anyKind:
		pinned.offers = hostKeyFamilies
	default:
		pinned.offers = [][]string{asked}
	}
	return pinned, nil
}

func algorithmsOf(key ssh.PublicKey) []string {
	if key.Type() == ssh.KeyAlgoRSA {
		return hostKeyFamilies[2]
	}
	return []string{key.Type()}
}

// judge is nil for a key that the machine may show.
func (p hostKeys) judge(host string, key ssh.PublicKey) error {
	got := ssh.FingerprintSHA256(key)
	if len(p.fingerprints) == 0 || slices.Contains(p.fingerprints, got) {
		return nil
	}
	return fmt.Errorf("%w: %s shows %s (%s), pinned is %s", ErrHostKey, host, got, key.Type(), strings.Join(p.fingerprints, " or "))
}

// callback hands the key that the machine shows to judge and to seen.
func (p hostKeys) callback(host string, seen func(ssh.PublicKey)) ssh.HostKeyCallback {
	return func(_ string, _ net.Addr, key ssh.PublicKey) error {
		if err := p.judge(host, key); err != nil {
			return err
		}
		seen(key)
		return nil
	}
}
