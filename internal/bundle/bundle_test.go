package bundle

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// files are a service as it lies on disk.
var files = map[string]string{
	"homeostat.hcl":       "# a policy",
	"pod/main.tf":         "# a root module",
	"pod/sub/more.tf":     "# and more",
	"modules/cells/x.tf":  "# a local module",
	"genomes/pod.hcl":     genomeText,
	"genomes/bin/app":     "#!/bin/sh\n",
	"genomes/bin/plain":   "text",
	"elsewhere/unrelated": "not of it",
}

const genomeText = `
command     = ["/opt/app", "serve"]
user        = "app"
environment = { B = "2", A = "1" }
units       = ["other.service"]
directory "/var/lib/app" { owner = "app:app" }
file "/opt/plain" { source = "bin/plain" }
file "/opt/app" { source = "bin/app" }
file "/etc/app.conf" {
  content = "x = 1\n"
  mode    = "600"
}
run {
  command = ["useradd", "app"]
  unless  = ["id", "app"]
}
`

// lay writes the files below a folder and returns what a bundle is made from.
func lay(t *testing.T, at time.Time) Source {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
		must(t, os.Chtimes(path, at, at))
	}
	must(t, os.Chmod(filepath.Join(dir, "genomes/bin/app"), 0o755))
	src := Source{
		Service: "pod", Policy: filepath.Join(dir, "homeostat.hcl"), Module: filepath.Join(dir, "pod"),
		Genome: filepath.Join(dir, "genomes/pod.hcl"),
	}
	for _, name := range []string{"pod/main.tf", "pod/sub/more.tf", "modules/cells/x.tf"} {
		src.Files = append(src.Files, filepath.Join(dir, name))
	}
	return src
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func build(t *testing.T, src Source) *Bundle {
	t.Helper()
	b, err := Build(t.Context(), src)
	must(t, err)
	return b
}

// The same files make the same bundle wherever they lie and however old they
// are, and each change of one that counts makes another.
func TestDigest(t *testing.T) {
	one := build(t, lay(t, time.Unix(1, 0)))
	if other := build(t, lay(t, time.Now())); other.Digest() != one.Digest() || other.Manifest.Genome != one.Manifest.Genome {
		t.Errorf("the same files are %s and %s", one.Digest(), other.Digest())
	}
	if one.Manifest.Genome != one.Genome.Digest() {
		t.Error("the manifest names another genome than the bundle has")
	}
	for name := range files {
		src := lay(t, time.Now())
		path := filepath.Join(filepath.Dir(src.Policy), name)
		text, err := os.ReadFile(path)
		must(t, err)
		changed := strings.Replace(string(text), "serve", "other", 1)
		if changed == string(text) {
			changed += " changed"
		}
		must(t, os.WriteFile(path, []byte(changed), 0o644))
		other := build(t, src)
		ofGenome := strings.HasPrefix(name, "genomes/")
		if same := other.Digest() == one.Digest(); same != (name == "elsewhere/unrelated") {
			t.Errorf("after a change of %s the bundle is the same: %v", name, same)
		}
		if same := other.Manifest.Genome == one.Manifest.Genome; same == ofGenome {
			t.Errorf("after a change of %s the genome is the same: %v", name, same)
		}
	}
}

// A tree with the digest of a genome, which need not be there, has the digest of
// its bundle, where it was made and where it is laid out.
func TestTree(t *testing.T) {
	src := lay(t, time.Now())
	dir := t.TempDir()
	b := build(t, src)
	_, err := open(t, dir).Put(t.Context(), b)
	must(t, err)
	must(t, os.Remove(src.Genome))
	here, err := Tree(t.Context(), src, b.Manifest.Genome)
	must(t, err)
	c, err := open(t, dir).Fetch(t.Context(), b.Digest(), t.TempDir())
	must(t, err)
	there := Source{Service: "pod", Policy: c.Policy(), Module: c.Module()}
	for _, name := range []string{"pod/main.tf", "pod/sub/more.tf", "modules/cells/x.tf"} {
		there.Files = append(there.Files, filepath.Join(c.Tree, name))
	}
	laid, err := Tree(t.Context(), there, b.Manifest.Genome)
	must(t, err)
	if here.Digest() != b.Digest() || laid.Digest() != b.Digest() {
		t.Errorf("%s here and %s there, want %s", here.Digest(), laid.Digest(), b.Digest())
	}
	must(t, os.WriteFile(src.Policy, []byte("# another"), 0o644))
	src.Files = append(src.Files[1:], filepath.Join(filepath.Dir(src.Policy), "elsewhere/unrelated"))
	here, err = Tree(t.Context(), src, b.Manifest.Genome)
	must(t, err)
	if got := strings.Join(here.Differences(laid), " "); got != "elsewhere/unrelated homeostat.hcl pod/main.tf" {
		t.Errorf("the differences are %s", got)
	}
}

func TestGenome(t *testing.T) {
	b := build(t, lay(t, time.Now()))
	g := b.Genome
	if len(g.Files) != 3 || g.Files[0].Path != "/etc/app.conf" || g.Files[0].Mode != "0600" || g.Files[1].Mode != "0755" || g.Files[2].Mode != "0644" {
		t.Errorf("the files are %+v", g.Files)
	}
	if g.Directories[0].Mode != "0755" || g.Run[0].Timeout != "5m" {
		t.Errorf("defaults are not filled in: %+v", g)
	}
	if m := b.Manifest; m.Policy != "homeostat.hcl" || m.Module != "pod" || len(m.Tree) != 4 || m.Tree[1].Path != "modules/cells/x.tf" {
		t.Errorf("the tree is %+v", m)
	}
}

func TestStore(t *testing.T) {
	dir := t.TempDir()
	store, err := OpenStore(dir)
	must(t, err)
	src := lay(t, time.Now())
	b := build(t, src)
	done, err := store.Put(t.Context(), b)
	must(t, err)
	if done.New != done.Files || done.Files != len(b.Blobs()) {
		t.Errorf("stored %+v", done)
	}
	if done, err = store.Put(t.Context(), b); err != nil || done.New != 0 {
		t.Errorf("stored again %+v, %v", done, err)
	}
	m, err := store.Manifest(t.Context(), b.Digest())
	must(t, err)
	if m.Digest() != b.Digest() {
		t.Errorf("read back %s", m.Digest())
	}
	blob := filepath.Join(dir, blobName(m.Tree[0].SHA256))
	must(t, os.WriteFile(blob, []byte("cut"), 0o644))
	if _, err := store.Manifest(t.Context(), b.Digest()); err == nil || !strings.Contains(err.Error(), "isn't whole") {
		t.Errorf("a blob that was cut short gave %v", err)
	}
	if done, err = store.Put(t.Context(), b); err != nil || done.New != 1 {
		t.Errorf("what was cut short was not stored again: %+v, %v", done, err)
	}
	must(t, os.Remove(blob))
	if _, err := store.Manifest(t.Context(), b.Digest()); err == nil {
		t.Error("a bundle with a blob missing was taken for whole")
	}
	must(t, os.WriteFile(filepath.Join(dir, manifestName(b.Digest())), []byte("{}"), 0o644))
	if _, err := store.Manifest(t.Context(), b.Digest()); !errors.Is(err, ErrChanged) {
		t.Errorf("another manifest under that digest gave %v", err)
	}
	if _, err := store.Manifest(t.Context(), strings.Repeat("0", 64)); !errors.Is(err, ErrNoBundle) {
		t.Errorf("a bundle that isn't there gave %v", err)
	}
}

// A file that is changed between the digest and the copy is not stored under the
// digest of what it was.
func TestFileChangesMeanwhile(t *testing.T) {
	dir := t.TempDir()
	store, err := OpenStore(dir)
	must(t, err)
	src := lay(t, time.Now())
	b := build(t, src)
	must(t, os.WriteFile(filepath.Join(src.Module, "main.tf"), []byte("# another module"), 0o644))
	if _, err := store.Put(t.Context(), b); !errors.Is(err, ErrChanged) {
		t.Errorf("it gave %v", err)
	}
	if _, err := store.Manifest(t.Context(), b.Digest()); !errors.Is(err, ErrNoBundle) {
		t.Errorf("and the bundle is there: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "blobs", ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := b.Open("none"); err == nil {
		t.Error("a blob of no bundle was opened")
	}
}

func TestMissingSources(t *testing.T) {
	src := lay(t, time.Now())
	must(t, os.Remove(filepath.Join(filepath.Dir(src.Genome), "bin/app")))
	_, err := Build(t.Context(), src)
	wrong, ok := errors.AsType[*GenomeError](err)
	if !ok || len(wrong.Diags) != 1 || wrong.Diags[0].Subject.Start.Line != 8 {
		t.Errorf("a source that is missing gave %v", err)
	}
	src = lay(t, time.Now())
	text := genomeText + "file \"/opt/pinned\" {\n  source = \"bin/app\"\n  sha256 = \"" + strings.Repeat("a", 64) + "\"\n}\n"
	must(t, os.WriteFile(src.Genome, []byte(text), 0o644))
	if _, err := Build(t.Context(), src); err == nil || !strings.Contains(err.Error(), "and the genome wants aaaa") {
		t.Errorf("a source of another digest gave %v", err)
	}
	src.Genome += ".none"
	if _, err := Build(t.Context(), src); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no genome gave %v", err)
	}
}

// FuzzManifest wants no manifest to lead out of its tree.
func FuzzManifest(f *testing.F) {
	f.Add(`{"format":1,"service":"pod","policy":"a.hcl","module":"pod","genome":"x","tree":[{"path":"../a.hcl","sha256":"","size":-1}]}`)
	f.Add(`{"format":2}`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseManifest([]byte(text), digestText([]byte(text)))
		if err != nil {
			return
		}
		for _, file := range m.Tree {
			if !filepath.IsLocal(file.Path) || CheckDigest(file.SHA256) != nil {
				t.Errorf("taken: %+v", file)
			}
		}
	})
}

// FuzzGenome wants no genome to end the program.
func FuzzGenome(f *testing.F) {
	f.Add(genomeText)
	f.Fuzz(func(t *testing.T, text string) {
		g, diags := parseGenome("genome.hcl", []byte(text))
		if diags.HasErrors() {
			return
		}
		for _, file := range g.Files {
			if !filepath.IsAbs(file.Path) || strings.Contains(file.Path, "..") && filepath.Clean(file.Path) != file.Path {
				t.Errorf("taken: %+v", file)
			}
		}
	})
}
