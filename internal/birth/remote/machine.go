package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// Machine is a connection to a machine. Its methods may be called from several
// goroutines. An operation whose context ends takes the connection with it: that
// is the one way to be sure that nothing of it goes on.
type Machine struct {
	config      Config
	credentials *credentials
	link        *link
	stopPulse   func()

	mu    sync.Mutex
	cause error // why the connection was closed from here
}

func newMachine(config Config, credentials *credentials, l *link) *Machine {
	m := &Machine{config: config, credentials: credentials, link: l}
	m.stopPulse = m.startPulse()
	return m
}

// HostKey is the public key line that the machine showed.
func (m *Machine) HostKey() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(m.link.hostKey)))
}

// Fingerprint is that of HostKey, "SHA256:...".
func (m *Machine) Fingerprint() string { return ssh.FingerprintSHA256(m.link.hostKey) }

// Close ends the connection and overwrites the keys it was made with.
func (m *Machine) Close() error {
	m.fail(errors.New("the connection was closed"))
	m.stopPulse()
	// It returns the error that ended the connection, which is the one above.
	_ = m.link.client.Wait()
	m.credentials.wipe()
	return nil
}

// fail closes the connection. What stands in it then returns with this cause.
func (m *Machine) fail(cause error) {
	m.mu.Lock()
	if m.cause == nil {
		m.cause = cause
	}
	m.mu.Unlock()
	_ = m.link.client.Close() // it may be closed already
}

// bound closes the connection when ctx ends, until the returned function is called.
func (m *Machine) bound(ctx context.Context) (release func() bool) {
	return context.AfterFunc(ctx, func() { m.fail(context.Cause(ctx)) })
}

// closedHere is why the connection was closed from here, nil if it wasn't.
func (m *Machine) closedHere() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cause
}

// explain puts the reason why the connection was closed in the place of an
// error that says only that it was.
func (m *Machine) explain(ctx context.Context, err error) error {
	closed := m.closedHere()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case closed != nil:
		return closed
	}
	return err
}

// failed wraps an error of an operation.
func (m *Machine) failed(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s on %s: %w", what, m.config.target(), m.explain(ctx, err))
}

// AwaitEnd returns when the machine has ended the connection, or ctx has ended.
func (m *Machine) AwaitEnd(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		_ = m.link.client.Wait() // it ends with Close at the latest
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait until %s ends the connection: %w", m.config.target(), context.Cause(ctx))
	}
}
