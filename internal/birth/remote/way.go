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

// usualAccounts are whom images of clouds put an authorized key to, which root's
// alone doesn't show.
var usualAccounts = []string{"debian", "ubuntu", "admin", "ec2-user"}

// ways lists them: what birth used, what could be made of it, and what needs
// nothing.
func (d *door) ways() []way {
	if d.config.User != "root" {
		return slices.Concat(d.used(d.config.User), d.used("root"), d.plain(d.config.User), d.plain("root"), d.byCertificate())
	}
	ways := d.used("root")
	for _, user := range usualAccounts {
		ways = append(ways, d.used(user)...)
	}
	return slices.Concat(ways, d.plain("root"), d.byCertificate())
}

// used is what birth may have got in with.
func (d *door) used(user string) []way {
	ways := []way{
		{name: "the key", user: user, absent: without(d.credentials.key, "key"), auth: func(context.Context) ([]ssh.AuthMethod, error) {
			return signers(d.credentials.key.signer)
		}},
		{name: "a certificate signed now", user: user, absent: without(d.credentials.own, "authority"), auth: func(ctx context.Context) ([]ssh.AuthMethod, error) {
			return d.certificate(ctx, append(d.credentials.principals(), user)...)
		}},
	}
	if absent := d.withoutAgent(); absent != "" {
		return append(ways, way{name: "the agent", user: user, absent: absent})
	}
	// One by one: a machine refuses who shows too many keys before it has seen all.
	for i, signer := range d.agent.signers {
		ways = append(ways, way{name: d.agent.names[i], user: user, auth: func(context.Context) ([]ssh.AuthMethod, error) {
			return signers(signer)
		}})
	}
	return ways
}

// plain is what should never have let anyone in.
func (d *door) plain(user string) []way {
	return []way{
		{name: "a certificate signed by the key", user: user, absent: without(d.credentials.key, "key"), auth: func(context.Context) ([]ssh.AuthMethod, error) {
			return d.bySelf(user)
		}},
		{name: "the bare key of a certificate", user: user, auth: func(context.Context) ([]ssh.AuthMethod, error) { return signers(d.bare()) }},
		{name: "nothing", user: user, auth: func(context.Context) ([]ssh.AuthMethod, error) { return nil, nil }},
		{name: "an empty password", user: user, auth: func(context.Context) ([]ssh.AuthMethod, error) {
			return []ssh.AuthMethod{ssh.Password("")}, nil
		}},
		{name: "empty answers", user: user, auth: func(context.Context) ([]ssh.AuthMethod, error) {
			return []ssh.AuthMethod{ssh.KeyboardInteractive(answerNothing)}, nil
		}},
	}
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
