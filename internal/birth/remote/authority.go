package remote

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
)

// clockSkew is how far a machine's clock may be behind for a certificate to be
// valid there at once.
const clockSkew = 5 * time.Minute

// Authority is a key that machines trust to say who may get in. It is used to
// sign a certificate for a key made for one birth; neither it nor that key is
// written anywhere.
type Authority struct {
	// File is the path of the authority's private key. It is read when needed.
	File string
	// Agent and PublicKey name a key held by an SSH agent, where there is no File.
	Agent, PublicKey string
	// Principals are whom the certificate is for; none means the user.
	Principals []string
	// TTL is how long a certificate is valid; 0 means ten minutes.
	TTL time.Duration
	// KeyID is what sshd notes in its log, such as the cell's name.
	KeyID string
}

// signer returns the authority's key and what to close after its use.
func (a Authority) signer(ctx context.Context) (ssh.Signer, func(), error) {
	if a.File == "" {
		return agentSigner(ctx, a.Agent, a.PublicKey)
	}
	content, err := os.ReadFile(a.File)
	if err != nil {
		return nil, nil, fmt.Errorf("read the authority's key: %w", err)
	}
	defer clear(content)
	key, err := parseKey(content)
	if err != nil {
		return nil, nil, fmt.Errorf("read the authority's key %s: %w", a.File, err)
	}
	return key.signer, key.wipe, nil
}

// certify signs a certificate for key. It grants nothing but to run commands:
// no terminal, no forwarding, no file of the user's that sshd would run.
func (a Authority) certify(ctx context.Context, key ssh.PublicKey, principals []string, now time.Time) (*ssh.Certificate, error) {
	signer, done, err := a.signer(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return sign(signer, &ssh.Certificate{
		Key:             key,
		CertType:        ssh.UserCert,
		KeyId:           cmp.Or(a.KeyID, "homeostat"),
		ValidPrincipals: principals,
		ValidAfter:      uint64(now.Add(-clockSkew).Unix()),
		ValidBefore:     uint64(now.Add(cmp.Or(a.TTL, 10*time.Minute)).Unix()),
	})
}

// sign gives the certificate a serial number and the signature.
func sign(signer ssh.Signer, certificate *ssh.Certificate) (*ssh.Certificate, error) {
	var serial [8]byte
	_, _ = rand.Read(serial[:]) // never fails, as crypto/rand says
	certificate.Serial = binary.BigEndian.Uint64(serial[:])
	if signer.PublicKey().Type() == ssh.KeyAlgoRSA {
		algorithms, ok := signer.(ssh.AlgorithmSigner)
		if !ok {
			return nil, errors.New("sign a certificate: the authority's RSA key can't sign with SHA-2")
		}
		modern, err := ssh.NewSignerWithAlgorithms(algorithms, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
		if err != nil {
			return nil, fmt.Errorf("sign a certificate: %w", err)
		}
		signer = modern
	}
	if err := certificate.SignCert(rand.Reader, signer); err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return certificate, nil
}

// newKey makes a key that exists in this process only.
func newKey() (*key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return keyOf(private)
}
