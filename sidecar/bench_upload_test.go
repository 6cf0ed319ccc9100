package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/remote"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// The columns and the rows of BenchmarkUpload.
const (
	firstTime = "first time"
	unchanged = "unchanged"
	byCopy    = "scp -r"
	copyAgain = "scp -r again"

	getIn     = "get in"
	ask       = "ask what it lacks"
	bring     = "bring it"
	wholeTime = "whole"
)

// BenchmarkUpload brings what a cell that may lead is made of to a blank machine:
// the two programs of this repository, Terraform, and 300 small files. Beside it
// scp -r brings the same files to the same machine. Each is measured from nothing
// to the connection's end, on an empty disk and once more when all is there.
func BenchmarkUpload(b *testing.B) {
	rounds := measuring(b)
	if _, err := exec.LookPath("scp"); err != nil {
		testkit.NotRun(b, b.Name(), err.Error())
	}
	u := newUploadBench(b)
	u.byCopy(byCopy)
	u.byBirth(firstTime)
	u.figures = figures{} // the first of each warms the caches
	for round := range rounds {
		u.clear()
		ways := []func(){
			func() { u.byCopy(byCopy); u.byCopy(copyAgain) },
			func() { u.byBirth(firstTime); u.byBirth(unchanged) },
		}
		ways[round%2]()
		ways[1-round%2]()
		b.Logf("round %d of %d, load %s", round+1, rounds, machineLoad())
	}
	median := func(way string) float64 { return ms(quantile(u.of(way, wholeTime), 0.5)) }
	b.Logf("%.1f MB in %d files, %d rounds\n%s", float64(u.size)/1e6, len(u.blobs), rounds, u.table())
	report(b, map[string]float64{
		"first-ms": median(firstTime), "unchanged-ms": median(unchanged), "scp-ms": median(byCopy),
		"first/scp": median(firstTime) / median(byCopy), "unchanged/scp": median(unchanged) / median(copyAgain),
	})
}

// uploadBench is a machine, and the files that are brought there.
type uploadBench struct {
	figures
	b       *testing.B
	machine *testkit.Machine
	config  remote.Config
	source  string // the folder with the files
	key     string // the file with the key
	paths   map[string]string
	blobs   []remote.Blob
	size    int64
}

func newUploadBench(b *testing.B) *uploadBench {
	b.Helper()
	private, public := newKey(b)
	m := testkit.MachinesFor(b, 1).Boot(testkit.MachineSpec{AuthorizedKeys: []string{public}, Booted: true})
	dir := b.TempDir()
	u := &uploadBench{
		b: b, machine: m, source: filepath.Join(dir, "files"), key: filepath.Join(dir, "key"), paths: map[string]string{},
		config: remote.Config{Host: m.Address(), User: m.User(), HostKeys: []string{m.HostKey()}, PrivateKey: []byte(private)},
	}
	u.must(os.WriteFile(u.key, []byte(private), 0o600))
	u.must(os.Mkdir(u.source, 0o755))
	for _, program := range []string{testkit.Sidecar(b), testkit.Provider(b).Binary, testkit.Terraform(b)} {
		content, err := os.ReadFile(program)
		u.must(err)
		u.add(filepath.Base(program), content)
	}
	content := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same files in each run
	for i := range 300 {
		small := make([]byte, 100+content.IntN(20_000))
		for k := range small {
			small[k] = byte(content.Uint32())
		}
		u.add(fmt.Sprintf("small-%03d", i), small)
	}
	u.must2(m.Exec(b.Context(), "mkdir", "-p", "/srv/scp"))
	return u
}

func (u *uploadBench) must(err error) {
	u.b.Helper()
	if err != nil {
		u.b.Fatal(err)
	}
}

func (u *uploadBench) must2(_ string, err error) { u.b.Helper(); u.must(err) }

func (u *uploadBench) add(name string, content []byte) {
	u.b.Helper()
	path := filepath.Join(u.source, name)
	u.must(os.WriteFile(path, content, 0o600))
	sum := sha256.Sum256(content)
	blob := remote.Blob{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content))}
	u.paths[blob.SHA256], u.size = path, u.size+blob.Size
	u.blobs = append(u.blobs, blob)
}

// clear empties the machine's disk of what was brought, and has it write what is
// still in memory, which would otherwise be part of the next round's time.
func (u *uploadBench) clear() {
	u.b.Helper()
	u.must2(u.machine.Exec(u.b.Context(), "sh", "-c", "rm -rf /var/lib/homeostat /srv/scp/* && sync -f /"))
}

func (u *uploadBench) byCopy(way string) {
	u.b.Helper()
	begin := time.Now()
	out, err := exec.CommandContext(u.b.Context(), "scp", "-r", "-q", "-i", u.key, "-F", "none",
		"-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		u.source, u.machine.User()+"@"+u.machine.Address()+":/srv/scp/").CombinedOutput()
	if err != nil {
		u.b.Fatalf("scp: %v\n%s", err, bytes.TrimSpace(out))
	}
	u.figures.add(way, wholeTime, time.Since(begin))
}

// byBirth does what a birth does, up to where it installs.
func (u *uploadBench) byBirth(way string) {
	u.b.Helper()
	ctx, cancel := context.WithTimeout(u.b.Context(), 5*time.Minute)
	defer cancel()
	begin := time.Now()
	m, err := remote.Dial(ctx, u.config)
	u.must(err)
	in := time.Now()
	missing, err := m.Missing(ctx, u.blobs)
	u.must(err)
	asked := time.Now()
	if want := map[string]int{firstTime: len(u.blobs)}[way]; len(missing) != want {
		u.b.Fatalf("the machine lacks %d of %d files, not %d", len(missing), len(u.blobs), want)
	}
	if len(missing) > 0 {
		u.must(m.Upload(ctx, missing, func(sha256 string) (io.ReadCloser, error) { return os.Open(u.paths[sha256]) }, nil))
		u.figures.add(way, bring, time.Since(asked))
	}
	u.must(m.Close())
	u.figures.add(way, wholeTime, time.Since(begin))
	u.figures.add(way, getIn, in.Sub(begin))
	u.figures.add(way, ask, asked.Sub(in))
}
