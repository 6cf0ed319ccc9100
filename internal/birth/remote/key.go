package remote

import (
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// key is a private key in this process's memory.
type key struct {
	signer  ssh.Signer
	private any
}

// parseKey reads a private key. No error of it holds any of the content.
func parseKey(content []byte) (*key, error) {
	private, err := ssh.ParseRawPrivateKey(content)
	var protected *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &protected):
		return nil, errors.New("the private key is protected by a passphrase, which nobody is there to type: give one without, or use an agent")
	case err != nil:
		return nil, errors.New("the private key can't be read: it must be one key in PEM, such as ssh-keygen writes")
	}
	return keyOf(private)
}

func keyOf(private any) (*key, error) {
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, fmt.Errorf("use the private key: keys of this kind (%T) are not supported", private)
	}
	return &key{signer: signer, private: private}, nil
}

// wipe overwrites the key, as far as Go lets one: what its libraries copied
// stays until the memory is used again.
func (k *key) wipe() {
	switch private := k.private.(type) {
	case ed25519.PrivateKey:
		clear(private)
	case *ed25519.PrivateKey:
		clear(*private)
	case *rsa.PrivateKey:
		for _, n := range append([]*big.Int{private.D}, private.Primes...) {
			clear(n.Bits())
		}
	}
}
