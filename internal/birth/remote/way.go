package remote

import (
	"context"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

// way is a way to try to get in.
type way struct {
	name, user string
	// absent says why it can't be tried.
	absent string
	auth   func(context.Context) ([]ssh.AuthMethod, error)
}

// ways lists them: what birth used, what could be made of it, and what needs
// nothing.
func (d *door) ways() []way {
	var ways []way
	for i, user := range d.accounts() {
		add := func(name, absent string, auth func(context.Context) ([]ssh.AuthMethod, error)) {
			ways = append(ways, way{name: name, user: user, absent: absent, auth: auth})
		}
		add("the key", without(d.credentials.key, "key"), func(context.Context) ([]ssh.AuthMethod, error) {
			return signers(d.credentials.key.signer)
		})
		add("a certificate signed now", without(d.credentials.own, "authority"), func(ctx context.Context) ([]ssh.AuthMethod, error) {
			return d.certificate(ctx, user)
		})
		if i > 1 {
			continue
		}
		add("the agent", d.withoutAgent(), func(context.Context) ([]ssh.AuthMethod, error) {
			return signers(d.agent.signers...)
		})
		add("a certificate signed by the key", without(d.credentials.key, "key"), func(context.Context) ([]ssh.AuthMethod, error) {
			return d.bySelf(user)
		})
		add("the bare key of a certificate", "", func(context.Context) ([]ssh.AuthMethod, error) { return signers(d.bare()) })
		add("nothing", "", func(context.Context) ([]ssh.AuthMethod, error) { return nil, nil })
		add("an empty password", "", func(context.Context) ([]ssh.AuthMethod, error) {
			return []ssh.AuthMethod{ssh.Password("")}, nil
		})
		add("empty answers", "", func(context.Context) ([]ssh.AuthMethod, error) {
			return []ssh.AuthMethod{ssh.KeyboardInteractive(answerNothing)}, nil
		})
	}
	return append(ways, d.byCertificate()...)
}

// byCertificate is what else certificates could be tried with.
func (d *door) byCertificate() []way {
	absent := without(d.credentials.own, "authority")
	used := way{name: "the certificate of birth", user: d.config.User, absent: absent}
	if absent == "" && (d.old == nil || d.old.credentials.certificate == nil) {
		used.absent = "there is no connection from before that has one"
	}
	used.auth = func(context.Context) ([]ssh.AuthMethod, error) {
		signer, err := ssh.NewCertSigner(d.old.credentials.certificate, d.old.credentials.own.signer)
		if err != nil {
			return nil, err
		}
		return signers(signer)
	}
	other := way{name: "a certificate for others", user: d.config.User, absent: absent}
	other.auth = func(ctx context.Context) ([]ssh.AuthMethod, error) {
		others := append([]string{"root", "homeostat"}, usualAccounts...)
		return d.certificate(ctx, slices.DeleteFunc(others, func(name string) bool { return name == d.config.User })...)
	}
	return []way{used, other}
}

// certificate is a fresh one of the authority's.
func (d *door) certificate(ctx context.Context, principals ...string) ([]ssh.AuthMethod, error) {
	signer, err := d.credentials.certified(ctx, principals)
	if err != nil {
		return nil, err
	}
	return signers(signer)
}

// bySelf is a certificate that the key signed as if it were an authority.
func (d *door) bySelf(user string) ([]ssh.AuthMethod, error) {
	now := d.config.Now()
	certificate, err := sign(d.credentials.key.signer, &ssh.Certificate{
		Key:             d.stranger.signer.PublicKey(),
		CertType:        ssh.UserCert,
		KeyId:           "homeostat",
		ValidPrincipals: []string{user},
		ValidAfter:      uint64(now.Add(-clockSkew).Unix()),
		ValidBefore:     uint64(now.Add(10 * time.Minute).Unix()),
	})
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewCertSigner(certificate, d.stranger.signer)
	if err != nil {
		return nil, err
	}
	return signers(signer)
}

// bare is the key that a certificate was for, or one like it.
func (d *door) bare() ssh.Signer {
	if d.old != nil && d.old.credentials.own != nil {
		return d.old.credentials.own.signer
	}
	return d.stranger.signer
}

// without says that birth had no such key; it is empty where it had.
func without(k *key, what string) string {
	if k != nil {
		return ""
	}
	return "birth had no " + what
}

func (d *door) withoutAgent() string {
	switch {
	case d.agent == nil:
		return "birth had no agent"
	case len(d.agent.signers) == 0:
		return "the agent holds no key"
	}
	return ""
}

func signers(list ...ssh.Signer) ([]ssh.AuthMethod, error) {
	return []ssh.AuthMethod{ssh.PublicKeys(list...)}, nil
}

func answerNothing(_, _ string, questions []string, _ []bool) ([]string, error) {
	return make([]string, len(questions)), nil
}
