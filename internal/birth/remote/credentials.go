package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// credentials are the ways in that were configured. They are made once and live
// as long as the Machine; certificates are signed anew for each attempt.
type credentials struct {
	config Config
	key    *key // PrivateKey
	own    *key // made for the authority to certify
	// certificate is what the last attempt used, nil without an authority.
	certificate *ssh.Certificate
}

func newCredentials(config Config) (*credentials, error) {
	c := &credentials{config: config}
	var err error
	if len(config.PrivateKey) > 0 {
		if c.key, err = parseKey(config.PrivateKey); err != nil {
			return nil, err
		}
	}
	if config.Authority != nil {
		if c.own, err = newKey(); err != nil {
			return nil, err
		}
	}
	if c.key == nil && c.own == nil && config.Agent == "" {
		return nil, fmt.Errorf("get into %s: neither a private key nor an agent nor an authority is given", config.target())
	}
	return c, nil
}

// proof is the public keys of one attempt.
type proof struct {
	signers []ssh.Signer
	names   []string // what each is called in messages
	done    func()
}

func (p *proof) add(signer ssh.Signer, kind string) {
	p.signers = append(p.signers, signer)
	p.names = append(p.names, kind+" "+ssh.FingerprintSHA256(plainKey(signer.PublicKey())))
}

func (p *proof) String() string { return strings.Join(p.names, ", ") }

// plainKey is the key that a certificate is for, or the key itself.
func plainKey(k ssh.PublicKey) ssh.PublicKey {
	if certificate, ok := k.(*ssh.Certificate); ok {
		return certificate.Key
	}
	return k
}

// prove gathers the keys for an attempt. The caller calls done after it.
func (c *credentials) prove(ctx context.Context) (*proof, error) {
	p := &proof{done: func() {}}
	if c.own != nil {
		signer, err := c.certified(ctx, c.principals())
		if err != nil {
			return nil, err
		}
		p.add(signer, "the certificate for the key")
	}
	if c.key != nil {
		p.add(c.key.signer, "the key")
	}
	if c.config.Agent != "" {
		client, done, err := dialAgent(ctx, c.config.Agent)
		if err != nil {
			return nil, err
		}
		p.done = done
		signers, err := client.Signers()
		if err != nil {
			done()
			return nil, fmt.Errorf("list the keys of the agent %s: %w", c.config.Agent, err)
		}
		for _, signer := range signers {
			p.add(signer, "the agent's key")
		}
	}
	return p, nil
}

func (c *credentials) principals() []string {
	if len(c.config.Authority.Principals) > 0 {
		return c.config.Authority.Principals
	}
	return []string{c.config.User}
}

// certified returns the birth's own key with a fresh certificate.
func (c *credentials) certified(ctx context.Context, principals []string) (ssh.Signer, error) {
	certificate, err := c.config.Authority.certify(ctx, c.own.signer.PublicKey(), principals, c.config.Now())
	if err != nil {
		return nil, err
	}
	c.certificate = certificate
	return ssh.NewCertSigner(certificate, c.own.signer)
}

func (c *credentials) wipe() {
	for _, k := range []*key{c.key, c.own} {
		if k != nil {
			k.wipe()
		}
	}
}

// dialAgent connects to an agent, until done is called or ctx ends.
func dialAgent(ctx context.Context, socket string) (agent.ExtendedAgent, func(), error) {
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, nil, fmt.Errorf("reach the agent: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { connection.Close() })
	return agent.NewClient(connection), func() { stop(); connection.Close() }, nil
}

// agentSigner finds one key of an agent.
func agentSigner(ctx context.Context, socket, public string) (ssh.Signer, func(), error) {
	wanted, _, _, _, err := ssh.ParseAuthorizedKey([]byte(public))
	if err != nil {
		return nil, nil, errors.New("use an authority: it needs a file with its private key, or an agent and its public key line")
	}
	client, done, err := dialAgent(ctx, socket)
	if err != nil {
		return nil, nil, err
	}
	signers, err := client.Signers()
	for _, signer := range signers {
		if bytes.Equal(signer.PublicKey().Marshal(), wanted.Marshal()) {
			return signer, done, nil
		}
	}
	done()
	if err == nil {
		err = errors.New("it holds no such key")
	}
	return nil, nil, fmt.Errorf("use the authority's key %s of the agent %s: %w", ssh.FingerprintSHA256(wanted), socket, err)
}
