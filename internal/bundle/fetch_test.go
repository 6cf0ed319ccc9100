package bundle

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// stored puts the bundle of the test's files into a folder.
func stored(t *testing.T) (dir string, b *Bundle) {
	t.Helper()
	dir, b = t.TempDir(), build(t, lay(t, time.Now()))
	store, err := OpenStore(dir)
	must(t, err)
	_, err = store.Put(t.Context(), b)
	must(t, err)
	return dir, b
}

func open(t *testing.T, address string) *Store {
	t.Helper()
	s, err := OpenStore(address)
	must(t, err)
	return s
}

// whole fails the test unless all of a bundle lies in the cache as it should.
func whole(t *testing.T, c *Cached, b *Bundle) {
	t.Helper()
	for _, blob := range b.Blobs() {
		if !c.cache.holds(blob.SHA256) {
			t.Errorf("the cache lacks %s", blob.SHA256)
		}
	}
	var found []string
	must(t, filepath.WalkDir(c.Tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(c.Tree, path)
		found = append(found, rel)
		if info, err := d.Info(); err != nil || info.Mode() != 0o444 {
			t.Errorf("%s is of mode %v, %v", rel, info.Mode(), err)
		}
		return err
	}))
	if want := []string{"genome.json", "homeostat.hcl", "manifest.json", "modules/cells/x.tf", "pod/main.tf", "pod/sub/more.tf"}; !slices.Equal(found, want) {
		t.Errorf("the tree has %v, want %v", found, want)
	}
	text, err := os.ReadFile(c.Policy())
	if err != nil || string(text) != files["homeostat.hcl"] {
		t.Errorf("the policy is %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(c.Module(), "main.tf")); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(string(c.cache), "*", "*.part"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if c.Manifest.Digest() != b.Digest() || c.Genome.Digest() != b.Genome.Digest() {
		t.Errorf("got %s with %s", c.Manifest.Digest(), c.Genome.Digest())
	}
}

func TestFetch(t *testing.T) {
	leavesNothing(t)
	dir, b := stored(t)
	cacheDir := t.TempDir()
	c, err := open(t, dir).Fetch(t.Context(), b.Digest(), cacheDir)
	must(t, err)
	whole(t, c, b)
	if CacheOf(c.Policy()) != cacheDir || CacheOf(filepath.Join(c.Module(), "main.tf")) != cacheDir || CacheOf(dir) != "" {
		t.Errorf("the cache of %s is %q", c.Policy(), CacheOf(c.Policy()))
	}
	// All of it is there: no store is needed.
	_, err = open(t, filepath.Join(t.TempDir(), "none")).Fetch(t.Context(), b.Digest(), cacheDir)
	must(t, err)
	if text, err := os.ReadFile(c.Blob(b.Manifest.Genome)); err != nil || digestText(text) != b.Manifest.Genome {
		t.Errorf("the genome is %q, %v", text, err)
	}
}

// What is lost or altered in a cache is mended, and what Terraform wrote beside the
// files of a tree stays.
func TestFetchMends(t *testing.T) {
	dir, b := stored(t)
	cacheDir := t.TempDir()
	c, err := open(t, dir).Fetch(t.Context(), b.Digest(), cacheDir)
	must(t, err)
	blob, main, own := c.Blob(b.Manifest.Tree[0].SHA256), filepath.Join(c.Module(), "main.tf"), filepath.Join(c.Module(), ".terraform")
	must(t, os.WriteFile(blob, []byte("rotten"), 0o644))
	must(t, os.Remove(main))
	must(t, os.Symlink("/etc/hostname", main))
	must(t, os.Remove(c.Policy()))
	must(t, os.Mkdir(own, 0o755))
	c, err = open(t, dir).Fetch(t.Context(), b.Digest(), cacheDir)
	must(t, err)
	must(t, os.Remove(own)) // it is there
	whole(t, c, b)
}

// A process that was killed leaves parts, half a tree and its lock.
func TestFetchGoesOn(t *testing.T) {
	dir, b := stored(t)
	at := cache(t.TempDir())
	must(t, os.MkdirAll(filepath.Join(string(at), "blobs"), 0o755))
	must(t, os.MkdirAll(filepath.Join(string(at), "bundle", "."+b.Digest()+".part", "old"), 0o755))
	must(t, os.WriteFile(filepath.Join(string(at), ".lock"), nil, 0o600))
	for i, part := range []string{"# a policy"[:4], "wrong", strings.Repeat("too long", 100), "# a policy"} {
		must(t, os.WriteFile(at.part(b.Manifest.Tree[0].SHA256), []byte(part), 0o644))
		c, err := open(t, dir).Fetch(t.Context(), b.Digest(), string(at))
		if err != nil {
			t.Fatalf("part %d: %v", i, err)
		}
		whole(t, c, b)
		must(t, os.Remove(c.Blob(b.Manifest.Tree[0].SHA256)))
	}
}

func TestFetchFaults(t *testing.T) {
	fast(t)
	for _, c := range []struct {
		name  string
		spoil func(dir string, b *Bundle) error
		want  []string
	}{
		{"no manifest", func(dir string, b *Bundle) error { return os.Remove(filepath.Join(dir, manifestName(b.Digest()))) },
			[]string{"the manifest (", "no such file", "publish it again"}},
		{"another manifest", func(dir string, b *Bundle) error {
			return os.WriteFile(filepath.Join(dir, manifestName(b.Digest())), []byte("{}"), 0o644)
		}, []string{"the manifest (", ErrChanged.Error(), "the store holds something else under that name"}},
		{"a manifest too large", func(dir string, b *Bundle) error {
			return os.Truncate(filepath.Join(dir, manifestName(b.Digest())), smallLimit+1)
		}, []string{"the manifest (", "longer than it may be: 8388608 bytes"}},
		{"a blob missing", func(dir string, b *Bundle) error {
			return os.Remove(filepath.Join(dir, blobName(b.Manifest.Tree[0].SHA256)))
		},
			[]string{"the tree's file homeostat.hcl", "no such file", "publish it again"}},
		{"a blob cut short", func(dir string, b *Bundle) error {
			return os.Truncate(filepath.Join(dir, blobName(b.Genome.Files[1].SHA256)), 3)
		},
			[]string{"the genome's file /opt/app", "it has 3 bytes in the store and must have 10", "remove it there and publish again"}},
		{"another blob", func(dir string, b *Bundle) error {
			return os.WriteFile(filepath.Join(dir, blobName(b.Genome.Files[1].SHA256)), []byte("#!/bin/no\n"), 0o644)
		}, []string{"the genome's file /opt/app", ErrChanged.Error(), "remove it there and publish again"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, b := stored(t)
			cacheDir := t.TempDir()
			must(t, c.spoil(dir, b))
			_, err := open(t, dir).Fetch(t.Context(), b.Digest(), cacheDir)
			says(t, err, append(c.want, "fetch bundle "+b.Digest()+" from "+dir)...)
			if _, err := os.Stat(cache(cacheDir).tree(b.Digest())); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("and a tree is there: %v", err)
			}
			must(t, os.RemoveAll(dir))
			_, err = open(t, dir).Put(t.Context(), b)
			must(t, err)
			got, err := open(t, dir).Fetch(t.Context(), b.Digest(), cacheDir)
			must(t, err)
			whole(t, got, b)
		})
	}
}

// A full disk is said to be one, and what came is taken up again.
func TestFetchFullDisk(t *testing.T) {
	dir, src := t.TempDir(), lay(t, time.Now())
	must(t, os.WriteFile(filepath.Join(filepath.Dir(src.Genome), "bin/plain"), make([]byte, 3<<20), 0o644))
	b := build(t, src)
	_, err := open(t, dir).Put(t.Context(), b)
	must(t, err)
	small := t.TempDir()
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=1m"); err != nil {
		testkit.NotRun(t, t.Name(), "only root may mount a file system: "+err.Error())
	}
	t.Cleanup(func() { must(t, syscall.Unmount(small, 0)) })
	_, err = open(t, dir).Fetch(t.Context(), b.Digest(), small)
	says(t, err, "the genome's file /opt/", "no space left on device", "make room there and try again")
	must(t, syscall.Mount("", small, "", syscall.MS_REMOUNT, "size=8m"))
	c, err := open(t, dir).Fetch(t.Context(), b.Digest(), small)
	must(t, err)
	whole(t, c, b)
}

// Several that fetch into one cache don't get into each other's way, and one that
// waits for another can be called back.
func TestFetchTogether(t *testing.T) {
	leavesNothing(t)
	dir, b := stored(t)
	cacheDir := t.TempDir()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := open(t, dir).Fetch(t.Context(), b.Digest(), cacheDir); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	unlock, err := cache(cacheDir).lock(t.Context())
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = open(t, dir).Fetch(ctx, b.Digest(), cacheDir)
	says(t, err, "wait for another process that fetches into "+cacheDir, "deadline exceeded")
	unlock()
	c, err := open(t, dir).Fetch(t.Context(), b.Digest(), cacheDir)
	must(t, err)
	whole(t, c, b)
}

// A manifest that leads out of its tree, or to the places of the cache's own files,
// is refused also when its digest is right.
func TestFetchLeadsOut(t *testing.T) {
	for path, want := range map[string]string{
		"../../../etc/passwd": "is out of the tree", "/etc/passwd": "is out of the tree", "pod/../x": "is out of the tree",
		"manifest.json": "would lie where", "homeostat.hcl/x": `"homeostat.hcl" is a file and a folder too`,
	} {
		dir, b := stored(t)
		m := b.Manifest
		m.Tree = append(slices.Clone(m.Tree), TreeFile{Path: path, SHA256: m.Tree[0].SHA256, Size: m.Tree[0].Size})
		must(t, os.WriteFile(filepath.Join(dir, manifestName(m.Digest())), encode(m), 0o644))
		cacheDir := t.TempDir()
		_, err := open(t, dir).Fetch(t.Context(), m.Digest(), cacheDir)
		says(t, err, want)
		if left, err := os.ReadDir(filepath.Join(cacheDir, "bundle")); err == nil {
			t.Errorf("%s: laid out %v", path, left)
		}
	}
	if _, err := open(t, t.TempDir()).Fetch(t.Context(), "../x", t.TempDir()); err == nil {
		t.Error("a name that is no digest was fetched")
	}
	if _, err := open(t, t.TempDir()).Fetch(t.Context(), strings.Repeat("0", 64), "relative"); err == nil {
		t.Error("a relative cache was taken")
	}
}

// says fails the test unless an error says all of the texts.
func says(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %q", texts)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error is %q\nwithout %q", err, text)
		}
	}
}

// fast makes the pauses between tries short.
func fast(t *testing.T) {
	pause := firstPause
	firstPause = time.Millisecond
	t.Cleanup(func() { firstPause = pause })
}

// impatient makes the wait for a store that is too slow short, until the function
// it returns is called.
func impatient() (patient func()) {
	wait := flowWait
	flowWait = 300 * time.Millisecond
	return func() { flowWait = wait }
}
