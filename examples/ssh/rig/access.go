package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/remote"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// access is how births get into the machines.
type access string

const (
	byCertificate access = "certificates"
	byKey         access = "keys"
)

// user is who gets in.
const user = "birth"

// newKey returns a private key in PEM and its public line.
func newKey() (private, public string, err error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	return string(pem.EncodeToMemory(block)), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), nil
}

// machine is one that such births get into.
func (a access) machine(public string) testkit.MachineSpec {
	spec := testkit.MachineSpec{User: user, Booted: true}
	if a == byCertificate {
		spec.UserCA = public
	} else {
		spec.AuthorizedKeys = []string{public}
	}
	return spec
}

// config is how one gets in, as births do.
func (a access) config(m *testkit.Machine, keyFile string) (remote.Config, error) {
	c := remote.Config{Host: m.Address(), User: m.User(), HostKeys: []string{m.HostKey()}}
	if a == byCertificate {
		c.Authority = &remote.Authority{File: keyFile}
		return c, nil
	}
	var err error
	c.PrivateKey, err = os.ReadFile(keyFile)
	return c, err
}
