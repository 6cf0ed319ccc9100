package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// sidecarScript stands for the program: all that counts here is how it is
// started and that it ends when it is told to.
const sidecarScript = `#!/bin/sh
trap 'kill $!; exit 0' TERM
echo "$@" >$HOMEOSTAT_TEST_OUT.new && mv $HOMEOSTAT_TEST_OUT.new $HOMEOSTAT_TEST_OUT
sleep 1000 &
wait $!
`

const secret = "s3cret-of-the-newborn"

// house is a machine below a temporary root, with something on it already.
type house struct {
	*testing.T
	m       *Machine
	request Request
	genome  bundle.Genome
	base    map[string]string // what was there before
}

var incarnations atomic.Int64

// genomeOf is a genome whose files are of every sort there is.
func genomeOf() (bundle.Genome, map[string]string) {
	content := map[string]string{
		"/etc/app/new.conf": "new", "/etc/app/old.conf": "newer", "/etc/app/link.conf": "file now",
		"/etc/same.conf": "same", "/opt/app/bin/app": "#!/bin/sh\n", "/srv/deep/er/file": "", "/data/app/seed": "seed",
		Program: sidecarScript,
	}
	g := bundle.Genome{
		Format: bundle.Format, Service: "api", Command: []string{"/opt/app/bin/app", "serve"}, Environment: map[string]string{"A": "1", "HOMEOSTAT_CELL": "not this"},
		Directories: []bundle.Directory{
			{Path: "/data/app", Mode: "0750", Owner: "daemon:daemon"}, {Path: "/etc/app", Mode: "0711", Owner: "daemon"}, {Path: "/var/empty", Mode: "0700"},
		},
		Run: []bundle.Command{
			{Command: []string{"sh", "-c", `echo "$A $HOMEOSTAT_CELL" >>"$HOMEOSTAT_TEST_RAN"`}, Timeout: "1m"},
			{Command: []string{"sh", "-c", "exit 3"}, Unless: []string{"true"}, Timeout: "1m"},
			{Command: []string{"true"}, Unless: []string{"false"}, Timeout: "1m"},
		},
	}
	for _, path := range slices.Sorted(maps.Keys(content)) {
		f := bundle.File{Path: path, Mode: "0640", SHA256: digestText(content[path]), Size: int64(len(content[path]))}
		switch path {
		case "/opt/app/bin/app":
			f.Mode, f.Owner = "0755", "daemon:root"
		case Program:
			f.Mode = "0755"
		}
		g.Files = append(g.Files, f)
	}
	return g, content
}

// fileOf is a program among a genome's files.
func fileOf(path, content string) bundle.File {
	return bundle.File{Path: path, Mode: "0755", SHA256: digestText(content), Size: int64(len(content))}
}

func newHouse(t *testing.T) *house {
	t.Helper()
	if os.Geteuid() != 0 {
		testkit.NotRun(t, t.Name(), "only root gives files to others")
	}
	h := &house{T: t, m: machineAt(t.TempDir())}
	for path, text := range map[string]string{"/etc/app/old.conf": "old", "/etc/same.conf": "same", "/etc/other": "other", "/etc/app/theirs": "x"} {
		h.file(path, text, 0o640)
	}
	h.do(os.Chown(h.m.path("/etc/app/old.conf"), 1, 2))
	h.do(os.Chtimes(h.m.path("/etc/app/old.conf"), time.Time{}, time.Unix(1e9, 5)))
	h.do(os.Symlink("../other", h.m.path("/etc/app/link.conf")))
	h.do(os.Chmod(h.m.path("/etc/app"), 0o700))
	h.do(os.MkdirAll(h.m.path("/usr/local/bin"), 0o755))
	h.do(os.MkdirAll(h.m.path(filepath.Dir(Home)), 0o755))
	h.base = h.snapshot()
	g, content := genomeOf()
	h.bring(g, content)
	t.Cleanup(func() {
		if err := h.m.stopDetached(t.Context(), h.request.ID()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		for _, p := range h.processes() {
			_ = syscall.Kill(p.pid, syscall.SIGKILL) // whatever a test that failed has left
		}
	})
	return h
}

// bring puts blobs and program on the machine as a birth over SSH does, and makes
// the request.
func (h *house) bring(g bundle.Genome, content map[string]string) {
	h.Helper()
	h.genome = g
	blob := func(text string) string {
		h.file(blobsDir+"/"+digestText(text), text, 0o600)
		return digestText(text)
	}
	genome := mustJSON(h, g)
	manifest := bundle.Manifest{Format: bundle.Format, Service: "api", Policy: "homeostat.hcl", Module: "root", Genome: blob(genome)}
	for _, f := range []struct{ path, text string }{{"homeostat.hcl", "# policy"}, {"root/main.tf", "# root"}} {
		manifest.Tree = append(manifest.Tree, bundle.TreeFile{Path: f.path, SHA256: blob(f.text), Size: int64(len(f.text))})
	}
	for _, text := range content {
		blob(text)
	}
	h.file(Starter, sidecarScript, 0o755)
	incarnation := fmt.Sprintf("i%d-%d", os.Getpid(), incarnations.Add(1))
	h.request = Request{
		Service: "api", Name: "api-1", Incarnation: incarnation, Bundle: blob(mustJSON(h, manifest)), Address: "10.0.0.7",
		Environment: map[string]string{
			"HOMEOSTAT_CELL":     "api-1",
			"HOMEOSTAT_TEST_OUT": filepath.Join(h.m.Root, "out"), "HOMEOSTAT_TEST_RAN": filepath.Join(h.m.Root, "ran"),
		},
		Secrets: map[string]string{"consul-token": secret},
		Door:    &door.Access{User: "birth"}, Reuse: true,
	}
}

func mustJSON(h *house, v any) string {
	h.Helper()
	text, err := json.Marshal(v)
	h.do(err)
	return string(text)
}

func (h *house) do(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) file(path, text string, mode fs.FileMode) {
	h.Helper()
	h.do(os.MkdirAll(filepath.Dir(h.m.path(path)), 0o755))
	h.do(os.WriteFile(h.m.path(path), []byte(text), mode))
}

func (h *house) read(path string) string {
	h.Helper()
	text, err := os.ReadFile(h.m.path(path))
	h.do(err)
	return string(text)
}

// snapshot is every path with mode, owner and content. It leaves out what the
// tests themselves write, what isn't the same twice, the cell's log, and what was
// brought by its digest, which stays for the next birth.
func (h *house) snapshot() map[string]string {
	h.Helper()
	all := map[string]string{}
	h.do(filepath.WalkDir(h.m.Root, func(p string, _ fs.DirEntry, err error) error {
		rel := strings.TrimPrefix(p, h.m.Root)
		if err != nil || rel == "" || slices.Contains([]string{"/out", "/out.new", "/ran", "/opened", logFile, cacheLock}, rel) || strings.HasPrefix(rel, blobsDir) {
			return err
		}
		info, err := os.Lstat(p)
		if err != nil {
			return err
		}
		uid, gid := ownerOf(info)
		text, at := "", ""
		switch {
		case info.Mode().IsRegular():
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			text = string(b)
			if strings.HasPrefix(rel, "/etc/app/") && text == "old" {
				at = info.ModTime().String()
			}
		case info.Mode()&fs.ModeSymlink != 0:
			text, err = os.Readlink(p)
		}
		all[rel] = fmt.Sprintf("%v %d:%d %q %s", info.Mode(), uid, gid, text, at)
		return err
	}))
	return all
}

// same compares two snapshots.
func (h *house) same(what string, got, want map[string]string) {
	h.Helper()
	for _, p := range slices.Sorted(maps.Keys(want)) {
		if got[p] != want[p] {
			h.Errorf("%s: %s is %s and should be %s", what, p, got[p], want[p])
		}
	}
	for _, p := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[p]; !ok {
			h.Errorf("%s: %s is there", what, p)
		}
	}
}

func (h *house) install() error {
	return h.m.Install(h.Context(), h.request, func(string) {})
}

func (h *house) processes() []cellProcess {
	h.Helper()
	all, err := cellProcesses(h.request.ID())
	h.do(err)
	return all
}

// runsOnce waits until the sidecar shows how it was started, and says how often
// it runs.
func (h *house) runsOnce() {
	h.Helper()
	testkit.Await(h, testkitLimit, func(ctx) error {
		_, err := os.Stat(filepath.Join(h.m.Root, "out"))
		return err
	})
	sidecars := slices.DeleteFunc(h.processes(), func(p cellProcess) bool { return !p.isSidecar(h.m.path(Program)) })
	// The shell's children show its words until they have their own.
	first := slices.DeleteFunc(sidecars, func(p cellProcess) bool {
		return slices.ContainsFunc(sidecars, func(q cellProcess) bool { return parentOf(p.pid) == q.pid })
	})
	if len(first) != 1 {
		h.Errorf("the sidecar runs %d times", len(first))
	}
}

// killedAt runs a process that is killed at its n-th point. It returns false if
// it came to its end before.
func (h *house) killedAt(what string, n int) bool {
	h.Helper()
	self, err := os.Executable()
	h.do(err)
	cmd := exec.CommandContext(h.Context(), self, what, strconv.Itoa(n), h.m.Root, mustJSON(h, h.request))
	cmd.Env = append(os.Environ(), cutProcess+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() { //nolint:errcheck // it is of that type here
		return true
	}
	if err != nil {
		h.Fatalf("%s that is killed at %d: %v\n%s", what, n, err, out.String())
	}
	return false
}
