package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Stage is how far an attempt to get in came.
type Stage string

// The stages, in their order.
const (
	StageCredentials    Stage = "gathering its credentials"
	StageConnection     Stage = "waiting for its port"
	StageBanner         Stage = "waiting for sshd's banner"
	StageKeys           Stage = "exchanging keys"
	StageAuthentication Stage = "authenticating"
)

// modern are the algorithms taken: key agreement that holds against all that is
// known, and ciphers that authenticate.
var modern = ssh.Config{
	KeyExchanges: []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519},
	Ciphers:      []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305},
	MACs:         []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM},
}

// method is one way to authenticate, and what it is called in messages.
type method struct {
	name string
	auth []ssh.AuthMethod
}

func keys(p *proof) method {
	return method{name: p.String(), auth: []ssh.AuthMethod{ssh.PublicKeys(p.signers...)}}
}

// link is an authenticated connection.
type link struct {
	client  *ssh.Client
	wire    *wire
	hostKey ssh.PublicKey
}

// connect makes one attempt to get in as a user. Where only fingerprints are
// pinned it may take three connections to find the host key one of them is of.
func connect(ctx context.Context, config Config, pinned hostKeys, user string, by method) (*link, *failure) {
	var stranger *failure
	for _, algorithms := range pinned.offers {
		l, failed := handshake(ctx, config, pinned, algorithms, user, by)
		var none *ssh.AlgorithmNegotiationError
		switch {
		case failed == nil:
			return l, nil
		case errors.Is(failed.cause, ErrHostKey):
			stranger = failed
		case errors.As(failed.cause, &none) && none.What == "host key":
			if stranger == nil {
				stranger = &failure{stage: StageKeys, final: true, cause: fmt.Errorf("%w: %s has none of that kind, only %s; pinned is %s",
					ErrHostKey, config.Host, strings.Join(none.RequestedAlgorithms, ", "), strings.Join(pinned.fingerprints, " or "))}
			}
		default:
			return nil, failed
		}
	}
	return nil, stranger
}

// handshake makes one connection.
func handshake(ctx context.Context, config Config, pinned hostKeys, algorithms []string, user string, by method) (*link, *failure) {
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", config.address())
	if err != nil {
		return nil, &failure{stage: StageConnection, cause: ended(ctx, err)}
	}
	w := &bannerWire{wire: wire{Conn: connection}}
	stop := context.AfterFunc(ctx, func() { connection.Close() })
	defer stop()
	var shown ssh.PublicKey
	client := &ssh.ClientConfig{
		Config:            modern,
		User:              user,
		Auth:              by.auth,
		HostKeyAlgorithms: algorithms,
		HostKeyCallback:   pinned.callback(config.Host, func(key ssh.PublicKey) { shown = key }),
	}
	conn, channels, requests, err := ssh.NewClientConn(w, config.address(), client)
	if err != nil {
		connection.Close()
		return nil, judge(ctx, w.stage(shown), by, user, shown, err)
	}
	return &link{client: ssh.NewClient(conn, channels, requests), wire: &w.wire, hostKey: shown}, nil
}

// judge tells what an error of the handshake means.
func judge(ctx context.Context, at Stage, by method, user string, shown ssh.PublicKey, err error) *failure {
	f := &failure{stage: at, cause: ended(ctx, err)}
	var none *ssh.AlgorithmNegotiationError
	switch {
	case errors.Is(err, ErrHostKey):
		f.final, f.cause = true, hostKeyError{err}
	case errors.As(err, &none):
		f.final = true
	case at == StageAuthentication && isRefusal(err):
		f.cause = &RefusedError{By: by.name, User: user, HostKey: ssh.FingerprintSHA256(shown), Answer: trim(err)}
	}
	return f
}

// RefusedError says that sshd refused all that was offered.
type RefusedError struct {
	// By names the keys by their fingerprints.
	By, User string
	// HostKey is the fingerprint of the host key that was shown.
	HostKey string
	// Answer is which ways sshd left open.
	Answer string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("sshd answers, but refuses %s for user %s: it may not be let in yet (%s)", e.By, e.User, e.Answer)
}

// hostKeyError leaves out what the library puts before the cause.
type hostKeyError struct{ error }

func (e hostKeyError) Error() string {
	_, text, found := strings.Cut(e.error.Error(), ErrHostKey.Error())
	if !found {
		return e.error.Error()
	}
	return ErrHostKey.Error() + text
}

func (e hostKeyError) Unwrap() error { return e.error }

// isRefusal tells an answer that authentication failed from a connection that
// broke meanwhile. The library has no type for it. Message 51 is such an answer
// (SSH_MSG_USERAUTH_FAILURE, RFC 4252), which it doesn't expect in the place of
// the questions that "keyboard-interactive" begins with.
func isRefusal(err error) bool {
	return slices.ContainsFunc([]string{"unable to authenticate", "too many authentication", "Too many authentication failures", "unexpected message type 51 "},
		func(text string) bool { return strings.Contains(err.Error(), text) })
}

func trim(err error) string {
	text := strings.TrimPrefix(err.Error(), "ssh: handshake failed: ")
	return strings.TrimPrefix(text, "ssh: ")
}

// ended names the end of the time where that is what broke a connection.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// bannerWire notes whether the other side has said that it speaks SSH.
type bannerWire struct {
	wire
	head []byte
}

var protocolMark = []byte("SSH-")

func (w *bannerWire) Read(b []byte) (int, error) {
	n, err := w.wire.Read(b)
	if room := 1024 - len(w.head); room > 0 && !bytes.Contains(w.head, protocolMark) {
		w.head = append(w.head, b[:min(n, room)]...)
	}
	return n, err
}

// stage is how far the handshake came.
func (w *bannerWire) stage(shown ssh.PublicKey) Stage {
	switch {
	case shown != nil:
		return StageAuthentication
	case bytes.Contains(w.head, protocolMark):
		return StageKeys
	default:
		return StageBanner
	}
}
