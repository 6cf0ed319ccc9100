package testkit

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// HostKey is the public key line of the machine's Ed25519 key, known before it
// boots. It also has a key of another kind, as machines have.
func (m *Machine) HostKey() string { return m.hostKey }

// NewHostKey gives a machine that is on other host keys, as if another stood in
// its place, and returns when sshd has them.
func (m *Machine) NewHostKey(ctx context.Context) error {
	if err := m.newHostKeys(); err != nil {
		return err
	}
	on, err := m.Path("/etc/ssh")
	if err != nil {
		return err
	}
	if err := run(ctx, m.hostKeys(), nil, "sh", "-c", `cp -- * "$0"`, on); err != nil {
		return err
	}
	if _, err := m.Exec(ctx, "systemctl", "restart", "ssh"); err != nil {
		return err
	}
	return Poll(ctx, startLimit, m.answers)
}

func (m *Machine) hostKeys() string { return filepath.Join(m.box.directory, "host_keys") }

// newHostKeys writes the keys that the machine boots with.
func (m *Machine) newHostKeys() error {
	_, first, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make host keys: %w", err)
	}
	second, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make host keys: %w", err)
	}
	if err := os.MkdirAll(m.hostKeys(), 0o700); err != nil {
		return fmt.Errorf("write host keys: %w", err)
	}
	line, err := writeHostKey(filepath.Join(m.hostKeys(), "ssh_host_ed25519_key"), first)
	_, otherErr := writeHostKey(filepath.Join(m.hostKeys(), "ssh_host_ecdsa_key"), second)
	m.hostKey = line
	return errors.Join(err, otherErr)
}

// writeHostKey writes a key and its public line beside it, and returns the line.
func writeHostKey(path string, key crypto.Signer) (string, error) {
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return "", fmt.Errorf("write a host key: %w", err)
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return "", fmt.Errorf("write a host key: %w", err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
	return line, errors.Join(
		os.WriteFile(path, pem.EncodeToMemory(block), 0o600),
		os.WriteFile(path+".pub", []byte(line+"\n"), 0o644),
	)
}
