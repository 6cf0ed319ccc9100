package remote

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// serveAgent holds a key as ssh-agent does, until the test ends.
func serveAgent(t *testing.T, private []byte) (socket string) {
	t.Helper()
	key, err := ssh.ParseRawPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(t.TempDir(), "agent")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_ = agent.ServeAgent(ring, connection) // ends with the connection
			connection.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return socket
}

func keyFile(t *testing.T, private []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, private, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDialByEachCredential(t *testing.T) {
	noLeaks(t)
	private, public := newTestKey(t)
	authority, authorityLine := newTestKey(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{Users: []string{"birth"}})
	if err := errors.Join(s.Authorize("root", public), s.Authorize("birth", public), s.Trust(authorityLine)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		by   Config
	}{
		{"key", Config{PrivateKey: private}},
		{"agent", Config{Agent: serveAgent(t, private)}},
		{"certificate by a file", Config{Authority: &Authority{File: keyFile(t, authority), KeyID: "crawler-3.a1"}}},
		{"certificate by an agent", Config{Authority: &Authority{Agent: serveAgent(t, authority), PublicKey: authorityLine}}},
	} {
		for _, user := range []string{"root", "birth"} {
			t.Run(c.name+" as "+user, func(t *testing.T) {
				config := c.by
				config.Host, config.Port, config.User, config.HostKeys = "127.0.0.1", s.Port(), user, []string{s.HostKey()}
				m := dial(t, config)
				var lines []string
				err := m.Run(t.Context(), []string{"id", "-un"}, nil, func(line string) { lines = append(lines, line) })
				if err != nil || len(lines) != 1 || lines[0] != "root" {
					t.Errorf("the command ran as %q, %v", lines, err)
				}
			})
		}
	}
	if log, err := os.ReadFile(s.Log()); err != nil || !strings.Contains(string(log), "crawler-3.a1") {
		t.Errorf("sshd's log doesn't name the cell: %v", err)
	}
}

func TestCertificateGrantsLittle(t *testing.T) {
	authority, _ := newTestKey(t)
	own, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	c, err := Authority{File: keyFile(t, authority)}.certify(t.Context(), own.signer.PublicKey(), []string{"birth"}, now)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Extensions) != 0 || len(c.CriticalOptions) != 0 || len(c.ValidPrincipals) != 1 {
		t.Errorf("it grants %v %v to %v", c.Extensions, c.CriticalOptions, c.ValidPrincipals)
	}
	if from, to := int64(c.ValidAfter)-now.Unix(), int64(c.ValidBefore)-now.Unix(); from != -300 || to != 600 {
		t.Errorf("it is valid from %d s to %d s from now", from, to)
	}
}

func TestDialWaits(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	private, public := newTestKey(t)
	log, lines := attempts()
	config := Config{Host: "127.0.0.1", Port: s.Port(), HostKeys: []string{s.HostKey()}, PrivateKey: private, Log: log}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		m, err := Dial(t.Context(), config)
		if err == nil {
			err = m.Close()
		}
		done <- err
	}()
	until(t, lines, string(StageConnection))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, lines, "refuses the key "+fingerprint(t, public))
	if err := s.Authorize("root", public); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDialGivesUp(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	private, public := newTestKey(t)
	config := Config{Host: "127.0.0.1", Port: s.Port(), HostKeys: []string{s.HostKey()}, PrivateKey: private}
	give := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		_, err := Dial(ctx, config)
		return err
	}
	t.Run("wrong key", func(t *testing.T) {
		err := give(3 * time.Second)
		var refused *RefusedError
		if !errors.As(err, &refused) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), fingerprint(t, public)+" for user root") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("sshd hangs", func(t *testing.T) {
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		err := give(time.Second)
		if err := s.Continue(); err != nil {
			t.Fatal(err)
		}
		var failed *DialError
		if !errors.As(err, &failed) || failed.Stage != StageBanner {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		err := give(time.Second)
		var failed *DialError
		if !errors.As(err, &failed) || failed.Stage != StageConnection || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("got %v", err)
		}
	})
}

func newRSALine(t *testing.T) string {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(public))
}

func TestHostKeys(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	config := let(t, s, "root")
	_, other := newTestKey(t)
	good, bad := fingerprint(t, s.HostKey()), fingerprint(t, other)
	ofRSA := newRSALine(t)
	for _, c := range []struct {
		name   string
		pinned []string
		accept bool
		want   error
	}{
		{name: "its line", pinned: []string{s.HostKey()}},
		{name: "its line with a comment", pinned: []string{s.HostKey() + " root@blank\n"}},
		{name: "its fingerprint", pinned: []string{good}},
		{name: "one of several", pinned: []string{other, good}},
		{name: "another's line", pinned: []string{other}, want: ErrHostKey},
		{name: "another's fingerprint", pinned: []string{bad}, want: ErrHostKey},
		{name: "another's though new ones are accepted", pinned: []string{bad}, accept: true, want: ErrHostKey},
		{name: "a kind it hasn't", pinned: []string{ofRSA}, want: ErrHostKey},
		{name: "none", want: ErrNoHostKey},
		{name: "none, a new one accepted", accept: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			config.HostKeys, config.AcceptNewHostKey = c.pinned, c.accept
			m, err := Dial(t.Context(), config)
			if err == nil {
				if m.HostKey() != s.HostKey() || m.Fingerprint() != good {
					t.Errorf("it says that the host key is %s", m.HostKey())
				}
				err = m.Close()
			}
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if errors.Is(c.want, ErrHostKey) && len(c.pinned) == 1 && c.pinned[0] != ofRSA && !(strings.Contains(err.Error(), good) && strings.Contains(err.Error(), bad)) {
				t.Errorf("it doesn't name both fingerprints: %v", err)
			}
		})
	}
}

func TestHostKeyChanged(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	config := let(t, s, "root")
	if err := errors.Join(s.Stop(), s.NewHostKey(), s.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), config); !errors.Is(err, ErrHostKey) {
		t.Errorf("got %v", err)
	}
}

// A machine has host keys of several kinds, and shows the one it likes best.
func TestHostKeyOfAnotherKindIsAskedFor(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	config := let(t, s, "root")
	path := filepath.Join(s.Directory(), "host_key_rsa")
	out, err := s.Exec(t.Context(), "ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", path)
	if err != nil {
		t.Fatal(err, out)
	}
	file, err := os.OpenFile(filepath.Join(s.Directory(), "sshd_config"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("HostKey " + path + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Close(), s.Stop(), s.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	for _, pinned := range []string{string(line), fingerprint(t, string(line))} {
		config.HostKeys = []string{pinned}
		m := dial(t, config)
		if m.Fingerprint() != fingerprint(t, string(line)) {
			t.Errorf("pinned %s, it showed %s", pinned, m.Fingerprint())
		}
	}
}

func TestCredentialsThatCantBeUsed(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("sesame"))
	if err != nil {
		t.Fatal(err)
	}
	plain, _ := newTestKey(t)
	_, stranger := newTestKey(t)
	for _, c := range []struct {
		name, want string
		by         Config
	}{
		{"passphrase", "passphrase", Config{PrivateKey: pem.EncodeToMemory(block)}},
		{"half a key", "can't be read", Config{PrivateKey: plain[:len(plain)/2]}},
		{"none", "neither a private key", Config{}},
		{"no agent", "no such file", Config{Agent: filepath.Join(t.TempDir(), "none")}},
		{"no authority file", "no such file", Config{Authority: &Authority{File: filepath.Join(t.TempDir(), "none")}}},
		{"authority without a key", "needs a file", Config{Authority: &Authority{}}},
		{"authority not in the agent", "holds no such key", Config{Authority: &Authority{Agent: serveAgent(t, plain), PublicKey: stranger}}},
		{"authority with a passphrase", "passphrase", Config{Authority: &Authority{File: keyFile(t, pem.EncodeToMemory(block))}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := c.by
			config.Host, config.Port, config.AcceptNewHostKey = "127.0.0.1", 1, true
			_, err := Dial(t.Context(), config)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to hold %q", err, c.want)
			}
			for _, line := range strings.Split(string(config.PrivateKey), "\n") {
				if len(line) > 20 && !strings.HasPrefix(line, "---") && strings.Contains(err.Error(), line) {
					t.Errorf("the error holds a part of the key: %v", err)
				}
			}
		})
	}
}

func TestKeysAreWiped(t *testing.T) {
	own, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	own.wipe()
	private, ok := own.private.(ed25519.PrivateKey)
	if !ok || !bytes.Equal(private, make([]byte, len(private))) {
		t.Error("the key is still there")
	}
}
