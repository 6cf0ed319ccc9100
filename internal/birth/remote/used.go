package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Used returns what the machine has to forget so that nobody gets in as this
// connection did: the public key lines of the key and of the authority, either
// empty where there was none.
func (m *Machine) Used(ctx context.Context) (key, authority string, err error) {
	c := m.credentials
	if c.certificate != nil {
		authority = publicLine(c.certificate.SignatureKey)
	}
	if c.key != nil {
		return publicLine(c.key.signer.PublicKey()), authority, nil
	}
	if c.config.Agent == "" {
		return "", authority, nil
	}
	client, done, err := dialAgent(ctx, c.config.Agent)
	if err != nil {
		return "", "", err
	}
	defer done()
	signers, err := client.Signers()
	if err == nil && len(signers) != 1 {
		err = errors.New("which one the machine is to forget can't be told: use one that holds a single key, or a certificate authority")
	}
	if err != nil {
		return "", "", fmt.Errorf("the agent %s holds %d keys: %w", c.config.Agent, len(signers), err)
	}
	return publicLine(signers[0].PublicKey()), authority, nil
}

func publicLine(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}
