package remote

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// noLeaks looks for goroutines left behind when a test and all its other
// clean-ups are over.
func noLeaks(t *testing.T) {
	t.Helper()
	options := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, options) })
}

// newTestKey returns a private key in PEM and its public key line.
func newTestKey(tb testing.TB) (private []byte, public string) {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(block), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

func fingerprint(tb testing.TB, public string) string {
	tb.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(public))
	if err != nil {
		tb.Fatal(err)
	}
	return ssh.FingerprintSHA256(key)
}

// soon is a context that ends a test which would hang otherwise.
func soon(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 2*time.Minute)
	tb.Cleanup(cancel)
	return ctx
}

// let makes a key that gets into the machine as the user, and the configuration
// for it.
func let(tb testing.TB, s *testkit.SSHDServer, user string) Config {
	tb.Helper()
	private, public := newTestKey(tb)
	if err := s.Authorize(user, public); err != nil {
		tb.Fatal(err)
	}
	return Config{Host: "127.0.0.1", Port: s.Port(), User: user, HostKeys: []string{s.HostKey()}, PrivateKey: private}
}

// dial gets in, in the time that a loaded machine may take.
func dial(tb testing.TB, config Config) *Machine {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	m, err := Dial(ctx, config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := m.Close(); err != nil {
			tb.Error(err)
		}
	})
	return m
}

// attempts is a log that hands on what was said of each failed attempt.
func attempts() (*slog.Logger, <-chan string) {
	lines := make(chan string, 1000)
	return slog.New(slog.NewTextHandler(lineWriter(lines), nil)), lines
}

type lineWriter chan<- string

func (w lineWriter) Write(b []byte) (int, error) {
	w <- string(b)
	return len(b), nil
}

// until waits for a line that holds the text.
func until(t *testing.T, lines <-chan string, text string) {
	t.Helper()
	for limit := time.After(time.Minute); ; {
		select {
		case line := <-lines:
			if strings.Contains(line, text) {
				return
			}
		case <-limit:
			t.Fatalf("no attempt said %q", text)
		}
	}
}

// content is blobs that exist in memory.
type content map[string][]byte

func (c content) add(size int) Blob {
	b := make([]byte, size)
	_, _ = rand.Read(b)
	return c.put(b)
}

func (c content) put(b []byte) Blob {
	sum := sha256.Sum256(b)
	name := hex.EncodeToString(sum[:])
	c[name] = b
	return Blob{SHA256: name, Size: int64(len(b))}
}

func (c content) open(name string) (io.ReadCloser, error) {
	b, ok := c[name]
	if !ok {
		return nil, os.ErrNotExist
	}
	return io.NopCloser(strings.NewReader(string(b))), nil
}

// onMachine is the path of a blob on the machine, seen from here.
func onMachine(tb testing.TB, s *testkit.SSHDServer, name string) string {
	tb.Helper()
	path, err := s.Path(blobsDirectory + "/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// hasAll checks from outside that the machine has blobs and nothing half-done.
func hasAll(tb testing.TB, s *testkit.SSHDServer, c content, blobs []Blob) {
	tb.Helper()
	for _, b := range blobs {
		got, err := os.ReadFile(onMachine(tb, s, b.SHA256))
		if err != nil || string(got) != string(c[b.SHA256]) {
			tb.Errorf("blob %s of %d bytes on the machine: %d bytes, %v", b.SHA256, b.Size, len(got), err)
		}
	}
	entries, err := os.ReadDir(onMachine(tb, s, ""))
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != ".read" && !digestPattern.MatchString(e.Name()) {
			tb.Errorf("%s was left on the machine", e.Name())
		}
	}
}
