package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

var rounds = flag.Int("rounds", 20, "how many rounds the benchmark of uploads measures")

// BenchmarkUpload brings what a cell that may lead needs to a machine on
// loopback, both sides from the connection to its end: by scp -r, which brings
// all of it each time, and by Dial, Missing and Upload.
func BenchmarkUpload(b *testing.B) {
	if _, err := exec.LookPath("scp"); err != nil {
		testkit.NotRun(b, b.Name(), err.Error())
	}
	u := newUploads(b)
	u.scp()
	u.clear()
	u.ours() // the first of each isn't measured
	var scp, first, unchanged, scpAgain []time.Duration
	for round := range *rounds {
		u.clear()
		measure := []func(){
			func() { scp = append(scp, u.timed(u.scp)); scpAgain = append(scpAgain, u.timed(u.scp)) },
			func() { first = append(first, u.timed(u.ours)); unchanged = append(unchanged, u.timed(u.ours)) },
		}
		measure[round%2]()
		measure[1-round%2]()
	}
	b.Logf("%d bytes in %d files, %d rounds, median (quartiles):\nfirst time: %s, scp -r %s\nunchanged:  %s, scp -r %s",
		u.size, len(u.blobs), *rounds, spread(first), spread(scp), spread(unchanged), spread(scpAgain))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(median(first))/float64(median(scp)), "first/scp")
	b.ReportMetric(float64(median(unchanged))/float64(median(scpAgain)), "unchanged/scp")
}

// uploads is a machine and what is to be brought there.
type uploads struct {
	b      *testing.B
	server *testkit.SSHDServer
	config Config
	source string // a directory with the files
	key    string // a file with the private key
	paths  map[string]string
	blobs  []Blob
	size   int64
}

func newUploads(b *testing.B) *uploads {
	b.Helper()
	u := &uploads{b: b, server: testkit.SSHD(b, testkit.SSHDOptions{}), source: filepath.Join(b.TempDir(), "files"), paths: make(map[string]string)}
	u.config = let(b, u.server, "root")
	u.key = filepath.Join(b.TempDir(), "key")
	if err := os.WriteFile(u.key, u.config.PrivateKey, 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Mkdir(u.source, 0o755); err != nil {
		b.Fatal(err)
	}
	u.copy(testkit.Sidecar(b))
	u.copy(testkit.Provider(b).Binary)
	u.copy(testkit.Terraform(b))
	small := content{}
	for i := range 40 {
		blob := small.add(100 + 150*i)
		u.add(blob.SHA256, small[blob.SHA256])
	}
	return u
}

func (u *uploads) copy(path string) {
	u.b.Helper()
	all, err := os.ReadFile(path)
	if err != nil {
		u.b.Fatal(err)
	}
	u.add(filepath.Base(path), all)
}

func (u *uploads) add(name string, all []byte) {
	u.b.Helper()
	path := filepath.Join(u.source, name)
	if err := os.WriteFile(path, all, 0o600); err != nil {
		u.b.Fatal(err)
	}
	sum := sha256.Sum256(all)
	blob := Blob{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(all))}
	u.paths[blob.SHA256] = path
	u.blobs = append(u.blobs, blob)
	u.size += blob.Size
}

// clear empties the machine's disk.
func (u *uploads) clear() {
	u.b.Helper()
	if out, err := u.server.Exec(u.b.Context(), "find", "/var/lib/homeostat", "-mindepth", "1", "-delete"); err != nil {
		u.b.Fatal(err, out)
	}
}

func (u *uploads) timed(what func()) time.Duration {
	begin := time.Now()
	what()
	return time.Since(begin)
}

func (u *uploads) scp() {
	out, err := exec.CommandContext(u.b.Context(), "scp", "-r", "-q", "-P", strconv.Itoa(u.config.Port), "-i", u.key,
		"-F", "none", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		u.source, "root@127.0.0.1:/var/lib/homeostat/").CombinedOutput()
	if err != nil {
		u.b.Fatalf("scp: %v\n%s", err, out)
	}
}

func (u *uploads) ours() {
	ctx, cancel := context.WithTimeout(u.b.Context(), 5*time.Minute)
	defer cancel()
	m, err := Dial(ctx, u.config)
	if err != nil {
		u.b.Fatal(err)
	}
	missing, err := m.Missing(ctx, u.blobs)
	if err == nil && len(missing) > 0 {
		err = m.Upload(ctx, missing, func(name string) (io.ReadCloser, error) { return os.Open(u.paths[name]) }, nil)
	}
	if err != nil {
		u.b.Fatal(err)
	}
	if err := m.Close(); err != nil {
		u.b.Fatal(err)
	}
}

func median(times []time.Duration) time.Duration { return quantile(times, 0.5) }

func quantile(times []time.Duration, q float64) time.Duration {
	return slices.Sorted(slices.Values(times))[int(q*float64(len(times)-1)+0.5)]
}

func spread(times []time.Duration) string {
	return fmt.Sprintf("%d ms (%d-%d)", median(times).Milliseconds(), quantile(times, 0.25).Milliseconds(), quantile(times, 0.75).Milliseconds())
}
